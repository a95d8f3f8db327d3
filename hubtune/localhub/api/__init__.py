"""The Hub's HTTP API over the storage modules: `routes` has every request with its function, by subject."""
