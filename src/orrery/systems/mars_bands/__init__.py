"""mars-bands: bands of a CRISM cube from one CTX image (Stepcenkov et al. 2022)."""
