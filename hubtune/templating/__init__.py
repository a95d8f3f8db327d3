"""Renders untrusted templates, in processes with limits on memory and time."""
