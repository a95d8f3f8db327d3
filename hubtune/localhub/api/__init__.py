"""The Hub's HTTP API over the storage modules: one module per subject, one function per request."""
