"""CRISM-like spectral bands from one CTX image: the task `mars-bands`."""
