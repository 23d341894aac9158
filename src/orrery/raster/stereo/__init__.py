"""Along-track stereo: integer search by normalised cross-correlation, then least squares to hundredths of a pixel.

A disparity is the distance, in rows, from a pixel of the left image to the same ground in the right one: what lies at row y of
the left lies at row y + d of the right. Columns are those of the same number; pairs are epipolar along columns.
"""

from orrery.raster.stereo.consistency import outliers
from orrery.raster.stereo.least_squares import refine, triangle_mean
from orrery.raster.stereo.match import Match, MatchParams, filled, match
from orrery.raster.stereo.sampling import rectified
from orrery.raster.stereo.search import Search, search
from orrery.raster.stereo.span import span

__all__ = [
    "Match",
    "MatchParams",
    "Search",
    "filled",
    "match",
    "outliers",
    "rectified",
    "refine",
    "search",
    "span",
    "triangle_mean",
]
