"""Orrery: raw images of the Moon, Mars and Jupiter into calibrated, georeferenced maps."""

__version__ = "0.1.0"
