"""Linear photoclinometry in closed form: heights from shading by one Wiener filter (FFT).

To first order the brightness of a gently sloping surface, divided by that of flat ground, is
``1 - (dR/dmu0 / R) (s_x dz/dx + s_y dz/dy)`` (Pentland 1990); with the power spectra of the heights that the coarse DEM
lacks and of everything that is not shading, the least-squares inverse is a Wiener filter. Heights are in px
(m / GSD), so that one set of spectra serves images of any scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize

from orrery.files import read_as
from orrery.instruments.photometry import Sun, mcewen_weight

Array = NDArray[np.float32]
PAD_PX = 96
# log10 relief, its exponent, log10 white, log10 red, its exponent: where the search begins, and its first steps
START = np.array([-4.7, 4.2, -3.0, -4.0, 2.2])
STEPS = np.array([0.5, 0.4, 0.5, 0.5, 0.4])
EVALUATIONS = 40
SHADING_CLIP = 0.8
POINT_SPREAD_SIGMA_PX = 0.7
COARSE_SIGMA_POSTINGS = 0.5  # smoothing of a coarse DEM, as a Gaussian sigma in its own postings


@dataclass(frozen=True)
class Spectra:
    """Power laws P(k) of the twin, k in cycles/px: heights missing from the coarse DEM and what is not shading.

    Attributes:
        relief, relief_exponent: P = relief * k ** -relief_exponent, px^2; cut below the coarse DEM's resolution.
        floor: P of the coarse DEM's own errors where it resolves the relief, px^2.
        white: flat floor of the brightness residual (noise, rocks, non-linearity), relative brightness squared.
        red, red_exponent: P = red * k ** -red_exponent of the brightness residual (albedo).
    """

    relief: float
    relief_exponent: float
    floor: float
    white: float
    red: float
    red_exponent: float

    def heights(self, k: Array, posting_px: float) -> Array:
        """Prior spectrum of the heights that a coarse DEM of `posting_px` lacks, px^2."""
        seen = np.exp(-2 * (np.pi * k * COARSE_SIGMA_POSTINGS * posting_px) ** 2)
        return np.asarray(
            self.relief * k**-self.relief_exponent * (1 - seen) ** 2 + self.floor * seen, np.float32
        )

    def noise(self, k: Array) -> Array:
        """Spectrum of the brightness that shading does not explain."""
        return np.asarray(self.white + self.red * k**-self.red_exponent, np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for a recipe file; `Spectra(**d)` reads them back."""
        return asdict(self)


def spectra_of(patches: Path) -> Spectra:
    """What the patch stage found about the training scenes.

    Raises:
        OrreryError: it is missing or damaged.
    """
    return read_as(patches / "spectra.json", Spectra, "a file of spectra", "run the patch stage again")


def gain(sun: Sun) -> tuple[float, float]:
    """Relative brightness change per unit slope to the right and upwards: -(dR/dmu0 / R) (s_x, s_y), Lunar-Lambert."""
    right, up, mu0 = sun.vector()
    weight = float(mcewen_weight(sun.incidence_deg))
    flat = 2 * weight * mu0 / (mu0 + 1) + (1 - weight) * mu0
    slope = 2 * weight / (mu0 + 1) ** 2 + (1 - weight)
    return -slope / flat * right, -slope / flat * up


def solve(shading: Array, sun: Sun, spectra: Spectra, posting_px: float) -> Array:
    """Heights above the coarse DEM, px, from the brightness that the coarse DEM does not explain.

    Args:
        shading: (H, W) relative brightness minus the rendered coarse DEM's; NaN counts as no information.
        sun: direction in the image frame.
        spectra: prior and noise.
        posting_px: posting of the coarse DEM in image px.
    """
    pad = [(min(PAD_PX, size - 1),) * 2 for size in shading.shape]
    clean = np.clip(np.nan_to_num(shading), -SHADING_CLIP, SHADING_CLIP)
    padded = np.pad(clean, pad, mode="reflect") * _taper(clean.shape, pad)
    ky, kx = np.fft.fftfreq(padded.shape[0])[:, None], np.fft.rfftfreq(padded.shape[1])[None]
    k = np.hypot(ky, kx).astype(np.float32)
    k[0, 0] = 1 / max(padded.shape)
    right, up = gain(sun)
    blur = np.exp(-2 * (np.pi * k * POINT_SPREAD_SIGMA_PX) ** 2)
    # rows run downwards: a slope upwards is minus the derivative along rows
    transfer = 1j * (right * np.sin(2 * np.pi * kx) - up * np.sin(2 * np.pi * ky)) * blur
    prior = spectra.heights(k, posting_px)
    wiener = np.conj(transfer) * prior / (np.abs(transfer) ** 2 * prior + spectra.noise(k))
    heights = fft.irfft2(fft.rfft2(padded) * wiener, s=padded.shape)
    (top, _), (left, _) = pad
    return np.asarray(heights[top : top + shading.shape[0], left : left + shading.shape[1]], np.float32)


