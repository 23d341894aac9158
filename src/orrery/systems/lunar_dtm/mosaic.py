"""Predictions of several images blended into one raster on a common grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, floor
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_bounds
from scipy import ndimage

from orrery.raster.grid import Grid
from orrery.raster.rows import Plane, RowStore
from orrery.raster.windows import Span, Warped
from orrery.systems.lunar_dtm.inputs import Image

Array = NDArray[np.float32]
BLOCK_PX = (256, 2048)  # bounds memory, also where an image lies across the common grid
LEAST_SIGMA_M = 1e-3
Advance = Callable[[int], Any]


def common_grid(images: Sequence[Image], dem: Grid) -> Grid:
    """The north-up grid in the DEM's coordinate system that holds all images, at the finest of their pixel sizes."""
    grids = [image.product_grid for image in images]
    gsd_m = min(grid.gsd_m for grid in grids)
    boxes = [
        transform_bounds(grid.crs, dem.crs, *grid.bounds) if grid.crs != dem.crs else grid.bounds
        for grid in grids
    ]
    left, bottom, right, top = (
        pick(edge) for pick, edge in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)
    )
    west, north = floor(left / gsd_m) * gsd_m, ceil(top / gsd_m) * gsd_m
    height, width = ceil((north - bottom) / gsd_m), ceil((right - west) / gsd_m)
    return Grid(dem.crs, Affine(gsd_m, 0, west, 0, -gsd_m, north), height, width)


def merge(stores: Sequence[RowStore], target: RowStore, ramp_px: int, advance: Advance) -> None:
    """Blend the predictions of several images, weighted by 1 / sigma^2 and by the distance to each one's edge.

    The 1-sigma of the mosaic is the weighted mean too: neighbouring images share the coarse DEM and the model, so their
    errors are not independent.

    Args:
        stores: one prediction an image, each on its own grid.
        target: the mosaic, on the common grid.
        ramp_px: distance from an image's edge at which its weight is full.
        advance: told how many rows were finished.
    """
    finished, _ = target.progress()
    advance(finished)
    for row in range(finished, target.grid.height, BLOCK_PX[0]):
        count = min(BLOCK_PX[0], target.grid.height - row)
        band = np.empty((3, count, target.grid.width), np.float32)
        for column in range(0, target.grid.width, BLOCK_PX[1]):
            width = min(BLOCK_PX[1], target.grid.width - column)
            span = (row, column, count, width)
            band[:, :, column : column + width] = _merged(
                [_warped(s, target.grid, span, ramp_px) for s in stores]
            )
        target.write(row, band)
        target.save_progress(row + count, np.zeros(0, np.float32))
        advance(count)


def _merged(parts: Sequence[tuple[Array, Array, Array]]) -> Array:
    """(3, H, W) weighted mean heights and 1-sigma, NaN where no image has a weight, and where one has."""
    sums = np.zeros((3, *parts[0][0].shape), np.float32)
    for *values, weight in parts:
        sums += np.stack([*(np.where(weight > 0, weight * value, 0) for value in values), weight])
    with np.errstate(invalid="ignore"):
        return np.stack([*(sums[:2] / sums[2]), sums[2] > 0])


def _warped(store: RowStore, grid: Grid, span: Span, ramp_px: int) -> tuple[Array, Array, Array]:
    """Heights, 1-sigma and weight of one image on a part of the common grid."""
    row, column, height, width = span
    around = Warped(Plane(store, "elevation_m"), grid, "cubic").read(
        row - ramp_px, column - ramp_px, height + 2 * ramp_px, width + 2 * ramp_px
    )
    inside = np.s_[ramp_px : ramp_px + height, ramp_px : ramp_px + width]
    sigma_m = Warped(Plane(store, "sigma_m"), grid, "bilinear").read(*span)
    confidence = np.nan_to_num(1 / np.maximum(sigma_m, LEAST_SIGMA_M) ** 2, nan=1.0)
    weight = _ramp(np.isfinite(around), ramp_px)[inside] * confidence
    return around[inside], sigma_m, np.asarray(weight, np.float32)


def _ramp(valid: NDArray[np.bool_], ramp_px: int) -> NDArray[np.float64]:
    """(H, W) distance to the next invalid pixel over `ramp_px`, 1 at most; 0 for invalid ones."""
    if valid.all() or not valid.any():  # no edge within reach
        return valid.astype(float)
    return np.asarray(np.minimum(ndimage.distance_transform_edt(valid) / ramp_px, 1))
