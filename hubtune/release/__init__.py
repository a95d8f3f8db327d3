"""Releases of a repository: tags as versions, their list, notes, and what changed between two of them."""
