"""Light that the ground sends to a camera, under one sun."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.photometry import NADIR, Sun, View
from orrery.raster.shade import ShadingModel, shade
from orrery.worlds.common.shadows import lit_fraction
from orrery.worlds.moon.terrain import Ground

Array = NDArray[np.float32]

# Light that sunlit slopes and the camera's optics scatter into shadows, as a share of that of flat ground (our choice:
# the share depends on what stands around).
SHADOW_LIGHT = 0.01


def radiance(
    ground: Ground, sun: Sun, photometry: ShadingModel = "lunar-lambert", view: View = NADIR
) -> Array:
    """Radiance over that of flat ground of mean albedo under the same sun, (H, W); cast and attached shadows are in.

    Args:
        ground: heights and albedo.
        sun: azimuth from image up.
        photometry: how the ground scatters light.
        view: direction to the camera; where ground lies on the map does not depend on it.
    """
    direct = shade(ground.height_m, ground.gsd_m, sun, photometry, view)
    direct *= lit_fraction(ground.height_m, ground.gsd_m, sun)
    direct += np.float32(SHADOW_LIGHT)
    direct *= ground.albedo
    return direct
