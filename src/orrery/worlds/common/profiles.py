"""How deep a crater is at each distance from its middle, fresh and after downhill creep.

Lengths are in radii across and in diameters upwards, above the ground before the impact.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import i0e

from orrery.worlds.common.craters import LIFETIME_CREEP

Floats = NDArray[np.float64]

REACH_RADII = 3.0
SAMPLES = 192
# Creep of the tabulated states: even steps of the logarithm, because relief fades by the same share in each.
# The first is what slumping leaves of the analytic form's edges at once.
CREEP_STATES = np.geomspace(2e-3, LIFETIME_CREEP, 32)
RIM_RADII = 0.98
RIM_HEIGHT = 0.036
FLOOR_DEPTH = 0.181
# Depth over diameter of fresh craters, classes of Stopar et al. (2017, Icarus 298, 34), at the classes' middles.
DEPTH_CLASSES_M = (63.0, 141.0, 283.0, 566.0)
DEPTH_OVER_DIAMETER = (0.13, 0.15, 0.17, 0.21)


def fresh_profile(radii: ArrayLike) -> Floats:
    """Height of a fresh crater over its diameter.

    Bowl of Fassett and Thomson (2014, J. Geophys. Res. Planets 119, 2255, equation 4), rim height of Pike (1977),
    ejecta that thin with the cube of the distance (McGetchin et al. 1973), brought to nothing at `REACH_RADII`.
    """
    r = np.asarray(radii, float)
    bowl = np.where(r < 0.2, -FLOOR_DEPTH, -0.229 + 0.228 * r + 0.083 * r**2 - 0.039 * r**3)
    ejecta = RIM_HEIGHT * (np.maximum(r, RIM_RADII) / RIM_RADII) ** -3
    fade = np.clip((REACH_RADII - r) / (REACH_RADII - 2), 0, 1)
    return np.where(r < RIM_RADII, bowl, ejecta * fade)


def worn_profile(radii: ArrayLike, creep: float) -> Floats:
    """Height over diameter after linear downhill creep: the exact solution of the diffusion equation.

    Args:
        radii: distances from the middle.
        creep: diffusivity times time over the squared radius.
    """
    if creep == 0:
        return fresh_profile(radii)
    r = np.asarray(radii, float)[..., None]
    step = REACH_RADII / 768
    source = (np.arange(768) + 0.5) * step
    # The heat kernel of a ring; i0e carries exp(-rs / 2K), so that the exponent is the squared distance.
    kernel = np.exp(-((r - source) ** 2) / (4 * creep)) * i0e(r * source / (2 * creep)) * source / (2 * creep)
    return np.asarray((kernel * fresh_profile(source)).sum(-1) * step)


def fresh_depth_over_diameter(diameter_m: ArrayLike) -> Floats:
    """Rim to floor over diameter of a fresh crater; constant beyond the measured sizes."""
    return np.asarray(np.interp(np.log(diameter_m), np.log(DEPTH_CLASSES_M), DEPTH_OVER_DIAMETER))


@lru_cache(maxsize=1)
def profile_table() -> NDArray[np.float32]:
    """Heights over the freshest state's rim-to-floor depth, (states, SAMPLES + 1); columns run evenly from 0 to `REACH_RADII`."""
    radii = np.linspace(0, REACH_RADII, SAMPLES + 1)
    # Creep carries a little relief beyond the table's end: fade it out there rather than leave a step.
    fade = np.clip((REACH_RADII - radii) / 0.5, 0, 1)
    table = np.stack([worn_profile(radii, creep) * fade for creep in CREEP_STATES])
    return np.asarray(table / np.ptp(table[0]), np.float32)
