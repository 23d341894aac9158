"""Real products from public archives: search, download, verify, resume, and bring into data/ as scenes."""
