"""Images weighted, frequency by frequency, with how much they agree: after that their correlation is sharpest.

Two images that nearly fit differ by noise, blur and texture of their own. Where they share the squared coherence g, the
maximum-likelihood estimator of a delay gives the whitened cross-spectrum the weight g / (1 - g) (Knapp and Carter 1976, IEEE
Trans. ASSP 24, 320). Half of that weight goes to each image, so that a plain correlation has all of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from orrery.raster.align.features import Array, Mask, Means, Scales, structure

Floats = NDArray[np.float64]
SCALES = Scales(0.7, 10.0, 24.0)  # structure with nearly all its detail: the weights decide about it
SIGN_PX = 16.0  # over which contrast keeps its sign
LIMIT = 4.0  # standard deviations at which structure is clipped: spikes and crater rims
LONGEST_PX, SHORTEST_PX = 125.0, 2.0  # waves
BINS = 24  # of the logarithm of the frequency
MOST = 0.98  # coherence: more would lean on single frequencies


def agreed(reference: Array, moving: Array) -> tuple[Array, Array, Mask]:
    """Structure of two images that fit to within a pixel or two, each under the weights of what they share.

    Args:
        reference: (H, W), NaN invalid.
        moving: (H, W), on the same grid; its contrast may be inverted in parts.

    Returns:
        both, 0 where either is invalid; and where both are valid.
    """
    common = np.isfinite(reference) & np.isfinite(moving)
    one, other = (np.clip(_structure(values), -LIMIT, LIMIT) * common for values in (reference, moving))
    sign_means = Means(common, SIGN_PX)
    sign = np.sign(sign_means.mean(sign_means.spectrum(one * other), SIGN_PX))
    weighted = _weighted(one, (other * sign).astype(np.float32))
    local = Means(common, SCALES.local)
    return _level(weighted[0], local), _level(weighted[1], local), common


def _level(plane: Array, local: Means) -> Array:
    """A plane over its local root mean square, 0 outside the mask."""
    power = local.mean(local.spectrum(plane**2 * local.mask), SCALES.local)
    return np.asarray(plane * local.mask / np.sqrt(np.maximum(power, 1e-6)), np.float32)


def _structure(values: Array) -> Array:
    return structure(values, SCALES)


def _weighted(one: Array, other: Array) -> tuple[Array, Array]:
    """Two planes under the weights of what they share; of unit spread."""
    height, width = (fft.next_fast_len(length + int(LONGEST_PX), real=True) for length in one.shape)
    spectra = [fft.rfft2(plane, (height, width)) for plane in (one, other)]
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    place = _place(frequency)
    power = [_binned(np.abs(spectrum) ** 2, place) for spectrum in spectra]
    common = np.maximum(_binned((spectra[0] * spectra[1].conj()).real, place), 0)
    coherence = np.minimum(common**2 / np.maximum(power[0] * power[1], 1e-12), MOST)
    weight = np.sqrt(coherence / (1 - coherence))
    inside = (frequency > 1 / (2 * LONGEST_PX)).astype(np.float32)
    planes = []
    for spectrum, own in zip(spectra, power, strict=True):
        gain = np.interp(place, np.arange(BINS) + 0.5, weight / np.sqrt(np.maximum(own, 1e-12))).astype(
            np.float32
        )
        plane = fft.irfft2(spectrum * gain * inside, (height, width))[: one.shape[0], : one.shape[1]]
        planes.append(np.asarray(plane / max(float(plane.std()), 1e-9), np.float32))
    return planes[0], planes[1]


def _place(frequency: Floats) -> Floats:
    """Bin, with fractions, of frequencies in cycles a pixel."""
    lowest, highest = np.log(1 / LONGEST_PX), np.log(1 / SHORTEST_PX)
    place = (np.log(np.maximum(frequency, 1e-6)) - lowest) / (highest - lowest) * BINS
    return np.asarray(np.clip(place, 0, BINS - 1e-6))


def _binned(power: Floats, place: Floats) -> Floats:
    """(BINS,) means, each with half of its neighbours."""
    index = place.astype(np.int64).ravel()
    sums, counts = np.bincount(index, power.ravel(), BINS), np.bincount(index, minlength=BINS)
    sums, counts = (
        ndimage.convolve1d(values.astype(float), [0.5, 1, 0.5], mode="constant") for values in (sums, counts)
    )
    return np.asarray(sums / np.maximum(counts, 1))
