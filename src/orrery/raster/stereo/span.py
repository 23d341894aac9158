"""Over which disparities a pair ranges, from a search at a quarter of its resolution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orrery.raster.stereo.search import search
from orrery.raster.windows import block_means

Array = NDArray[np.float32]

COARSE = 4
WINDOW_PX = 9  # of the coarse pixels
CONSISTENT_PX = 1.0
LEAST_CORRELATION = 0.4
REACH_PX = 112  # relief of some 2 km either way at 10 m pixels and 15 degrees
SHARE = (0.01, 0.99)


def span(left: Array, right: Array, middle_px: int, margin_px: int) -> tuple[int, int]:
    """The middle of the range of disparities and half its width, px, with a margin.

    Args:
        left: (H, W), finite.
        right: (Hr, W), finite.
        middle_px: about where to look.
        margin_px: added on either side.
    """
    low, high = (round((middle_px + sign * REACH_PX) / COARSE) for sign in (-1, 1))
    found = search(_quartered(left), _quartered(right), WINDOW_PX, low, high)
    trusted = np.abs(found.disparity_px - found.backward_px) <= CONSISTENT_PX
    trusted &= found.correlation > LEAST_CORRELATION
    if not trusted.any():
        return middle_px, REACH_PX
    first, last = np.quantile(found.disparity_px[trusted], SHARE) * COARSE
    middle = round(float(first + last) / 2)
    return middle, int(np.ceil(float(last - first) / 2)) + margin_px


def _quartered(image: Array) -> Array:
    height, width = (length // COARSE * COARSE for length in image.shape)
    return block_means(image[:height, :width], COARSE)
