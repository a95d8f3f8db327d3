"""Sweeps: many runs of one config with other values, by Optuna."""
