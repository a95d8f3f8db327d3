"""Verifies a published release from public sources only: one module for each kind of claim.

Everything in the repository may be forged. Documents are read within limits, no code and no pickle is loaded, no path
is taken from a document, and a check that fails does not affect the others.
"""
