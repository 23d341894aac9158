"""Whole-pixel disparities: the best normalised cross-correlation over a range, seen from either image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Array = NDArray[np.float32]

LEAST_VARIANCE = 1e-3  # squared counts; a window without any texture correlates with nothing


@dataclass(frozen=True)
class Search:
    """The best disparity of every pixel of the left image, all (H, W).

    Attributes:
        disparity_px: with a parabola's fraction of a pixel.
        correlation: at it, -1 to 1.
        backward_px: disparity that the pixel found in the right image has when it is the right one that searches.
    """

    disparity_px: Array
    correlation: Array
    backward_px: Array


def search(left: Array, right: Array, window_px: int, lowest_px: int, highest_px: int) -> Search:
    """Correlate square windows at every whole disparity of a range.

    Args:
        left: (H, W), finite.
        right: (Hr, W), finite.
        window_px: side of the window.
        lowest_px: of the range.
        highest_px: of the range, included.
    """
    scorer = _Scorer(left, right, window_px)
    shape, rows = left.shape, np.arange(left.shape[0])
    best, place = np.full(shape, -2, np.float32), np.zeros(shape, np.float32)
    around = np.zeros((2, *shape), np.float32)
    backward_best, backward = np.full(right.shape, -2, np.float32), np.zeros(right.shape, np.float32)
    older, old = scorer.at(lowest_px - 1), scorer.at(lowest_px)
    for shift in range(lowest_px, highest_px + 1):
        new = scorer.at(shift + 1)
        better = old > best
        np.copyto(best, old, where=better)
        np.copyto(place, shift, where=better)
        np.copyto(around[0], older, where=better)
        np.copyto(around[1], new, where=better)
        inside = rows[(rows + shift >= 0) & (rows + shift < right.shape[0])]
        if inside.size:
            seen, from_right = (
                slice(inside[0], inside[-1] + 1),
                slice(inside[0] + shift, inside[-1] + shift + 1),
            )
            better = old[seen] > backward_best[from_right]
            np.copyto(backward_best[from_right], old[seen], where=better)
            np.copyto(backward[from_right], shift, where=better)
        older, old = old, new
    found = np.clip(rows[:, None] + place, 0, right.shape[0] - 1).astype(np.intp)
    return Search(place + _vertex(best, around), best, np.take_along_axis(backward, found, 0))


def _vertex(best: Array, around: Array) -> Array:
    """Offset of the top of the parabola through three correlations, px within half a pixel."""
    bend = around[0] - 2 * best + around[1]
    offset = np.where(bend < -1e-6, 0.5 * (around[0] - around[1]) / np.minimum(bend, -1e-6), 0)
    return np.asarray(np.clip(offset, -0.5, 0.5), np.float32)


class _Scorer:
    """Correlation of all windows of two images at a whole shift of rows."""

    def __init__(self, left: Array, right: Array, window_px: int) -> None:
        self.window_px = window_px
        self.left, self.right = left - left.mean(), right - right.mean()
        self.left_mean, self.left_scale = self._moments(self.left)
        self.right_mean, self.right_scale = self._moments(self.right)

    def _box(self, values: Array) -> Array:
        return np.asarray(ndimage.uniform_filter(values, self.window_px, mode="nearest"), np.float32)

    def _moments(self, values: Array) -> tuple[Array, Array]:
        mean = self._box(values)
        variance = self._box(values * values) - mean * mean
        return mean, np.asarray(1 / np.sqrt(np.maximum(variance, LEAST_VARIANCE)), np.float32)

    def at(self, shift_px: int) -> Array:
        """(H, W) correlations; -2 where the shift leads out of the right image."""
        height, width = self.left.shape
        score = np.full((height, width), -2, np.float32)
        first, stop = max(0, -shift_px), min(height, self.right.shape[0] - shift_px)
        if first >= stop:
            return score
        here, there = slice(first, stop), slice(first + shift_px, stop + shift_px)
        score[here] = self._box(self.left[here] * self.right[there])
        score[here] -= self.left_mean[here] * self.right_mean[there]
        score[here] *= self.left_scale[here] * self.right_scale[there]
        return score
