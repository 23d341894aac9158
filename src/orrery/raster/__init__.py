"""Georeferenced arrays: read, write, resample, tile, shade, align."""
