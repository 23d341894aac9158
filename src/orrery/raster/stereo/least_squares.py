"""Sub-pixel disparities by least squares: the right image is warped until, up to gain and offset, it is the left one.

A parabola through correlations is drawn to whole pixels (some hundredths of a pixel); Gauss-Newton steps on the images are not
(Lucas and Kanade 1981; window and warp as in Foerstner 1982, with gain and offset eliminated).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.raster.stereo.sampling import sampled, spline

Array = NDArray[np.float32]

LARGEST_STEP_PX = 1.0
LEAST_GAIN = 0.2  # a fit that darkens the right image fivefold has found something else
LEAST_INDEPENDENCE = 1e-6  # of value and slope in a window; below it the shift is not determined


def triangle_mean(values: Array, window_px: int) -> Array:
    """Weighted mean over a window that is a box convolved with itself in rows and in columns, (H, W)."""
    once = ndimage.uniform_filter(values, window_px, mode="nearest")
    return np.asarray(ndimage.uniform_filter(once, window_px, mode="nearest"), np.float32)


def refine(left: Array, right: Array, start_px: Array, window_px: int, steps: int) -> Array:
    """Disparity, px, after `steps` Gauss-Newton steps from a start within a pixel or so of the truth, (H, W).

    Args:
        left: (H, W), finite.
        right: (Hr, W), finite.
        start_px: (H, W), finite.
        window_px: width of the two boxes that make the window.
        steps: number of them; each warps by the smoothed disparity of the one before.
    """
    level = np.float32(left.mean())
    left, coefficients = left - level, spline(right - level)
    rows = np.arange(left.shape[0], dtype=np.float32)[:, None]
    left_mean = triangle_mean(left, window_px)
    disparity = start_px
    for _ in range(steps):
        disparity = triangle_mean(disparity, window_px)
        seen, slope = sampled(coefficients, rows + disparity)
        disparity = disparity + _step(left, left_mean, seen, slope, window_px)
    return np.asarray(disparity, np.float32)


def _step(left: Array, left_mean: Array, seen: Array, slope: Array, window_px: int) -> Array:
    """Shift of the least-squares fit left = gain * seen + gain * shift * slope + offset in each window, px."""
    seen_mean, slope_mean = triangle_mean(seen, window_px), triangle_mean(slope, window_px)

    def covariance(first: Array, second: Array, first_mean: Array, second_mean: Array) -> Array:
        product = triangle_mean(first * second, window_px)
        product -= first_mean * second_mean
        return product

    seen_seen = covariance(seen, seen, seen_mean, seen_mean)
    slope_slope = covariance(slope, slope, slope_mean, slope_mean)
    seen_slope = covariance(seen, slope, seen_mean, slope_mean)
    left_seen = covariance(left, seen, left_mean, seen_mean)
    left_slope = covariance(left, slope, left_mean, slope_mean)
    both = seen_seen * slope_slope
    determinant = both - seen_slope * seen_slope
    gain = left_seen * slope_slope - left_slope * seen_slope
    moved = left_slope * seen_seen - left_seen * seen_slope
    determined = (determinant > LEAST_INDEPENDENCE * both) & (gain > LEAST_GAIN * determinant)
    shift = np.divide(moved, gain, out=np.zeros_like(moved), where=determined)
    return np.clip(shift, -LARGEST_STEP_PX, LARGEST_STEP_PX)
