"""What two images of one ground share whatever their tones: fine structure and the direction of edges.

Plain brightness differs between bands: albedo units, gamma, even the sign of contrast. Two features survive. *Structure*
is a difference of Gaussians over its local standard deviation; where contrast is inverted it changes its sign as a whole,
so its correlation is compared by size. *Edges* are gradients with their angle doubled, which inversion leaves alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[np.float32]
Complex = NDArray[np.complex64]
Mask = NDArray[np.bool_]
REACH = 3.0  # sigmas of padding: what wraps around is below a percent
LEAST_WEIGHT = 1e-3
STRIPE_SIGMA_PX = 12.0
NINE_IN_TEN = 1.645  # sigmas
SPIKE = 10.0  # standard deviations from the median of nine pixels


@dataclass(frozen=True)
class Scales:
    """Standard deviations of the Gaussians of the features, px.

    Attributes:
        fine: noise below it is smoothed away.
        coarse: forms above it are left out.
        local: over which contrast is levelled.
    """

    fine: float
    coarse: float
    local: float


@dataclass(frozen=True)
class Means:
    """Gaussian means of planes that share one mask, by way of one Fourier transform each."""

    mask: Mask
    reach_px: float

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Of the padded planes."""
        pad = int(REACH * self.reach_px)
        height, width = (fft.next_fast_len(length + pad, real=True) for length in self.mask.shape)
        return height, width

    @cached_property
    def weights(self) -> dict[float, Array]:
        """Share of valid ground under each Gaussian, by sigma."""
        return {}

    def spectrum(self, values: Array) -> Complex:
        """Of values that are 0 where the mask is false."""
        return np.asarray(fft.rfft2(values, self.shape), np.complex64)

    def mean(self, spectrum: Complex, sigma_px: float) -> Array:
        """Mean of the valid values under a Gaussian about each pixel, (H, W)."""
        if sigma_px not in self.weights:
            share = self._smooth(self.spectrum(self.mask.astype(np.float32)), sigma_px)
            self.weights[sigma_px] = np.maximum(share, np.float32(LEAST_WEIGHT))
        return np.asarray(self._smooth(spectrum, sigma_px) / self.weights[sigma_px], np.float32)

    def _smooth(self, spectrum: Complex, sigma_px: float) -> Array:
        height, width = self.shape
        down, right = (
            np.exp(-2 * (np.pi * sigma_px * frequency) ** 2).astype(np.float32)
            for frequency in (np.fft.fftfreq(height), np.fft.rfftfreq(width))
        )
        smooth = fft.irfft2(spectrum * down[:, None] * right, self.shape)
        return np.asarray(smooth[: self.mask.shape[0], : self.mask.shape[1]], np.float32)


@dataclass(frozen=True)
class Features:
    """Both features of an image, 0 where it is invalid.

    Attributes:
        structure: (H, W) real.
        edges: (H, W) complex.
        valid: (H, W).
    """

    structure: Array
    edges: Complex
    valid: Mask


def features(values: Array, scales: Scales) -> Features:
    """Both features of an image, NaN where invalid."""
    means = Means(np.isfinite(values), scales.local)
    fine, coarse = _smoothed(values, means, scales)
    return Features(
        _levelled((fine - coarse) * means.mask, means, scales), _edges(fine, means, scales), means.mask
    )


def structure(values: Array, scales: Scales) -> Array:
    """The first feature alone."""
    means = Means(np.isfinite(values), scales.local)
    fine, coarse = _smoothed(values, means, scales)
    return _levelled((fine - coarse) * means.mask, means, scales)


def _smoothed(values: Array, means: Means, scales: Scales) -> tuple[Array, Array]:
    """The image under the fine and the coarse Gaussian, less its mean."""
    valid = means.mask
    middle = np.float32(values[valid].mean(dtype=np.float64)) if valid.any() else np.float32(0)
    spectrum = means.spectrum(np.where(valid, values - middle, np.float32(0)))
    return means.mean(spectrum, scales.fine), means.mean(spectrum, scales.coarse)


def _edges(smooth: Array, means: Means, scales: Scales) -> Complex:
    """Gradients at double their angle, less their local mean, over their local size."""
    down, right = np.gradient(smooth)
    size = np.hypot(down, right) + np.float32(1e-12)
    doubled = np.stack([(right**2 - down**2) / size, 2 * right * down / size]) * means.mask
    parts = [
        (part - means.mean(means.spectrum(part), scales.local)) * means.mask
        for part in _levelled(doubled, means, scales)
    ]
    return np.asarray(parts[0] + np.complex64(1j) * parts[1], np.complex64)


def _levelled(values: Array, means: Means, scales: Scales) -> Array:
    """Values over their local root mean square; ground without any contrast stays near 0."""
    power = values**2 if values.ndim == 2 else (values**2).sum(0)
    local = means.mean(means.spectrum(power), scales.local)
    floor = 1e-3 * float(np.sqrt(power[means.mask].mean())) if means.mask.any() else 0.0
    return np.asarray(values / (np.sqrt(np.maximum(local, 0)) + np.float32(floor + 1e-12)), np.float32)


def despiked(values: Array) -> Array:
    """An image whose lone wild pixels have the median of their neighbours; a spline would spread them.

    Args:
        values: (H, W) at the camera's own sampling; NaN invalid.
    """
    valid = np.isfinite(values)
    if not valid.any():
        return values
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    medians = ndimage.median_filter(values[tuple(nearest)], 3)
    off = np.abs(values - medians)
    spread = float(np.quantile(off[valid], 0.9)) / NINE_IN_TEN  # in smooth ground most pixels are the median
    return np.where(off > SPIKE * spread, medians, values) if spread > 0 else values


def destriped(values: Array) -> Array:
    """An image without the column offsets of a push-broom camera: medians over columns of what is finer than 12 px.

    Args:
        values: (H, W) in the camera's own columns, or in a map whose columns nearly follow them; NaN invalid.
    """
    valid = np.isfinite(values)
    means = Means(valid, STRIPE_SIGMA_PX)
    if not valid.any():
        return values
    middle = np.float32(values[valid].mean(dtype=np.float64))
    smooth = middle + means.mean(
        means.spectrum(np.where(valid, values - middle, np.float32(0))), STRIPE_SIGMA_PX
    )
    columns = valid.any(0)
    offsets = np.zeros(values.shape[1], np.float32)
    offsets[columns] = np.nanmedian((values - smooth)[:, columns], axis=0)
    return values - offsets


def shrunk(mask: Mask, margin_px: int) -> Mask:
    """A mask less what lies within a margin of its own rim or the image's: features there lean on few pixels."""
    return np.asarray(ndimage.minimum_filter(mask, 2 * margin_px + 1, mode="constant", cval=False))
