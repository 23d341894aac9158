"""Predicted bands at the places that an observation's pixels truly show: no observed pixel is resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.align.warping import Correction, between
from orrery.raster.grid import Grid
from orrery.raster.rows import RowStore

Array = NDArray[np.float32]
LEAST_WEIGHT = 0.5  # share of an observed pixel's ground that must be predicted


def on_cube(store: RowStore, planes: Sequence[str], grid: Grid, correction: Correction) -> Array:
    """(P, H, W) of a prediction on a cube's own pixels, averaged over such a pixel; NaN where nothing is predicted.

    Args:
        store: the prediction, in the image's coordinate system.
        planes: of the store, that are wanted.
        grid: the cube's, as written.
        correction: from positions as written, in the image's coordinate system, to true ones.
    """
    rows, columns = np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij")
    x, y = correction.apply(*between(grid.crs, store.grid.crs, *grid.xy(rows, columns)))
    places = np.stack(store.grid.rowcol(x, y))
    side = max(round(grid.gsd_m / store.grid.gsd_m), 1)
    return np.stack([_sampled(store.mapped(name), places, side) for name in planes])


def _sampled(plane: Array, places: NDArray[np.float64], side: int) -> Array:
    """(H, W) means of `side` x `side` pixels round the places; NaN where too few of these are valid."""
    valid = np.isfinite(plane)
    value, weight = (
        ndimage.map_coordinates(
            ndimage.uniform_filter(part, side, mode="constant"), places, order=1, mode="constant"
        )
        for part in (np.where(valid, plane, np.float32(0)), valid.astype(np.float32))
    )
    known = weight >= LEAST_WEIGHT
    return np.where(known, value / np.where(known, weight, np.float32(1)), np.float32(np.nan))
