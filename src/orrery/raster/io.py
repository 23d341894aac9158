"""Rasters in and out of files and onto other grids: the names that the rest of orrery uses."""

from orrery.raster.raster import Array, Raster
from orrery.raster.reading import Source, open_windows, read
from orrery.raster.resampling import Spline, resample, upsample
from orrery.raster.writing import write

__all__ = [
    "Array",
    "Raster",
    "Source",
    "Spline",
    "open_windows",
    "read",
    "resample",
    "upsample",
    "write",
]
