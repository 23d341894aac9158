"""CRISM bands in I/F from a CTX image."""
