"""Rasters in and out of files and onto other grids: the names that the rest of orrery uses."""

from orrery.raster.cube import Cube, read_cube
from orrery.raster.raster import Array, Raster
from orrery.raster.reading import Source, open_windows, read
from orrery.raster.resampling import Spline, resample, upsample
from orrery.raster.writing import write

__all__ = [
    "Array",
    "Cube",
    "Raster",
    "Source",
    "Spline",
    "open_windows",
    "read",
    "read_cube",
    "resample",
    "upsample",
    "write",
]
