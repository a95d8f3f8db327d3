"""Looks through rows, before anything is trained, for personal data, secrets, duplicates and contamination.

A value that is found never leaves this package: what goes out are kinds, places, counts and numbers of rows.
"""
