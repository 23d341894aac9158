"""Refinement of an affine correction from whole images, by maximum likelihood.

What is observed is, at each frequency, a share H of what is predicted plus noise of a spectrum S; both are measured from
the pair itself in bins of frequency and bearing. The likelihood of the six numbers then weights each frequency by
H^2 / S, as the maximum-likelihood estimator of a delay does (Knapp and Carter 1976, IEEE Trans. ASSP 24, 320): noise,
stripes, albedo and the coarser model's missing detail weigh as little as they agree. Gauss-Newton steps; a Gaussian prior
on the six numbers keeps those small that the images do not tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from orrery.raster.align.affine import Floats, Spread, directions, from_numbers, numbers
from orrery.raster.grid import AffineMap, Grid

Array = NDArray[np.float32]
Spectrum = NDArray[np.complex128]
Predict = Callable[[AffineMap], Array]

# In postings of the coarser model: the longest wave is left to exposure and albedo, the shortest carries no signal.
LONGEST_WAVE = 25.0
SHORTEST_WAVE = 1.5
BIN_WIDTH = 0.35  # of the logarithm of the frequency
BEARINGS = 3  # classes of the squared cosine to the preferred direction
RIM = 0.06  # share of each side over which the window rises from 0 to 1
SHIFT_ONLY_STEPS = 3  # the shift must be near before the shape means anything
MAX_STEPS = 16
SETTLED_M = 0.05


@dataclass(frozen=True)
class Refinement:
    """A correction found from whole images.

    Attributes:
        map: from the coordinates of the observation to those of the model.
        covariance: (6, 6) of its numbers about the grid's centre, prior included.
    """

    map: AffineMap
    covariance: Floats


@dataclass(frozen=True)
class Bands:
    """Bins of frequency and bearing on the half plane of `rfft2`.

    Attributes:
        index: (H, W // 2 + 1) number of the bin; -1 outside all.
        twice: (H, W // 2 + 1) how many frequencies of the whole plane each one stands for.
        shape: number of (frequencies, bearings).
    """

    index: NDArray[np.int64]
    twice: Floats
    shape: tuple[int, int]

    def mean(self, power: Floats) -> Floats:
        """Each frequency's mean over its bin and, at half weight, over the neighbouring frequencies' bins."""
        inside = self.index >= 0
        total = np.bincount(self.index[inside], (power * self.twice)[inside], np.prod(self.shape))
        count = np.bincount(self.index[inside], self.twice[inside], np.prod(self.shape))
        total, count = (
            ndimage.convolve1d(sums.reshape(self.shape), [0.5, 1, 0.5], axis=0, mode="constant")
            for sums in (total, count)
        )
        means = (total / np.maximum(count, 1)).ravel()
        return np.asarray(np.where(inside, means[self.index], 0.0))


def refine(
    observed: Array,
    weight: Array,
    grid: Grid,
    predict: Predict,
    *,
    start: AffineMap,
    prior: Spread,
    around: AffineMap,
    bearing_deg: float,
    posting_m: float,
) -> Refinement:
    """Find the map from the observation's coordinates to the model's.

    Args:
        observed: (H, W); NaN without weight.
        weight: (H, W) from 0 to 1, how much of each pixel was seen.
        grid: of both.
        predict: what the model shows on `grid` when the grid's places are taken to the model's by a map; NaN beyond it.
        start: within about a posting of the truth.
        prior: expected size of the six numbers about the grid's centre.
        around: mean of the prior.
        bearing_deg: direction, clockwise from image up, in which signal and noise differ most: the sun's.
        posting_m: of the coarser model.
    """
    window = _window(grid.shape) * weight**2 * (np.isfinite(predict(start)) & np.isfinite(observed))
    bands = _bands(grid, bearing_deg, posting_m)
    seen = _windowed(np.nan_to_num(observed), window)
    moves = directions(*grid.xy(*np.indices(grid.shape)), grid.centre)
    # the window and gaps tie frequencies to their neighbours: so many of them are independent
    independent = float((window**2).sum() ** 2 / max((window**4).sum(), 1e-9) / window.size)
    mean, precision = numbers(around, grid.centre), np.diag(prior.vector() ** -2)
    six = numbers(start, grid.centre)
    for step in range(MAX_STEPS):
        model = np.nan_to_num(predict(from_numbers(six, grid.centre)))
        shown = _windowed(model, window)
        weights, gain = _weights(bands, seen, shown)
        weights = weights * np.sqrt(independent)
        tangents = np.stack(
            [(weights * gain * fft.rfft2(window * t)).ravel() for t in _tangents(model, grid, moves)]
        )
        residual = (weights * (seen - gain * shown)).ravel()
        information = (tangents @ tangents.conj().T).real + precision
        pull = (tangents.conj() @ residual).real + precision @ (mean - six)
        free = 2 if step < SHIFT_ONLY_STEPS else 6
        change = np.zeros(6)
        change[:free] = np.linalg.solve(information[:free, :free], pull[:free])
        six = six + change * min(1.0, posting_m / max(float(np.hypot(*change[:2])), 1e-9))
        if free == 6 and np.sqrt(2 * np.mean(np.square(change @ moves.reshape(6, -1)))) < SETTLED_M:
            break
    return Refinement(from_numbers(six, grid.centre), np.linalg.inv(information))


def _weights(bands: Bands, seen: Spectrum, shown: Spectrum) -> tuple[Floats, Floats]:
    """At each frequency the root of its weight, and the share of the model that is observed."""
    model = bands.mean(np.abs(shown) ** 2)
    common = bands.mean((seen * shown.conj()).real)
    gain = np.clip(common / np.maximum(model, 1e-12), 0, 3)
    unexplained = bands.mean(np.abs(seen) ** 2) - 2 * gain * common + gain**2 * model
    return np.sqrt(bands.twice / np.where(unexplained > 0, unexplained, np.inf)), gain


def _tangents(model: Array, grid: Grid, moves: Floats) -> Floats:
    """(6, H, W) change of the prediction with each of the six numbers."""
    down, right = np.gradient(model)
    inverse = ~grid.transform
    east, north = right * inverse.a + down * inverse.d, right * inverse.b + down * inverse.e
    shaped = moves.reshape(6, 2, *model.shape)
    return np.asarray(shaped[:, 0] * east + shaped[:, 1] * north)


def _windowed(values: Array, window: Floats) -> Spectrum:
    """Spectrum of the values less their mean, under the window."""
    mean = (window * values).sum() / max(float(window.sum()), 1e-9)
    return np.asarray(fft.rfft2(window * (values - mean)), np.complex128)


def _window(shape: tuple[int, int]) -> Floats:
    """(H, W), 1 inside and falling to 0 at the rim as a squared sine."""
    sides = []
    for length in shape:
        distance = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5)
        sides.append(np.sin(np.pi / 2 * np.clip(distance / (RIM * length), 0, 1)) ** 2)
    return np.outer(*sides)


def _bands(grid: Grid, bearing_deg: float, posting_m: float) -> Bands:
    right = np.fft.rfftfreq(grid.width, grid.gsd_m)[None, :]
    up = -np.fft.fftfreq(grid.height, grid.gsd_m)[:, None]
    frequency = np.hypot(right, up)
    bearing = np.radians(bearing_deg)
    cosine = (right * np.sin(bearing) + up * np.cos(bearing)) / np.maximum(frequency, 1e-12)
    lowest, highest = 1 / (LONGEST_WAVE * posting_m), 1 / (SHORTEST_WAVE * posting_m)
    count = int(np.ceil(np.log(highest / lowest) / BIN_WIDTH))
    ring = np.floor(np.log(np.maximum(frequency, 1e-12) / lowest) / BIN_WIDTH).astype(np.int64)
    sector = np.minimum((cosine**2 * BEARINGS).astype(np.int64), BEARINGS - 1)
    inside = (ring >= 0) & (frequency < highest)
    twice = np.full(frequency.shape, 2.0)
    twice[:, 0] = 1
    if grid.width % 2 == 0:
        twice[:, -1] = 1
    return Bands(np.where(inside, ring * BEARINGS + sector, -1), twice, (count, BEARINGS))
