"""An image at fractional rows, by a cubic B-spline along its columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]


def spline(image: Array) -> Array:
    """Coefficients of the cubic B-spline that passes through an image, along its columns, (H, W)."""
    return np.asarray(ndimage.spline_filter1d(image, 3, axis=0, mode="mirror"), np.float32)


def sampled(coefficients: Array, rows: Array) -> tuple[Array, Array]:
    """Values and their derivatives by row, at fractional rows.

    Args:
        coefficients: of `spline`, (H, W).
        rows: where to sample each column, (h, W); beyond the image its last rows go on.

    Returns:
        Value and derivative per px, each (h, W).
    """
    height, width = coefficients.shape
    below = np.clip(np.floor(rows), 1, height - 3).astype(np.int32)
    part = np.clip(rows - below, np.float32(-1), np.float32(2))
    places = below * np.int32(width) + np.arange(width, dtype=np.int32)
    flat = coefficients.ravel()
    before, here, after, last = (flat.take(places + step * width) for step in (-1, 0, 1, 2))
    rest = 1 - part
    part2, rest2 = part * part, rest * rest
    value = before * (rest2 * rest)
    value += here * (4 + part2 * (3 * part - 6))
    value += after * (4 + rest2 * (3 * rest - 6))
    value += last * (part2 * part)
    slope = last * part2 - before * rest2
    slope += here * (3 * part2 - 4 * part)
    slope -= after * (3 * rest2 - 4 * rest)
    return np.asarray(value / 6, np.float32), np.asarray(slope / 2, np.float32)


def rectified(right: Array, disparity_px: Array) -> Array:
    """The right image brought onto the left one's rows by a disparity, (H, W).

    Args:
        right: (Hr, W), finite.
        disparity_px: on the left image's pixels, (H, W).
    """
    rows = np.arange(disparity_px.shape[0], dtype=np.float32)[:, None] + disparity_px
    return sampled(spline(right), rows)[0]
