"""The large forms on which craters lie: self-affine ground, massifs and the walls of large craters."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

BASELINE_M = 100.0


def self_affine(
    shape: tuple[int, int],
    gsd_m: float,
    hurst: float,
    rng: np.random.Generator,
    *,
    smoothing_m: float = 0.0,
    longest_m: float = np.inf,
) -> Array:
    """Ground whose height differences grow like distance to the power `hurst`.

    Scaled so that points 100 m apart differ by 1 in the root mean square; the mean is left to chance.

    Args:
        shape: (H, W), px.
        gsd_m: pixel size.
        hurst: Hurst exponent, between 0 and 1.
        rng: stream of the phases.
        smoothing_m: standard deviation of the Gaussian that creep has blurred the ground with.
        longest_m: waves well beyond this length are left out.
    """
    # A quarter more than needed, so that opposite edges of the periodic field do not meet in the cut.
    periodic = tuple(fft.next_fast_len(n + n // 4, real=True) for n in shape)
    noise = fft.rfft2(rng.standard_normal(periodic, dtype=np.float32))
    noise *= _amplitude(periodic, gsd_m, hurst, smoothing_m, longest_m)
    field = np.asarray(fft.irfft2(noise, s=periodic), np.float32)[: shape[0], : shape[1]]
    return field / _rms_difference(field, gsd_m)


@lru_cache(maxsize=8)
def _amplitude(
    shape: tuple[int, int], gsd_m: float, hurst: float, smoothing_m: float, longest_m: float
) -> Array:
    """Filter of white noise, on the half plane of `rfft2`; the power of a surface falls as k^-(2H + 2)."""
    frequency = np.hypot(np.fft.fftfreq(shape[0], gsd_m)[:, None], np.fft.rfftfreq(shape[1], gsd_m))
    frequency[0, 0] = np.inf
    amplitude = frequency ** (-hurst - 1)
    frequency[0, 0] = 0
    amplitude *= np.exp(-2 * (np.pi * smoothing_m * frequency) ** 2)
    if np.isfinite(longest_m):
        amplitude *= 1 - np.exp(-((longest_m * frequency) ** 2))
    return np.asarray(amplitude, np.float32)


def _rms_difference(field: Array, gsd_m: float) -> np.float32:
    """Root mean square difference of points `BASELINE_M` apart in a row or a column (at most half the field)."""
    lag = min(max(1, round(BASELINE_M / gsd_m)), min(field.shape) // 2)
    across, down = field[:, lag:] - field[:, :-lag], field[lag:] - field[:-lag]
    per_lag = np.sqrt((np.square(across).mean() + np.square(down).mean()) / 2)
    return np.float32(per_lag)


def massif(shape: tuple[int, int], gsd_m: float, relief_m: float, rng: np.random.Generator) -> Array:
    """Rounded, elongated hills of a mountain, m: some ridges of random bearing, the highest of about `relief_m`."""
    rows, columns = np.indices(shape, np.float32) * np.float32(gsd_m)
    height = np.zeros(shape, np.float32)
    for share in (1.0, 0.7, 0.5, 0.35):
        bearing = rng.uniform(0, np.pi)
        x = columns - np.float32(rng.uniform(0, columns[-1, -1]))
        y = rows - np.float32(rng.uniform(0, rows[-1, -1]))
        length_m, width_m = rng.uniform(1200, 2500), rng.uniform(500, 900)
        along = (x * np.float32(np.cos(bearing)) + y * np.float32(np.sin(bearing))) / np.float32(length_m)
        across = (y * np.float32(np.cos(bearing)) - x * np.float32(np.sin(bearing))) / np.float32(width_m)
        height += np.float32(share * relief_m) * np.exp(-(along**2 + across**2) / 2)
    return height


def crater_wall(
    shape: tuple[int, int], gsd_m: float, relief_m: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The wall of a large crater across the middle of the field: floor, terraced wall, rim crest and outer flank.

    Args:
        shape: (H, W), px.
        gsd_m: pixel size.
        relief_m: floor to crest, about.
        rng: stream of its form.

    Returns:
        Heights, m, and how much each pixel belongs to the steep wall, 0 to 1.
    """
    rows, columns = np.indices(shape, np.float32) * np.float32(gsd_m)
    x, y = columns - columns[-1, -1] / 2, rows - rows[-1, -1] / 2
    bearing, radius_m, crest_m = rng.uniform(0, 2 * np.pi), rng.uniform(4000, 9000), rng.uniform(200, 600)
    cosine, sine = np.float32(np.cos(bearing)), np.float32(np.sin(bearing))
    across, along = x * cosine + y * sine, y * cosine - x * sine
    # Outwards from the crest, which bends around the crater's middle and wanders with the slumps of its wall.
    outwards = np.hypot(across + np.float32(radius_m - crest_m), along) - np.float32(radius_m)
    outwards += 14 * self_affine(shape, gsd_m, 0.8, rng, smoothing_m=60)
    distance, rise, steep = _wall_profile(relief_m, rng)
    height = np.interp(outwards, distance, rise).astype(np.float32)
    steepness = np.interp(outwards, distance, steep).astype(np.float32)
    return height + steepness * _chutes(along, outwards, gsd_m, rng), steepness


def _wall_profile(relief_m: float, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Distances outwards from the crest, heights above the crest and shares of wall there.

    The upper wall stands near the angle of repose of some 32 degrees, the lower lies on its debris, slumped terraces
    between them are nearly level; the floor and the flank outside slope gently.
    """
    step = 5.0
    distance = np.arange(-20_000.0, 20_000.0, step)
    width = relief_m / np.tan(np.radians(25))
    place = np.clip(-distance / width, 0, 1)
    terraces = 7 * np.sin(2 * np.pi * (distance / rng.uniform(260, 420) + rng.random()))
    wall_deg = np.clip(31 - 9 * place + terraces, 8, 33)
    flank_deg = -10 * np.exp(-np.maximum(distance, 0) / 1500)
    inside = (distance < 0) & (distance > -width)
    angle_deg = np.where(distance >= 0, flank_deg, np.where(inside, wall_deg, 2.0))
    smooth = ndimage.gaussian_filter1d(np.tan(np.radians(angle_deg)), 45 / step)
    rise = np.cumsum(smooth) * step
    return (
        distance,
        rise - rise[distance.size // 2],
        ndimage.gaussian_filter1d(inside.astype(float), 80 / step),
    )


def _chutes(along_m: Array, outwards_m: Array, gsd_m: float, rng: np.random.Generator) -> Array:
    """Chutes and lobes of debris, m: rough ground drawn out downhill."""
    stretch = 6.0
    side = int(np.hypot(*along_m.shape)) + 4
    field = self_affine((int(side // stretch) + 400, side), gsd_m, 0.75, rng, smoothing_m=5, longest_m=90)
    downhill = (outwards_m - outwards_m.min()) / np.float32(gsd_m * stretch)
    sideways = (along_m - along_m.min()) / np.float32(gsd_m)
    chutes = ndimage.map_coordinates(field, [downhill, sideways], order=1, mode="reflect")
    return np.asarray(chutes, np.float32)
