"""What each section of the card says: one small context per section, built from the records by a pure function.

A template sees its own section's context and nothing else, so that it cannot print what no section chose to say.
"""