def fit_spectra(
    residuals: Sequence[Array], brightness: Sequence[Array], suns: Sequence[Sun], posting_px: float
) -> Spectra:
    """The power laws that recover the training scenes' heights best.

    The coarse DEM's own error is measured; the rest is sought, since what matters is not either spectrum by itself
    (part of the brightness that linear shading leaves is a function of the relief) but the filter that they make.

    Args:
        residuals: (H, W) true minus coarse heights, px.
        brightness: (H, W) relative brightness minus the rendered coarse DEM's, on the same pixels.
        suns: the direction of each.
        posting_px: posting of the coarse DEMs in px.
    """
    k, power = _radial_mean([_power(residual) for residual in residuals])
    floor = float(np.median(power[k < 0.3 / posting_px]))

    def spectra(x: Array) -> Spectra:
        relief, relief_exponent, white, red, red_exponent = (float(value) for value in x)
        return Spectra(10**relief, relief_exponent, floor, 10**white, 10**red, red_exponent)

    def error(x: Array) -> float:
        return _error(spectra(x), residuals, brightness, suns, posting_px)

    found = optimize.minimize(
        error, START, method="Nelder-Mead", options={"initial_simplex": _simplex(), "maxfev": EVALUATIONS}
    )
    return spectra(found.x)


def _simplex() -> Array:
    """The start and one step along each parameter."""
    return np.vstack([START, START + np.diag(STEPS)])


def _error(
    spectra: Spectra,
    residuals: Sequence[Array],
    brightness: Sequence[Array],
    suns: Sequence[Sun],
    posting_px: float,
) -> float:
    """Mean over scenes of the rms height error over that of the coarse DEM."""
    ratios = []
    for residual, shading, sun in zip(residuals, brightness, suns, strict=True):
        left = residual - solve(shading, sun, spectra, posting_px)
        ratios.append(np.nanstd(left) / np.nanstd(residual))
    return float(np.mean(ratios))


def _power(field: Array) -> Array:
    """Power spectrum, such that white noise of variance v gives v at every frequency."""
    window = np.outer(*(np.hanning(size) for size in field.shape))
    clean = np.nan_to_num(field - np.nanmean(field))
    return np.asarray(np.abs(np.fft.fft2(clean * window)) ** 2 / (window**2).sum(), np.float32)


def _radial_mean(powers: Sequence[Array], bins: int = 96) -> tuple[Array, Array]:
    """Mean over annuli and fields: centre frequencies, cycles/px, and power."""
    total, count = np.zeros(bins), np.zeros(bins)
    for power in powers:
        k = np.hypot(np.fft.fftfreq(power.shape[0])[:, None], np.fft.fftfreq(power.shape[1])[None])
        index = (k / 0.5 * bins).astype(int).ravel()
        inside = index < bins
        total += np.bincount(index[inside], power.ravel()[inside], bins)
        count += np.bincount(index[inside], minlength=bins)
    centres = (np.arange(bins) + 0.5) / bins * 0.5
    return centres.astype(np.float32), (total / np.maximum(count, 1)).astype(np.float32)


def _taper(shape: tuple[int, ...], pad: Sequence[tuple[int, int]]) -> Array:
    """One over the image, falling to zero over the padding as half a cosine."""
    edges = []
    for size, (width, _) in zip(shape, pad, strict=True):
        rise = 0.5 - 0.5 * np.cos(np.pi * (np.arange(width) + 0.5) / max(width, 1))
        edges.append(np.concatenate([rise, np.ones(size), rise[::-1]]))
    return np.outer(*edges).astype(np.float32)
