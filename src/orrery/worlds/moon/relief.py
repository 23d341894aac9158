"""The large forms on which craters lie: self-affine ground, massifs and the walls of large craters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.special import j0

Array = NDArray[np.float32]


def self_affine(shape: tuple[int, int], gsd_m: float, hurst: float, rng: np.random.Generator) -> Array:
    """Ground whose height differences grow like distance to the power `hurst`, without mean or unit.

    Scaled so that points 100 m apart differ by 1 in the root mean square. The field is cut from one twice its size in
    the frequency domain's period, so opposite edges are unrelated.

    Args:
        shape: (H, W), px.
        gsd_m: pixel size.
        hurst: Hurst exponent, above 0 and below 1.
        rng: stream of the phases.
    """
    rows, columns = (fft.next_fast_len(n + n // 2, real=True) for n in shape)
    noise = fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    frequency = np.hypot(np.fft.fftfreq(rows, gsd_m)[:, None], np.fft.rfftfreq(columns, gsd_m)).astype(np.float32)
    frequency[0, 0] = np.inf
    amplitude = frequency ** np.float32(-hurst - 1)  # power of a surface falls as k^-(2H + 2)
    field = np.asarray(fft.irfft2(noise * amplitude, s=(rows, columns)), np.float32)
    return field[: shape[0], : shape[1]] / np.float32(_rms_difference(amplitude, frequency, (rows, columns)))


def _rms_difference(amplitude: Array, frequency: Array, shape: tuple[int, int], baseline_m: float = 100.0) -> float:
    """Expected difference at a baseline, isotropic, of white noise filtered by `amplitude`; from the spectrum alone."""
    power = np.where(np.isfinite(frequency), amplitude.astype(float) ** 2, 0)
    power[:, 1:-1] *= 2  # the half plane that rfft2 leaves out
    # Mean over directions of 1 - cos(2 pi k b cos t) is 1 - J0(2 pi k b).
    bend = 1 - j0(2 * np.pi * np.where(np.isfinite(frequency), frequency, 0) * baseline_m)
    return float(np.sqrt(2 * (power * bend).sum() / (shape[0] * shape[1])))


def crater_wall(
    shape: tuple[int, int], gsd_m: float, relief_m: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """The wall of a large crater across the middle of the field: floor, terraced wall, rim crest and outer flank.

    Args:
        shape: (H, W), px.
        gsd_m: pixel size.
        relief_m: floor to crest.
        rng: stream of its form.

    Returns:
        Heights, m, and how much each pixel belongs to the steep wall, 0 to 1.
    """
    rows, columns = np.indices(shape, np.float32) * np.float32(gsd_m)
    bearing, radius_m = rng.uniform(0, 2 * np.pi), rng.uniform(5000, 12000)
    across = (columns - columns.mean()) * np.cos(bearing) + (rows - rows.mean()) * np.sin(bearing)
    along = (rows - rows.mean()) * np.cos(bearing) - (columns - columns.mean()) * np.sin(bearing)
    # Outwards from the crest, which bends around the crater's middle and wanders with the slumps of its wall.
    crest_m = rng.uniform(200, 600)
    outwards = np.hypot(across + radius_m - crest_m, along) - radius_m
    outwards += 12 * self_affine(shape, gsd_m, 0.8, rng)
    distance = np.arange(-20_000.0, 20_000.0, gsd_m)
    slope, steep = _wall_slope(distance, relief_m, rng)
    rise = ndimage.gaussian_filter1d(np.cumsum(slope) * gsd_m, 40 / gsd_m)
    steepness = np.interp(outwards, distance, steep).astype(np.float32)
    height = np.interp(outwards, distance, rise - rise[distance.size // 2]).astype(np.float32)
    return height + steepness * _gullies(along, outwards, gsd_m, rng), steepness


def _wall_slope(
    distance: NDArray[np.float64], relief_m: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope (rise over run) outwards across a wall, crest at 0, and the share of wall at each distance.

    Upper walls stand near the angle of repose, about 32 degrees, lower ones lie on debris at some 25 degrees, between
    them slumped terraces are nearly level (Pike 1977; slopes as measured on walls of fresh craters by Xiao et al. 2013).
    """
    width = relief_m / np.tan(np.radians(24))
    place = np.clip(-distance / width, 0, 1)
    steep = ((distance < 0) & (distance > -width)).astype(float)
    angle_deg = 31 - 9 * place + 7 * np.sin(2 * np.pi * (distance / rng.uniform(260, 420) + rng.random()))
    wall = np.tan(np.radians(np.clip(angle_deg, 8, 33))) * steep
    floor = np.tan(np.radians(2.0)) * (distance <= -width)
    flank = -np.tan(np.radians(10)) * np.exp(-np.maximum(distance, 0) / 1500) * (distance >= 0)
    return wall + floor + flank, ndimage.gaussian_filter1d(steep, 20)


def _gullies(along_m: Array, outwards_m: Array, gsd_m: float, rng: np.random.Generator) -> Array:
    """Chutes and debris lobes, m: rough ground drawn out downhill."""
    stretch = 6.0
    side = int(np.hypot(*along_m.shape)) + 4
    field = self_affine((side // int(stretch) + 400, side), gsd_m, 0.75, rng)
    field -= ndimage.gaussian_filter(field, 60 / gsd_m)
    downhill = (outwards_m - outwards_m.min()) / (gsd_m * stretch)
    sideways = (along_m - along_m.min()) / gsd_m
    return 3.5 * ndimage.map_coordinates(field, [downhill, sideways], order=1, mode="reflect", output=np.float32)
