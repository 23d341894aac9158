"""What the Narrow Angle Cameras record of a radiance, and how their right strip is misplaced against the left."""

from __future__ import annotations

import math

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from scipy import ndimage

from orrery.instruments import nac
from orrery.instruments.photometry import Sun
from orrery.raster.grid import AffineMap, Grid

Array = NDArray[np.float32]

# The right strip against the left after map projection: what is left of the cameras' mutual pointing.
MAX_SHIFT_PX = 3.0
MAX_ROTATION_DEG = 0.05
MAX_STRETCH = 5e-4
# Gains differ by a few per cent between the cameras (visible in mosaics without levelling).
BRIGHTNESS_STEP = (0.02, 0.06)
# 12-bit numbers of flat ground under a high sun; lower suns are exposed longer, but not in full proportion.
EXPOSURE_DN12 = (500.0, 1100.0)
BORDER_PX = 16


def random_map(
    grid: Grid, shift_m: float, rotation_deg: float, stretch: float, rng: np.random.Generator
) -> AffineMap:
    """A shift of `shift_m` in a random direction, with a rotation and two stretches up to the bounds, about a grid's middle.

    Args:
        grid: whose middle only shifts.
        shift_m: length of the shift.
        rotation_deg: largest rotation.
        stretch: largest error of scale in x and in y, as a share.
        rng: stream of the map.
    """
    bearing, turn = rng.uniform(0, 2 * math.pi), math.radians(rng.uniform(-1, 1) * rotation_deg)
    along, across = 1 + rng.uniform(-1, 1) * stretch, 1 + rng.uniform(-1, 1) * stretch
    cosine, sine = math.cos(turn), math.sin(turn)
    matrix = ((along * cosine, -across * sine), (along * sine, across * cosine))
    return AffineMap(matrix, (shift_m * math.cos(bearing), shift_m * math.sin(bearing)), grid.centre)


def sampled(values: Array, source: Grid, target: Grid, displacement: AffineMap, order: int = 3) -> Array:
    """Values of a field at the true positions of another grid's pixels, by spline interpolation.

    Args:
        values: (H, W) on `source`.
        source: grid of the truth.
        target: grid as written; a pixel at p shows the ground at ``displacement(p)``.
        displacement: from written to true positions.
        order: of the spline.
    """
    to_source: Affine = ~source.transform * displacement.affine * target.transform
    # From pixel centres to pixel centres, and from (column, row) to numpy's (row, column).
    centred = Affine.translation(-0.5, -0.5) * to_source * Affine.translation(0.5, 0.5)
    matrix = np.array([[centred.e, centred.d], [centred.b, centred.a]])
    corners = [centred * (c, r) for c in (0, target.width - 1) for r in (0, target.height - 1)]
    top = max(0, math.floor(min(r for _, r in corners)) - BORDER_PX)
    left = max(0, math.floor(min(c for c, _ in corners)) - BORDER_PX)
    part = values[
        top : math.ceil(max(r for _, r in corners)) + BORDER_PX,
        left : math.ceil(max(c for c, _ in corners)) + BORDER_PX,
    ]
    offset = np.array([centred.f - top, centred.c - left])
    moved = ndimage.affine_transform(part, matrix, offset, target.shape, order=order, mode="nearest")
    return np.asarray(moved, np.float32)


def exposure_dn12(sun: Sun, rng: np.random.Generator) -> float:
    """12-bit number that flat ground gets under a sun."""
    return rng.uniform(*EXPOSURE_DN12) * math.sqrt(math.cos(math.radians(sun.incidence_deg)))


def brightness_step(rng: np.random.Generator) -> float:
    """Factor of the right strip's numbers over the left's."""
    return 1 + float(rng.choice([-1, 1])) * rng.uniform(*BRIGHTNESS_STEP)


def record_strip(
    seen: Array, camera: nac.Camera, flat_dn12: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """The 8-bit code of one strip; 0 marks no data, so the darkest pixels read 1.

    Args:
        seen: sharp radiance over that of flat ground at the strip's pixels, (H, W).
        camera: which of the two.
        flat_dn12: 12-bit number of flat ground.
        rng: stream of the noise.
    """
    blurred = ndimage.gaussian_filter(seen, camera.psf_sigma_px, mode="nearest", truncate=5)
    electrons = np.maximum(blurred, 0) * np.float32(flat_dn12 * camera.gain_e_per_dn)
    return np.maximum(nac.compand(nac.expose(electrons, camera, rng)), 1)
