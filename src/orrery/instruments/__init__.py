"""Facts of cameras and of light, with their sources."""
