"""lunar-dtm: terrain at image resolution from one NAC image and a coarse DEM (Chen et al. 2022, and beyond)."""
