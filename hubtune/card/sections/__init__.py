"""The content of each section of the card: a small context, which a pure function builds from the records.

A template only sees the context of its own section, so it cannot print anything else.
"""
