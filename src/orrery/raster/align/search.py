"""Where one image lies in another, from everything that both show: one shift, to a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from orrery.raster.align.features import Array, Complex, Features

LEAST_COMMON = 0.3  # of the most valid ground that any shift has in common
MAD_TO_SIGMA = 1.48


@dataclass(frozen=True)
class Shift:
    """A shift of the moving image against the reference.

    Attributes:
        down, right: whole px.
        score: correlation there.
        distinctness: height over the scatter of the correlations at all other shifts, sigmas.
    """

    down: int
    right: int
    score: float
    distinctness: float


def find_shift(reference: Features, moving: Features, search_px: int) -> Shift:
    """The shift at which either feature stands out most.

    Args:
        reference: (H, W).
        moving: (H, W), on the same grid.
        search_px: largest shift in each direction.
    """
    pairs = ((reference.structure, moving.structure), (reference.edges, moving.edges))
    tries = [
        _highest(_correlations(one, other, reference.valid, moving.valid, search_px), search_px)
        for one, other in pairs
    ]
    return max(tries, key=lambda shift: shift.distinctness)


def _highest(scores: Array, search_px: int) -> Shift:
    row, column = np.unravel_index(int(scores.argmax()), scores.shape)
    score = float(scores[row, column])
    scatter = MAD_TO_SIGMA * float(np.median(np.abs(scores))) + 1e-9
    return Shift(int(row) - search_px, int(column) - search_px, score, score / scatter)


def _correlations(
    reference: Array | Complex,
    moving: Array | Complex,
    shown: NDArray[np.bool_],
    covered: NDArray[np.bool_],
    search_px: int,
) -> Array:
    """(2 S + 1, 2 S + 1) masked correlations at all shifts, their size if real; 0 where too little is in common."""
    height, width = (fft.next_fast_len(length + search_px) for length in reference.shape)
    index = [np.arange(-search_px, search_px + 1) % length for length in (height, width)]

    def cross(one: Array | Complex, other: Array | Complex) -> Array:
        spectrum = fft.fft2(one, (height, width)).conj() * fft.fft2(other, (height, width))
        return np.asarray(fft.ifft2(spectrum).real[index[0][:, None], index[1]])

    masks = [mask.astype(np.float32) for mask in (shown, covered)]
    energy = cross(np.abs(reference) ** 2, masks[1]) * cross(masks[0], np.abs(moving) ** 2)
    scores = cross(reference, moving) / np.sqrt(np.maximum(energy, 1e-6))
    common = cross(masks[0], masks[1])
    scores[common < LEAST_COMMON * common.max()] = 0
    return np.asarray(scores if np.iscomplexobj(reference) else np.abs(scores), np.float32)
