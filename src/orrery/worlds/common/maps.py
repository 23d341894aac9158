"""Grids of what is recorded at a place: projections, postings, random misplacements, and sampling under them."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.grid import AffineMap, Grid

Array = NDArray[np.float32]

BORDER_PX = 16


def around(grid: Grid, margin_m: float, posting_m: float) -> Grid:
    """The grid of a posting, on its whole multiples, that covers another and a margin."""
    left, bottom, right, top = grid.bounds
    x = math.floor((left - margin_m) / posting_m) * posting_m
    y = math.ceil((top + margin_m) / posting_m) * posting_m
    width, height = (
        math.ceil((right + margin_m - x) / posting_m),
        math.ceil((y - bottom + margin_m) / posting_m),
    )
    return Grid(grid.crs, Affine(posting_m, 0, x, 0, -posting_m, y), height, width)


def coarser(grid: Grid, factor: int) -> Grid:
    """The grid of pixels `factor` times as large, whole ones only."""
    transform = grid.transform * Affine.scale(factor)
    return Grid(grid.crs, transform, grid.height // factor, grid.width // factor)


def random_map(
    grid: Grid, shift_m: float, rotation_deg: float, stretch: float, rng: np.random.Generator
) -> AffineMap:
    """A shift of `shift_m` in a random direction, with a rotation and two stretches up to the bounds, about a grid's middle.

    Args:
        grid: whose middle only shifts.
        shift_m: length of the shift.
        rotation_deg: largest rotation.
        stretch: largest error of scale in x and in y, as a share.
        rng: stream of the map.
    """
    bearing, turn = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(-1, 1) * rotation_deg)
    along, across = 1 + rng.uniform(-1, 1) * stretch, 1 + rng.uniform(-1, 1) * stretch
    cosine, sine = math.cos(turn), math.sin(turn)
    matrix = ((along * cosine, -across * sine), (along * sine, across * cosine))
    return AffineMap(matrix, (shift_m * math.cos(bearing), shift_m * math.sin(bearing)), grid.centre)


def sampled(values: Array, source: Grid, target: Grid, displacement: AffineMap, order: int = 3) -> Array:
    """Values of a field at the true positions of another grid's pixels, by spline interpolation.

    Args:
        values: (H, W) on `source`.
        source: grid of the truth.
        target: grid as written; a pixel at p shows the ground at ``displacement(p)``.
        displacement: from written to true positions.
        order: of the spline.
    """
    to_source: Affine = ~source.transform * displacement.affine * target.transform
    # From pixel centres to pixel centres, and from (column, row) to numpy's (row, column).
    centred = Affine.translation(-0.5, -0.5) * to_source * Affine.translation(0.5, 0.5)
    matrix = np.array([[centred.e, centred.d], [centred.b, centred.a]])
    corners = [centred * (c, r) for c in (0, target.width - 1) for r in (0, target.height - 1)]
    top = max(0, math.floor(min(r for _, r in corners)) - BORDER_PX)
    left = max(0, math.floor(min(c for c, _ in corners)) - BORDER_PX)
    part = values[
        top : math.ceil(max(r for _, r in corners)) + BORDER_PX,
        left : math.ceil(max(c for c, _ in corners)) + BORDER_PX,
    ]
    offset = np.array([centred.f - top, centred.c - left])
    moved = ndimage.affine_transform(part, matrix, offset, target.shape, order=order, mode="nearest")
    return np.asarray(moved, np.float32)
