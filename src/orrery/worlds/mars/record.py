"""What CTX and CRISM record of one ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.instruments import crism, ctx
from orrery.instruments.photometry import Sun
from orrery.worlds.mars.light import Light, sky_share
from orrery.worlds.mars.minerals import MINERALS, Name, spectra, through_ctx

Array = NDArray[np.float32]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

CTX_CENTRE_NM = 600.0
# Light that dust in the air sends to the camera before it has seen the ground, I/F at 600 nm: not taken out of CTX at all, and
# all but some hundredths from CRISM.
CTX_PATH = (0.004, 0.012)
CRISM_PATH = (-0.002, 0.005)
# CRISM looks at a scene's ends aslant: brightness drifts by this share along the track.
ALONG_TRACK = 0.03
# Share of a stripe that all bands of a detector have in common.
COMMON_STRIPE = 0.7
SPIKE_I_OVER_F = (-0.5, 2.0)
GARBAGE_SHARE, GARBAGE_I_OVER_F = 0.03, 2e4


@dataclass(frozen=True)
class Seen:
    """A ground under one light.

    Attributes:
        names: end-members, K.
        shares: (K, H, W).
        light: (H, W) each.
    """

    names: tuple[Name, ...]
    shares: Array
    light: Light


def record_ctx(seen: Seen, sun: Sun, rng: np.random.Generator) -> Array:
    """The image that CTX takes of a ground, I/F, (H, W); neither sun nor air are taken out of it.

    Args:
        seen: ground at the camera's pixels.
        sun: its height dims the ground.
        rng: stream of air and noise.
    """
    albedo = np.tensordot(through_ctx(seen.names).astype(np.float32), seen.shares, 1)
    sky = np.float32(sky_share(CTX_CENTRE_NM))
    lit = (1 - sky) * seen.light.beam + sky * seen.light.sky
    sharp = np.float32(math.cos(math.radians(sun.incidence_deg))) * albedo * lit
    image = ndimage.gaussian_filter(sharp, ctx.PSF_SIGMA_PX, mode="nearest") + np.float32(
        rng.uniform(*CTX_PATH)
    )
    image *= 1 + np.float32(ctx.COLUMN_GAIN) * rng.standard_normal(image.shape[1], np.float32)
    noisy = image + ctx.noise_sigma(image) * rng.standard_normal(image.shape, np.float32)
    return np.asarray(np.maximum(noisy, 1e-4), np.float32)


def record_cube(
    seen: Seen, gsd_m: float, pixels: tuple[Floats, Floats], wavelengths_nm: Floats, rng: np.random.Generator
) -> Array:
    """The cube that CRISM takes, I/F over the cosine of incidence as in an MTRDR, (B, h, w); NaN outside the footprint.

    Args:
        seen: ground, on a grid finer than the cube's.
        gsd_m: pixel size of that ground.
        pixels: fractional row and column on it of each pixel of the cube, (h, w) each.
        wavelengths_nm: centres of the bands, (B,).
        rng: stream of air, stripes, noise and spikes.
    """
    beam, sky = (
        _through_optics(seen.shares * light, gsd_m, pixels) for light in (seen.light.beam, seen.light.sky)
    )
    share = sky_share(wavelengths_nm)
    reflectance = spectra(seen.names, wavelengths_nm)
    cube = np.tensordot((reflectance * (1 - share)).T, beam, 1) + np.tensordot(
        (reflectance * share).T, sky, 1
    )
    dust = MINERALS["dust"].reflectance
    cube += (rng.uniform(*CRISM_PATH) * dust(wavelengths_nm) / dust(CTX_CENTRE_NM))[:, None, None]
    footprint, across, along = frame(pixels[0].shape, rng)
    drift = rng.uniform(-1, 1, 2) * ALONG_TRACK
    cube *= 1 + drift[0] * along + drift[1] * along**2
    cube *= 1 + _stripes(across, wavelengths_nm, rng)
    share_of_noise = crism.noise_share(wavelengths_nm)[:, None, None]
    cube += 0.2 * share_of_noise * np.sqrt(np.maximum(cube, 0.01) / 0.2) * rng.standard_normal(cube.shape)
    _add_spikes(cube, rng)
    return np.where(footprint, cube, np.nan).astype(np.float32)


def frame(shape: tuple[int, int], rng: np.random.Generator) -> tuple[Mask, Array, Array]:
    """An observation's hourglass within a raster: which pixels it covers, and where they lie in its own frame.

    Returns:
        The footprint; the column as a share of the line's half width, -1 to 1; the line as a share of half the length.
    """
    tilt = math.radians(rng.uniform(*crism.TRACK_TILT_DEG))
    rows, columns = np.indices(shape, np.float32)
    down, right = rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2
    half = min(shape) / 2 - 1
    along = (down * math.cos(tilt) + right * math.sin(tilt)) / half
    sideways = (right * math.cos(tilt) - down * math.sin(tilt)) / half
    # The tilted frame has to fit into the raster; its ends are the widest.
    length = 1 / (math.cos(tilt) + math.sin(tilt))
    width = length * (1 - crism.HOURGLASS * (1 - np.minimum(np.abs(along) / length, 1) ** 2))
    across = sideways / width
    footprint = (np.abs(along) <= length) & (np.abs(across) <= 1)
    return footprint, np.asarray(across, np.float32), np.asarray(along / length, np.float32)


def _through_optics(maps: Array, gsd_m: float, pixels: tuple[Floats, Floats]) -> Floats:
    """Maps of the ground as the optics blur them, at the pixels of a cube, (K, h, w)."""
    sigma = crism.PSF_SIGMA_M / gsd_m
    blurred = (ndimage.gaussian_filter(plane, sigma, mode="nearest") for plane in maps)
    return np.stack([ndimage.map_coordinates(plane, pixels, order=1, mode="nearest") for plane in blurred])


def _stripes(across: Array, wavelengths_nm: Floats, rng: np.random.Generator) -> Floats:
    """Error of the columns' gains, (B, h, w), as a share of the signal."""
    number = max(2, min(across.shape))
    column = np.clip(((across + 1) / 2 * number).astype(int), 0, number - 1)
    common = rng.standard_normal(number) * math.sqrt(COMMON_STRIPE)
    own = rng.standard_normal((wavelengths_nm.size, number)) * math.sqrt(1 - COMMON_STRIPE)
    return np.asarray(crism.STRIPE_SHARE * (common + own)[:, column])


def _add_spikes(cube: Floats, rng: np.random.Generator) -> None:
    """Single wrong values, in place: most within the range of I/F, few far beyond it."""
    number = rng.binomial(cube.size, crism.SPIKE_SHARE)
    values = rng.uniform(*SPIKE_I_OVER_F, number)
    garbage = rng.random(number) < GARBAGE_SHARE
    values[garbage] = rng.uniform(-0.1, 1, int(garbage.sum())) * GARBAGE_I_OVER_F
    cube.ravel()[rng.integers(0, cube.size, number)] = values
