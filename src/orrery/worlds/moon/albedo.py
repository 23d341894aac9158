"""How bright the ground is, relative to its mean: patches, fresh ejecta, slopes swept clean."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from orrery.raster.shade import slope_deg
from orrery.worlds.common.craters import Craters
from orrery.worlds.common.relief import self_affine

Array = NDArray[np.float32]

PATCHES = 0.04
# Soil just thrown out is brighter by this share. The thin ejecta of small craters are soon churned into the ground: the
# upper 2 cm turn over in some 80,000 years (Speyerer et al. 2016, Nature 538, 215), decimetres in millions.
FRESH_EJECTA = 0.5
DARKENING_GA = 0.003
RAY_REACH_RADII = 5.0
# Creep keeps soil young on slopes, so they are brighter the steeper they are, up to the angle of repose.
STEEP_SLOPES = 0.2
REPOSE_DEG = 32.0


def albedo(height_m: Array, gsd_m: float, craters: Craters, rng: np.random.Generator) -> Array:
    """Normal albedo over its regional mean, (H, W).

    Args:
        height_m: heights.
        gsd_m: pixel size.
        craters: of the field, positions from its upper left corner.
        rng: stream of patches and rays.
    """
    patches = self_affine(height_m.shape, gsd_m, 0.3, rng)
    bright = 1 + np.float32(PATCHES) * (patches - patches.mean()) / patches.std()
    steep = np.clip((slope_deg(height_m, gsd_m) - 12) / (REPOSE_DEG - 12), 0, 1)
    bright += np.float32(STEEP_SLOPES) * steep**2
    visible = (craters.diameter_m > 4 * gsd_m) & (craters.age_ga < 2 * DARKENING_GA)
    for x, y, diameter, age in zip(
        *(v[visible] for v in (craters.x_m, craters.y_m, craters.diameter_m, craters.age_ga)), strict=True
    ):
        _add_rays(
            bright, (y / gsd_m - 0.5, x / gsd_m - 0.5), diameter / 2 / gsd_m, np.exp(-age / DARKENING_GA), rng
        )
    return np.asarray(np.clip(bright, 0.5, 2.0), np.float32)


def _add_rays(
    bright: Array, place: tuple[float, float], radius_px: float, freshness: float, rng: np.random.Generator
) -> None:
    """Brighten a crater, its near ejecta evenly and its far ejecta in rays, in place."""
    reach = int(RAY_REACH_RADII * radius_px) + 1
    top, left = max(0, int(place[0]) - reach), max(0, int(place[1]) - reach)
    part = bright[top : int(place[0]) + reach + 1, left : int(place[1]) + reach + 1]
    down, right = np.ogrid[: part.shape[0], : part.shape[1]]
    down, right = down + top - place[0], right + left - place[1]
    radii = np.hypot(down, right) / radius_px
    bearing = np.arctan2(down, right)
    rays = sum(np.cos(order * bearing + rng.uniform(0, 2 * np.pi)) for order in (3, 5, 8, 13)) / 2
    edge = np.clip(RAY_REACH_RADII - radii, 0, 1)
    fall = np.where(radii < 1, 1, np.maximum(radii, 1) ** (-2 + 0.5 * rays)) * edge
    part += (FRESH_EJECTA * freshness * np.minimum(fall, 1)).astype(np.float32)
