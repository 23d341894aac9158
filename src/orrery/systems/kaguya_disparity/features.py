"""What networks and filters see of a compressed pair: planes of about unit size."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]
FeatureName = Literal["left", "right", "difference", "fine", "coarse"]
FEATURES: tuple[FeatureName, ...] = get_args(FeatureName)

LOCAL_PX = 12.0  # images are shown without what is smoother than this: brightness tells nothing of a shift
CONTRAST = 0.1  # of the mean count: a common size of lunar texture
LEAST_COUNTS = 2.0
DIFFERENCE_GAIN = 3.0
FINE_PX, COARSE_PX = 1.5, 8.0  # disparity beyond its own means over these
TRUNCATE = 3.0
REACH_PX = 36  # of the widest filter: what a tile must know around it


def features(left: Array, right: Array, disparity_px: Array, mean_count: float, scale_px: float) -> Array:
    """(5, H, W) planes named by `FEATURES`.

    Args:
        left: compressed, counts, (H, W), finite.
        right: compressed and rectified by the disparity, counts, (H, W), finite.
        disparity_px: of the compressed pair, (H, W), finite.
        mean_count: of the pair.
        scale_px: expected standard deviation of the residual.
    """
    size = np.float32(max(CONTRAST * mean_count, LEAST_COUNTS))
    here, there = ((image - smoothed(image, LOCAL_PX)) / size for image in (left, right))
    detail = [
        (disparity_px - smoothed(disparity_px, width)) / np.float32(scale_px)
        for width in (FINE_PX, COARSE_PX)
    ]
    return np.stack([here, there, DIFFERENCE_GAIN * (here - there), *detail]).astype(np.float32)


def smoothed(values: Array, sigma_px: float) -> Array:
    """Gaussian mean, (H, W)."""
    return np.asarray(
        ndimage.gaussian_filter(values, sigma_px, mode="nearest", truncate=TRUNCATE), np.float32
    )
