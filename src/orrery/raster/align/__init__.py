"""Bringing two rasters of one ground onto each other: tie points, affine fits, smooth warps, refinement from whole images."""

from orrery.raster.align.affine import AffineFit, Spread, fit_affine, from_numbers, numbers
from orrery.raster.align.coregistration import coregister
from orrery.raster.align.field import SmoothField
from orrery.raster.align.judging import expected_rms_m, held_out, rms_difference_m
from orrery.raster.align.refine import Refinement, refine
from orrery.raster.align.result import Coregistration, CoregistrationOptions
from orrery.raster.align.tiepoints import TiePoints, correlations, displacement, match, peak
from orrery.raster.align.warping import Correction, warp

__all__ = [
    "AffineFit",
    "Coregistration",
    "CoregistrationOptions",
    "Correction",
    "Refinement",
    "SmoothField",
    "Spread",
    "TiePoints",
    "coregister",
    "correlations",
    "displacement",
    "expected_rms_m",
    "fit_affine",
    "from_numbers",
    "held_out",
    "match",
    "numbers",
    "peak",
    "refine",
    "rms_difference_m",
    "warp",
]
