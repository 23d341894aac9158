"""From an image and a coarse DEM to the physical planes that the recipes choose from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.instruments.photometry import Sun
from orrery.raster.shade import shade
from orrery.raster.tiles import stretch
from orrery.systems.lunar_dtm.photoclinometry import Spectra, solve

Array = NDArray[np.float32]
EXPOSURE_SCALE_M = 500.0  # far above the relief that is sought, below the patches of different albedo
BRIGHTEST = 4.0  # a saturated rock face must not dominate a tile


@dataclass(frozen=True)
class Tile:
    """A part of a scene, (H, W) arrays.

    Attributes:
        image: linear image values, NaN invalid.
        coarse_m: coarse heights on the image grid, m.
        exposure: image value of flat ground, an array or one number.
        gsd_m: pixel size, m.
        sun: direction in the image frame.
        posting_m: posting of the coarse DEM, m.
    """

    image: Array
    coarse_m: Array
    exposure: Array | float
    gsd_m: float
    sun: Sun
    posting_m: float


@dataclass(frozen=True)
class Planes:
    """What a network may look at, (H, W) each, in the image frame.

    Attributes:
        brightness: image over exposure: 1 on flat ground of mean albedo; NaN where there is no image.
        rendered: shading of the coarse DEM, relative to flat ground.
        photoclinometry: heights above the coarse DEM by linear photoclinometry, px.
        coarse: coarse heights, px (m / GSD).
        sun: direction in the image frame.
        gsd_m: pixel size, m.
    """

    brightness: Array
    rendered: Array
    photoclinometry: Array
    coarse: Array
    sun: Sun
    gsd_m: float

    def window(self, rows: slice, columns: slice) -> Planes:
        """The same planes over a part of the image."""
        cut = (rows, columns)
        return replace(
            self,
            brightness=self.brightness[cut],
            rendered=self.rendered[cut],
            photoclinometry=self.photoclinometry[cut],
            coarse=self.coarse[cut],
        )


def exposure_field(image: Array, rendered: Array, gsd_m: float) -> Array:
    """Image value of flat ground, as a smooth field: low-passed image over low-passed rendering, (H, W).

    It removes albedo and gain at scales beyond `EXPOSURE_SCALE_M`; invalid pixels (NaN) have no weight.
    """
    valid = np.isfinite(image) & np.isfinite(rendered)
    sigma = EXPOSURE_SCALE_M / gsd_m
    seen = _smooth(np.where(valid, image, 0), sigma)
    expected = _smooth(np.where(valid, rendered, 0), sigma)
    floor = max(float(np.nanmax(expected, initial=0)) * 0.02, 1e-6)
    return np.asarray(np.maximum(seen, 1e-6) / np.maximum(expected, floor), np.float32)


def make_planes(
    image: Array,
    exposure: Array | float,
    coarse_m: Array,
    gsd_m: float,
    sun: Sun,
    spectra: Spectra,
    posting_px: float,
) -> Planes:
    """Compute the physical planes of an image.

    Args:
        image: (H, W) linear image values, NaN invalid.
        exposure: image value of flat ground, (H, W) or one number; see `exposure_field`.
        coarse_m: (H, W) coarse heights on the image grid, m.
        gsd_m: pixel size, m.
        sun: direction in the image frame.
        spectra: prior and noise of photoclinometry.
        posting_px: posting of the coarse DEM, px.
    """
    brightness = np.minimum(image / exposure, BRIGHTEST).astype(np.float32)
    rendered = shade(coarse_m, gsd_m, sun).astype(np.float32)
    heights = solve(brightness - rendered, sun, spectra, posting_px)
    return Planes(brightness, rendered, heights, (coarse_m / gsd_m).astype(np.float32), sun, gsd_m)


@dataclass(frozen=True)
class Turn:
    """A symmetry of the square that brings the sun into the sector from image up to up-right (0-45 degrees).

    Attributes:
        quarters: counter-clockwise quarter turns.
        mirrored: then mirrored about the diagonal that swaps up and right.
        sun: the direction after turning.
    """

    quarters: int
    mirrored: bool
    sun: Sun

    @classmethod
    def towards(cls, sun: Sun) -> Turn:
        """The turn for an image lit from `sun`."""
        quarters, azimuth = divmod(sun.azimuth_deg % 360, 90)
        mirrored = azimuth > 45
        return cls(int(quarters), mirrored, Sun(90 - azimuth if mirrored else azimuth, sun.elevation_deg))

    def apply(self, plane: Array) -> Array:
        """Turn the last two axes."""
        turned = np.rot90(plane, self.quarters, axes=(-2, -1))
        return np.swapaxes(turned[..., ::-1, ::-1], -1, -2) if self.mirrored else turned

    def undo(self, plane: Array) -> Array:
        """The inverse of `apply`."""
        straight = np.swapaxes(plane, -1, -2)[..., ::-1, ::-1] if self.mirrored else plane
        return np.rot90(straight, -self.quarters, axes=(-2, -1))


def _smooth(plane: Array, sigma_px: float) -> Array:
    """Gaussian low pass; wide ones run on a decimated plane, since nothing finer survives them."""
    step = max(1, int(sigma_px / 8))
    small = ndimage.uniform_filter(plane, step)[::step, ::step] if step > 1 else plane
    low = ndimage.gaussian_filter(small, sigma_px / step, mode="reflect")
    if step == 1:
        return np.asarray(low, np.float32)
    rows, columns = (np.arange(size) / step for size in plane.shape)
    return stretch(np.asarray(low, np.float32), rows, columns)
