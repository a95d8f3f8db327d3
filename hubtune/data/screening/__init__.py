"""Screens rows before training for personal data, secrets, duplicates and contamination.

A value that is found never leaves this package: it only returns kinds, positions, counts and row numbers.
"""
