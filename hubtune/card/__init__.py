"""The model card of a release: rendered from the run's records, and checked before anything is uploaded."""
