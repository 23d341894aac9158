"""A dense grid of sub-pixel tie points between two images on one grid that nearly fit already.

Windows under a Hann weight times the mask of what both images show; normalised cross-correlation of many windows at once
by FFT; the maximum of a parabola through nine values. Several features may be matched; each point keeps the clearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from orrery.raster.align.features import Array, Mask, shrunk
from orrery.raster.align.tiepoints import vertex

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Plane = NDArray[np.inexact[Any]]
Number = TypeVar("Number", bound=np.generic)
AT_ONCE = 64  # windows: a few tens of MB
RIM_PX = 4  # of ground left out beside invalid pixels
APART_PX = 4  # a second peak nearer than this is the first one's flank


@dataclass(frozen=True)
class Windows:
    """How windows are matched.

    Attributes:
        side_px: of a window; under the Hann weight about half of that counts.
        spacing_px: distance of their centres.
        margin_px: distance of the outermost centres from the image's edge.
        search_px: largest displacement in each direction.
        least_valid: share of a window's weight that must lie on ground that both images show.
        least_score: correlation at the peak.
        most_ambiguity: second highest peak over the highest.
    """

    side_px: int
    spacing_px: int
    margin_px: int
    search_px: int
    least_valid: float = 0.35
    least_score: float = 0.15
    most_ambiguity: float = 0.85


@dataclass(frozen=True)
class Matches:
    """What became of windows whose ground both images show; each field is (N,) or (N, ...).

    Attributes:
        rows, columns: centre of the window, px.
        down, right: where the moving image shows the same ground, from the centre, px.
        score: size of the correlation at the peak.
        clarity: score times one minus the second highest peak over the highest; 0 where there is no match.
        information: (N, 3) of the displacement, per px^2: down, mixed, right.
    """

    rows: Floats
    columns: Floats
    down: Floats
    right: Floats
    score: Floats
    clarity: Floats
    information: Floats

    def __len__(self) -> int:
        return self.rows.size

    @property
    def good(self) -> Mask:
        """(N,) which are matches."""
        return self.clarity > 0

    def where(self, chosen: Mask) -> Matches:
        """The windows for which `chosen` is true."""
        return Matches(*(getattr(self, field.name)[chosen] for field in fields(self)))


def match_dense(pairs: Sequence[tuple[Plane, Plane]], common: Mask, windows: Windows) -> Matches:
    """Seek the reference's windows in the moving image.

    Windows with too little common ground are left out; ambiguous, weak or rim-bound matches have no clarity.

    Args:
        pairs: features of reference and moving image, (H, W), on one grid; each window keeps the clearest one.
        common: (H, W), where both images are valid.
        windows: how they are matched.
    """
    side, half = windows.side_px, windows.side_px // 2
    mask = np.pad(shrunk(common, RIM_PX), half).astype(np.float32)
    planes = [(np.pad(one, half), np.pad(other, half)) for one, other in pairs]
    hann = np.hanning(side + 2)[1:-1].astype(np.float32)
    weight = np.outer(hann, hann)
    centres = _centres(common.shape, windows)
    found = [np.empty((9, 0))]
    for start in range(0, len(centres), AT_ONCE):
        some = centres[start : start + AT_ONCE]
        weights = _cut(mask, some, side) * weight
        enough = weights.sum((1, 2)) >= windows.least_valid * weight.sum()
        some, weights = some[enough], weights[enough]
        if len(some):
            tries = np.stack(
                [
                    _matched(_cut(one, some, side), _cut(other, some, side), weights, windows)
                    for one, other in planes
                ]
            )
            best = tries[tries[:, 3].argmax(0), :, np.arange(len(some))].T
            found.append(np.concatenate([some.T.astype(float), best]))
    rows, columns, down, right, score, clarity, *information = np.concatenate(found, axis=1)
    return Matches(rows, columns, down, right, score, clarity, np.stack(information, 1))


def _centres(shape: tuple[int, int], windows: Windows) -> Integers:
    """(N, 2) rows and columns of the windows' centres, evenly from margin to margin."""
    axes = []
    for length in shape:
        room = max(length - 1 - 2 * windows.margin_px, 0)
        first = (length - 1 - room) / 2
        count = round(room / windows.spacing_px) + 1
        axes.append(np.rint(first + np.linspace(0, room, count)).astype(np.int64))
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)


def _cut(plane: NDArray[Number], centres: Integers, side: int) -> NDArray[Number]:
    """(N, side, side) windows of a plane that was padded by half a side."""
    view = np.lib.stride_tricks.sliding_window_view(plane, (side, side))
    return view[centres[:, 0], centres[:, 1]]


def _matched(reference: Plane, moving: Plane, weights: Array, windows: Windows) -> Floats:
    """(7, N): down, right, score, clarity and information of one feature's windows."""
    scores = _correlations(reference, moving, weights, windows.search_px + 1)
    size = scores.shape[1]
    inner = scores[:, 1:-1, 1:-1].reshape(len(scores), -1)
    row, column = (index + 1 for index in np.divmod(inner.argmax(1), size - 2))
    one = np.arange(len(scores))
    near = np.arange(-1, 2)
    nine = scores[one[:, None, None], (row[:, None] + near)[:, :, None], (column[:, None] + near)[:, None]]
    (down, right), (over, mixed, across) = vertex(nine)
    score = scores[one, row, column].astype(float)
    away = [np.abs(np.arange(size) - index[:, None]) > APART_PX for index in (row, column)]
    second = np.where(away[0][:, :, None] | away[1][:, None], scores, 0).max((1, 2))
    ambiguity = second / np.maximum(score, 1e-6)
    rim = (row == 1) | (row == size - 2) | (column == 1) | (column == size - 2)
    peaked = (over * across > mixed**2) & (over < 0) & (np.maximum(abs(down), abs(right)) < 1) & ~rim
    kept = peaked & (score > windows.least_score) & (ambiguity < windows.most_ambiguity)
    clarity = np.where(kept, score * (1 - ambiguity), 0)
    # variance of a delay: noise over signal, over the curvature of the signal's correlation
    strength = score**2 / np.maximum(1 - score**2, 1e-3) / np.maximum(score, 1e-6)
    information = np.stack([-over, -mixed, -across]) * strength
    middle = windows.search_px + 1
    return np.concatenate([[row + down - middle, column + right - middle, score, clarity], information])


def _correlations(reference: Plane, moving: Plane, weights: Array, reach: int) -> Array:
    """(N, 2 reach + 1, 2 reach + 1) normalised correlations at displacements up to `reach`, their size if real."""
    total = weights.sum((1, 2), keepdims=True)
    pair = [
        (plane - (plane * weights).sum((1, 2), keepdims=True) / total) * weights
        for plane in (reference, moving)
    ]
    energy = np.sqrt(np.prod([(np.abs(plane) ** 2).sum((1, 2)) for plane in pair], axis=0)) + 1e-9
    side = fft.next_fast_len(weights.shape[1] + reach, real=True)
    index = np.arange(-reach, reach + 1) % side
    if np.iscomplexobj(reference):
        spectra = [fft.fft2(plane, (side, side)) for plane in pair]
        scores = fft.ifft2(spectra[0].conj() * spectra[1]).real
    else:
        spectra = [fft.rfft2(plane, (side, side)) for plane in pair]
        scores = np.abs(fft.irfft2(spectra[0].conj() * spectra[1], (side, side)))
    return np.asarray(scores[:, index[:, None], index] / energy[:, None, None], np.float32)
