"""How alike two images are, before and after one is laid onto the other: on the same pixels, by the same rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial
from skimage.metrics import structural_similarity

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
SSIM_WINDOW_PX = 7
FEWEST = 3  # corners of a hull


def correlation(one: Array, other: Array, where: Mask) -> float:
    """Normalised cross-correlation of the chosen pixels; NaN where either is constant or none is chosen."""
    if where.sum() < FEWEST or not (one[where].std() > 0 and other[where].std() > 0):
        return float("nan")
    return float(np.corrcoef(one[where], other[where])[0, 1])


def similarity(one: Array, other: Array, where: Mask) -> float:
    """Mean structural similarity (Wang et al. 2004, IEEE TIP 13, 600), not squared, of images of equal mean and spread.

    Only windows count that lie wholly on chosen pixels; NaN where there are none.
    """
    whole = ndimage.minimum_filter(where, SSIM_WINDOW_PX, mode="constant", cval=False)
    if not whole.any() or not (one[where].std() > 0 and other[where].std() > 0):
        return float("nan")
    planes = [
        np.where(where, (image - image[where].mean()) / image[where].std(), 0.0).astype(np.float64)
        for image in (one, other)
    ]
    reach = float(max(plane.max() for plane in planes) - min(plane.min() for plane in planes))
    _, local = structural_similarity(  # type: ignore[no-untyped-call]
        *planes, win_size=SSIM_WINDOW_PX, data_range=reach, full=True
    )
    return float(local[whole].mean())


def hull_share(chosen: Floats, tried: Floats) -> float:
    """Area of the hull of the chosen places over that of all places tried, both (N, 2); 0 for too few."""
    if len(chosen) < FEWEST or len(tried) < FEWEST:
        return 0.0
    try:
        return float(spatial.ConvexHull(chosen).volume / spatial.ConvexHull(tried).volume)
    except spatial.QhullError:  # all on one line
        return 0.0
