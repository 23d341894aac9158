"""How a cube is misplaced against the image: a shift, a little rotation and scale, and a smooth local warp."""

from __future__ import annotations

import math

import numpy as np
import pyproj
from numpy.typing import NDArray

from orrery.raster.align.field import SmoothField
from orrery.raster.grid import AffineMap, Grid
from orrery.world_params import MarsParams
from orrery.worlds.common.maps import random_map
from orrery.worlds.mars.places import Place, cube_grid

Floats = NDArray[np.float64]

# Knots beyond the cube's edge that a cubic spline leans on.
BEYOND_KNOTS = 2


def misplace(
    place: Place, params: MarsParams, rng: np.random.Generator
) -> tuple[Grid, AffineMap, SmoothField]:
    """The grid of a cube as written, and the maps that lead from there to true positions.

    Positions are those of the cube brought to the image's projection: first the affine map, then the field.

    Args:
        place: of the pair.
        params: sizes of the errors.
        rng: stream of the pointing.
    """
    shift_m = rng.uniform(params.min_offset_m, params.max_offset_m)
    drawn = random_map(place.image, shift_m, params.max_rotation_deg, params.max_stretch, rng)
    # The cube's middle is written where its shift will bring it to the image's middle.
    centre = place.image.centre
    written = (centre[0] - drawn.shift_m[0], centre[1] - drawn.shift_m[1])
    affine = AffineMap(drawn.matrix, drawn.shift_m, written)
    return cube_grid(place, written), affine, _warp(place, params, rng)


def true_positions(
    written: Grid, image: Grid, affine: AffineMap, field: SmoothField
) -> tuple[Floats, Floats]:
    """Where the ground lies, x and y in the image's projection, that each pixel of a cube shows; (H, W) each, m."""
    to_image = pyproj.Transformer.from_crs(
        pyproj.CRS.from_wkt(written.crs.to_wkt()), pyproj.CRS.from_wkt(image.crs.to_wkt()), always_xy=True
    )
    x, y = to_image.transform(*written.xy(*np.indices(written.shape)))
    return field.apply(*affine.apply(x, y))


def _warp(place: Place, params: MarsParams, rng: np.random.Generator) -> SmoothField:
    """A spline of random knots whose longest displacement is `warp_m`; its mean is left to the shift."""
    left, bottom, right, top = place.image.bounds
    spacing = params.warp_knots_m
    rows, columns = (
        math.ceil(span / spacing) + 1 + 2 * BEYOND_KNOTS for span in (top - bottom, right - left)
    )
    knots = rng.standard_normal((2, rows, columns))
    knots -= knots.mean((1, 2), keepdims=True)
    corner = (left - BEYOND_KNOTS * spacing, top + BEYOND_KNOTS * spacing)
    unit = SmoothField(*corner, spacing, knots[0], knots[1])
    x, y = np.meshgrid(np.linspace(left, right, 65), np.linspace(bottom, top, 65))
    longest = float(np.hypot(*unit.displacement(x, y)).max())
    scaled = np.round(knots * (params.warp_m * rng.uniform(0.5, 1) / max(longest, 1e-9)), 3)
    return SmoothField(*corner, spacing, scaled[0], scaled[1])
