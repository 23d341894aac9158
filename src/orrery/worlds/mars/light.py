"""Light on the ground: the sun's beam and the dusty sky, each over that of flat open ground."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orrery.instruments.photometry import Sun
from orrery.raster.shade import shade, slopes
from orrery.worlds.common.shadows import lit_fraction
from orrery.worlds.mars.minerals import MINERALS

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

# Share of the light that comes from the sky where the sun stands 35 degrees high, at 700 nm and a dust optical depth near 0.4: a
# quarter to a third by radiative transfer (Markiewicz et al. 1999; Thomas et al. 1999).
SKY_SHARE = 0.25
SKY_REFERENCE_NM = 700.0


@dataclass(frozen=True)
class Light:
    """Irradiance of the ground over that of flat open ground, seen from above, (H, W) each.

    Attributes:
        beam: from the sun; 0 in shadow.
        sky: from the whole sky.
    """

    beam: Array
    sky: Array


def light_on(height_m: Array, gsd_m: float, sun: Sun) -> Light:
    """Light on a height field; cast shadows are in.

    Args:
        height_m: heights, (H, W).
        gsd_m: pixel size.
        sun: azimuth from image up.
    """
    beam = shade(height_m, gsd_m, sun, "lunar-lambert") * lit_fraction(height_m, gsd_m, sun)
    dz_dx, dz_dy = slopes(height_m, gsd_m)
    upright = 1 / np.sqrt(1 + dz_dx**2 + dz_dy**2)
    # A facet sees the sky above its own plane: (1 + cos slope) / 2 of it.
    return Light(np.asarray(beam, np.float32), np.asarray((1 + upright) / 2, np.float32))


def sky_share(wavelengths_nm: ArrayLike) -> Floats:
    """Share of the sky in the light on flat ground: suspended dust is dark in the blue as dust on the ground is."""
    dust = MINERALS["dust"].reflectance
    return np.asarray(SKY_SHARE * np.sqrt(dust(wavelengths_nm) / dust(SKY_REFERENCE_NM)))
