"""mars-bands: CRISM bands from one CTX image (the paper's task, and beyond)."""
