"""Verifies a published release with nothing but what is public: one module for each kind of claim.

Whatever stands in the repository may be forged. Documents are read within bounds, no code and no pickle is loaded, no
path is taken from a document, and what breaks one check leaves the others alone.
"""
