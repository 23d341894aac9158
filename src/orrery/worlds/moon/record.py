"""What the Narrow Angle Cameras record of a radiance, and how their right strip is misplaced against the left."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from orrery.instruments import nac
from orrery.instruments.photometry import Sun

Array = NDArray[np.float32]

# The right strip against the left after map projection: what is left of the cameras' mutual pointing.
MAX_SHIFT_PX = 3.0
MAX_ROTATION_DEG = 0.05
MAX_STRETCH = 5e-4
# Gains differ by a few per cent between the cameras (visible in mosaics without levelling).
BRIGHTNESS_STEP = (0.02, 0.06)
# 12-bit numbers of flat ground under a high sun; lower suns are exposed longer, but not in full proportion.
EXPOSURE_DN12 = (500.0, 1100.0)


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
