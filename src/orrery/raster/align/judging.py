"""How good a correction is: on ground that it never saw, against a truth, and by its own covariance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.align.affine import Floats, directions
from orrery.raster.align.tiepoints import TiePoints
from orrery.raster.grid import AffineMap, Grid

Array = NDArray[np.float32]
LATTICE = 17


def held_out(
    points: TiePoints,
    fold: NDArray[np.int64],
    grid: Grid,
    window_px: int,
    without: Callable[[Array], AffineMap],
) -> Floats:
    """Distances, m, of tie points from where corrections put them that were found without the points' ground.

    Args:
        points: matched places; only those count whose window lies wholly in one fold.
        fold: (H, W) number of the fold of each pixel.
        grid: of the folds.
        window_px: side of the points' windows.
        without: makes the correction from source to reference out of the pixels whose weight, (H, W), is 1.
    """
    rows, columns = (
        np.clip(np.rint(index).astype(int), 0, length - 1)
        for index, length in zip(grid.rowcol(points.source_x_m, points.source_y_m), grid.shape, strict=True)
    )
    distances = []
    for number in np.unique(fold):
        inside = ndimage.minimum_filter(fold == number, window_px + 1, mode="nearest")
        judged = points.where(inside[rows, columns])
        if len(judged):
            correction = without((fold != number).astype(np.float32))
            x, y = correction.apply(judged.source_x_m, judged.source_y_m)
            distances.append(np.hypot(x - judged.reference_x_m, y - judged.reference_y_m))
    return np.concatenate(distances) if distances else np.empty(0)


def expected_rms_m(covariance: Floats, grid: Grid, centre: tuple[float, float]) -> float:
    """Root mean square displacement over a grid that a covariance of the six numbers stands for, m."""
    moves = directions(*lattice(grid), centre)
    gram = np.einsum("ikn,jkn->ij", moves, moves) / moves.shape[2]
    return float(np.sqrt(np.trace(covariance @ gram)))


def rms_difference_m(one: AffineMap, other: AffineMap, grid: Grid) -> float:
    """Root mean square distance, over a grid, between where two corrections put a point, m."""
    x, y = lattice(grid)
    (x1, y1), (x2, y2) = one.apply(x, y), other.apply(x, y)
    return float(np.sqrt(np.mean((x1 - x2) ** 2 + (y1 - y2) ** 2)))


def lattice(grid: Grid) -> tuple[Floats, Floats]:
    """Places spread evenly over a grid, m."""
    rows, columns = np.meshgrid(
        np.linspace(0, grid.height - 1, LATTICE), np.linspace(0, grid.width - 1, LATTICE), indexing="ij"
    )
    return grid.xy(rows.ravel(), columns.ravel())
