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
from orrery.raster.windows import Warped
from orrery.systems.lunar_dtm.inputs import Image

Array = NDArray[np.float32]
ROWS_AT_ONCE = 256
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
    for row in range(finished, target.grid.height, ROWS_AT_ONCE):
        count = min(ROWS_AT_ONCE, target.grid.height - row)
        sums = np.zeros((3, count, target.grid.width), np.float32)
        for store in stores:
            *values, weight = _warped(store, target.grid, row, count, ramp_px)
            sums += np.stack([*(np.where(weight > 0, weight * value, 0) for value in values), weight])
        with np.errstate(invalid="ignore"):
            merged = sums[:2] / sums[2]
        target.write(row, np.stack([*merged, sums[2] > 0]))
        target.save_progress(row + count, np.zeros(0, np.float32))
        advance(count)


def _warped(store: RowStore, grid: Grid, row: int, count: int, ramp_px: int) -> tuple[Array, Array, Array]:
    """Heights, 1-sigma and weight of one image on whole rows of the common grid."""
    heights_m = Warped(Plane(store, "elevation_m"), grid, "cubic").read(
        row - ramp_px, -1, count + 2 * ramp_px, grid.width + 2
    )
    rows = slice(ramp_px, ramp_px + count)
    sigma_m = Warped(Plane(store, "sigma_m"), grid, "bilinear").read(row, 0, count, grid.width)
    valid = np.isfinite(heights_m)
    if not valid[rows].any():
        return heights_m[rows, 1:-1], sigma_m, np.zeros_like(sigma_m)
    ramp = np.minimum(ndimage.distance_transform_edt(valid) / ramp_px, 1)[rows, 1:-1]
    confidence = np.nan_to_num(1 / np.maximum(sigma_m, 1e-3) ** 2, nan=1.0)
    return heights_m[rows, 1:-1], sigma_m, np.asarray(ramp * confidence, np.float32)
