"""How good a height map is: the paper's measures, and ours in metres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.photometry import Sun
from orrery.raster.shade import slope_deg, slopes

Array = NDArray[np.float32]
BORDER_PX = 32  # the outermost pixels see only half of their surroundings, whatever the method
TILE_PX = (256, 320)  # the paper's tile: its measures are defined on heights normalised by one
REL_FLOOR = 0.05  # normalised height below which REL would divide by (nearly) zero, which Eq. 3 makes certain
COHERENCE_BINS_PER_OCTAVE = 8
RESOLVED = 0.5


def height_metrics(predicted_m: Array, truth_m: Array, coarse_m: Array, gsd_m: float) -> dict[str, float]:
    """Measures in metres and degrees over valid pixels of a scene, the border left out.

    Args:
        predicted_m: (H, W) heights, m; NaN where unknown.
        truth_m: true ones.
        coarse_m: of the coarse DEM.
        gsd_m: pixel size, m.
    """
    predicted, truth, coarse = (inner(plane) for plane in (predicted_m, truth_m, coarse_m))
    error = predicted - truth
    slope_error = slope_deg(predicted, gsd_m) - slope_deg(truth, gsd_m)
    size = np.abs(error[np.isfinite(error)])
    return {
        "rmse_m": float(np.sqrt(np.mean(size**2))),
        "mae_m": float(size.mean()),
        "re_1m": float((size < 1).mean()),
        "re_2m": float((size < 2).mean()),
        "re_4m": float((size < 4).mean()),
        "re_10m": float((size < 10).mean()),
        "slope_mae_deg": float(np.nanmean(np.abs(slope_error))),
        "rmse_to_coarse_m": float(np.sqrt(np.nanmean((predicted - coarse) ** 2))),
    }


def paper_metrics(predicted_m: Array, truth_m: Array, coarse_m: Array) -> dict[str, float]:
    """The paper's measures (Eqs. 9 to 11) on heights normalised by the coarse DEM's statistics of each 256 x 320 tile.

    REL leaves out normalised heights below `REL_FLOOR`; `rel_masked` is the share left out.
    """
    rows = []
    for cut in _tiles(*truth_m.shape):
        coarse, truth, predicted = coarse_m[cut], truth_m[cut], predicted_m[cut]
        mean, spread = np.nanmean(coarse), max(float(np.nanstd(coarse)), 1e-3)
        bias = np.nanmin((coarse - mean) / spread)
        z, error = (truth - mean) / spread - bias, (predicted - truth) / spread
        size, counted = np.abs(error), np.isfinite(error)
        kept = counted & (z > REL_FLOOR)
        rows.append(
            [
                *((size[counted] < limit).mean() for limit in (0.1, 0.25, 0.5)),
                (size[kept] / z[kept]).mean(),
                (size[counted] ** 2).mean(),
                1 - kept.sum() / counted.sum(),
            ]
        )
    names = ("delta_0.1", "delta_0.25", "delta_0.5", "rel", "mse", "rel_masked")
    return {name: float(value) for name, value in zip(names, np.mean(rows, 0), strict=True)}


def directional_slope_error(predicted_m: Array, truth_m: Array, gsd_m: float, sun: Sun) -> dict[str, float]:
    """Slope error over slope, both rms, along the sun's azimuth and across it: shading sees only the first."""
    azimuth = np.radians(sun.azimuth_deg)
    error, true = (slopes(inner(plane), gsd_m) for plane in (predicted_m - truth_m, truth_m))

    def ratio(right: float, up: float) -> float:
        wrong, there = (right * x + up * y for x, y in (error, true))
        return float(np.sqrt(np.nanmean(wrong**2) / np.nanmean(there**2)))

    return {
        "slope_error_along_sun": ratio(float(np.sin(azimuth)), float(np.cos(azimuth))),
        "slope_error_across_sun": ratio(float(np.cos(azimuth)), -float(np.sin(azimuth))),
    }


def coverage(predicted_m: Array, sigma_m: Array, truth_m: Array) -> float:
    """Share of valid pixels whose error is within the predicted 1-sigma."""
    error, sigma = np.abs(inner(predicted_m - truth_m)), inner(sigma_m)
    known = np.isfinite(error) & np.isfinite(sigma)
    return float((error[known] <= sigma[known]).mean()) if known.any() else float("nan")


def effective_resolution_m(predicted_m: Array, truth_m: Array, gsd_m: float) -> float:
    """Shortest wavelength down to which prediction and truth cohere by at least one half, m.

    The signed coherence of the height gradients is averaged over annuli of an eighth of an octave.
    """
    wavelengths, coherence = gradient_coherence(inner(predicted_m), inner(truth_m))
    lost = np.flatnonzero(coherence < RESOLVED)
    return float(wavelengths[lost[0]] if len(lost) else wavelengths[-1]) * gsd_m


def gradient_coherence(a: Array, b: Array) -> tuple[Array, Array]:
    """Wavelengths in px, falling, and the signed coherence of two maps' gradients there."""
    window = np.outer(*(np.hanning(size) for size in a.shape))
    k = np.hypot(np.fft.fftfreq(a.shape[0])[:, None], np.fft.fftfreq(a.shape[1])[None])
    lowest = 4 / min(a.shape)
    bins = np.floor(np.log2(np.maximum(k, 1e-6) / lowest) * COHERENCE_BINS_PER_OCTAVE).astype(int).ravel()
    count = int(np.log2(0.5 / lowest) * COHERENCE_BINS_PER_OCTAVE)
    inside = (bins >= 0) & (bins < count)
    sums = np.zeros((3, count))
    for axis in (0, 1):
        spectra = [
            np.fft.fft2(_centred(np.gradient(plane, axis=axis)) * window).ravel()[inside] for plane in (a, b)
        ]
        products = (spectra[0] * np.conj(spectra[1])).real, np.abs(spectra[0]) ** 2, np.abs(spectra[1]) ** 2
        for total, product in zip(sums, products, strict=True):
            total += np.bincount(bins[inside], product, count)
    centres = lowest * 2 ** ((np.arange(count) + 0.5) / COHERENCE_BINS_PER_OCTAVE)
    coherence = sums[0] / np.sqrt(sums[1] * sums[2] + 1e-30)
    return (1 / centres).astype(np.float32), coherence.astype(np.float32)


def cross_sun_spread_m(predictions_m: Sequence[Array]) -> float:
    """Rms over pixels of the standard deviation between predictions of one ground under several suns, m."""
    stack = np.stack([inner(plane) for plane in predictions_m])
    return float(np.sqrt(np.nanmean(np.nanvar(stack, axis=0, ddof=1))))


def inner(plane: Array) -> Array:
    """A plane without its border."""
    return plane[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]


def _centred(plane: Array) -> Array:
    return np.nan_to_num(plane - np.nanmean(plane))


def _tiles(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """The whole tiles of the paper's size that fit into a scene side by side."""
    rows, columns = TILE_PX
    for row in range(0, height - rows + 1, rows):
        for column in range(0, width - columns + 1, columns):
            yield slice(row, row + rows), slice(column, column + columns)
