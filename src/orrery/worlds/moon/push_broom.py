"""What two push-broom telescopes that look ahead and back along the track see of a ground, and their true disparity.

A point at height z above the datum lies z tan(slant) further along the track in the map of the telescope that looks ahead, and as
much less far in that of the one that looks back (instruments.terrain_camera). Rows run along the track.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.instruments.photometry import Sun, View
from orrery.raster.shade import ShadingModel
from orrery.raster.stereo.sampling import sampled, spline
from orrery.raster.windows import block_means
from orrery.worlds.moon.render import radiance
from orrery.worlds.moon.terrain import Ground

Array = NDArray[np.float32]

OVERSAMPLING = (
    2  # ground points per pixel and direction: an image made of its own pixels would be free of aliasing
)
# What attitude and orbit leave between the two passes after geometric correction (our choice, of the size of the residuals that
# bundle adjustment leaves): a smooth field, and a tremor along the track.
SMOOTH_PX = 1.0
TREMOR_PX = 0.05
TREMOR_LINES = 30.0


@dataclass(frozen=True)
class StereoView:
    """What both telescopes see, noise-free, over the radiance of flat ground; all (H, W).

    Attributes:
        left: image of the telescope that looks ahead.
        right: of the one that looks back, on the same map.
        disparity_px: rows from a pixel of the left image to the same ground in the right one.
    """

    left: Array
    right: Array
    disparity_px: Array


def stereo_view(
    ground: Ground,
    sun: Sun,
    slant_deg: float,
    psf_sigma_px: float,
    rng: np.random.Generator,
    photometry: ShadingModel = "lunar-lambert",
) -> StereoView:
    """Both images of a ground; each is rendered from its own direction.

    Args:
        ground: `OVERSAMPLING` points to a pixel of the images, in each direction.
        sun: azimuth from image up.
        slant_deg: of either telescope from nadir; rows run with the flight, so that ahead is image down.
        psf_sigma_px: width of the point spread, px of the images, beside the pixel itself.
        rng: stream of what orbit and attitude leave.
        photometry: how the ground scatters light.
    """
    parallax = ground.height_m * np.float32(math.tan(math.radians(slant_deg)) / ground.gsd_m)
    apart = OVERSAMPLING * _mispointing(ground.height_m.shape, rng)
    rows = np.arange(len(parallax), dtype=np.float32)[:, None]
    ahead, back = rows + parallax, rows - parallax + apart
    # the telescope that looks ahead sees ground in front of it: it stands behind, towards the top of the image
    seen = {azimuth: radiance(ground, sun, photometry, View(azimuth, slant_deg)) for azimuth in (0.0, 180.0)}
    from_left, from_right = _inverted(ahead), _inverted(back)
    disparity = _along_columns(back, from_left) - rows
    return StereoView(
        _recorded(_along_columns(seen[0.0], from_left), psf_sigma_px),
        _recorded(_along_columns(seen[180.0], from_right), psf_sigma_px),
        _binned(disparity) / np.float32(OVERSAMPLING),
    )


def _mispointing(shape: tuple[int, int], rng: np.random.Generator) -> Array:
    """Displacement of the right image, px of the images, on the ground's points."""
    down, right = (np.linspace(-0.5, 0.5, length, dtype=np.float32) for length in shape)
    tilt, skew, twist, bow = rng.normal(0, SMOOTH_PX, 4)
    smooth = 2 * tilt * down[:, None] + 2 * skew * right + 4 * twist * down[:, None] * right
    smooth = smooth + (2 * bow * down**2)[:, None]
    tremor = ndimage.gaussian_filter1d(rng.standard_normal(shape[0]), TREMOR_LINES * OVERSAMPLING)
    tremor *= TREMOR_PX / tremor.std()
    return np.asarray(smooth + tremor[:, None], np.float32)


def _inverted(places: Array) -> Array:
    """Row of the ground that is seen in each row: places (H, W) grow downwards in each column."""
    rows = np.arange(len(places), dtype=np.float64)
    # slopes steeper than 75 degrees would be hidden from one telescope; where rounding brings two points together the first is kept
    ordered = np.maximum.accumulate(places.astype(np.float64), axis=0)
    found = [np.interp(rows, ordered[:, column], rows) for column in range(places.shape[1])]
    return np.asarray(np.stack(found, 1), np.float32)


def _along_columns(values: Array, rows: Array) -> Array:
    """Values at fractional rows of each column, by a cubic spline along it."""
    return sampled(spline(values), rows)[0]


def _recorded(radiance_: Array, psf_sigma_px: float) -> Array:
    """What falls on the pixels: blurred, then summed."""
    return _binned(ndimage.gaussian_filter(radiance_, OVERSAMPLING * psf_sigma_px, mode="nearest"))


def _binned(values: Array) -> Array:
    """Means over the points of each pixel."""
    height, width = (length // OVERSAMPLING * OVERSAMPLING for length in values.shape)
    return block_means(values[:height, :width], OVERSAMPLING)
