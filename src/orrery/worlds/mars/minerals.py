"""Reflectance of what Mars is covered with, 436 to 3897 nm, in the modified Gaussian model.

The logarithm of reflectance is a straight continuum less absorptions that are Gaussian in energy (Sunshine, Pieters and Pratt
1990, J. Geophys. Res. 95, 6955). Nine absorptions are shared: ferric oxide and water are everywhere on Mars, at different
strengths. The others make the mineral; their centres are those of the literature. Strengths were fitted so that each spectrum
is that of ground rich in the mineral, as CRISM sees it, dust and all (type spectra of Viviano-Beck et al. 2014, J. Geophys.
Res. Planets 119, 1403; a test on them keeps the spectral angle below 2 degrees).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from orrery.instruments import ctx

Floats = NDArray[np.float64]
Name = Literal[
    "dust", "basalt", "lcp", "hcp", "olivine", "plagioclase", "mg_smectite", "fe_smectite", "al_smectite",
    "kaolinite", "mono_hyd_sulf", "poly_hyd_sulf", "hematite", "mg_carbonate", "hydrated_silica",
]  # fmt: skip

REFERENCE_NM = 1000.0
THERMAL_NM, THERMAL_SCALE_NM = 3900.0, 250.0
SUN_K = 5772.0
SECOND_RADIATION_NM_K = 1.438777e7
# Centre and full width at half maximum, nm: charge transfer of Fe3+ with oxygen (two) and its crystal field at 530 nm (Sherman and
# Waite 1985); all iron of glass and thin coatings at 1.1 um; the wing of water's fundamental over 2.6 um; the
# fundamentals of hydroxyl and water from 2.8 to 3.5 um (Milliken and Mustard 2005).
SHARED_NM = (
    (410.0, 295.0), (430.0, 130.0), (530.0, 125.0), (1080.0, 775.0), (2580.0, 1125.0),
    (2835.0, 150.0), (2980.0, 375.0), (3245.0, 300.0), (3470.0, 215.0),
)  # fmt: skip


@dataclass(frozen=True)
class Mineral:
    """Parameters of one end-member, all in natural logarithms of reflectance.

    Attributes:
        level: of the continuum at 1000 nm.
        slope_per_um: of the continuum.
        thermal: what warm ground adds at 3900 nm, fading with 250 nm downwards.
        shared: strength of each shared absorption.
        own: centre and full width, nm, and strength of the mineral's own absorptions.
    """

    level: float
    slope_per_um: float
    thermal: float
    shared: tuple[float, ...]
    own: tuple[tuple[float, float, float], ...] = ()

    def reflectance(self, wavelengths_nm: ArrayLike) -> Floats:
        """I/F under vertical light at wavelengths."""
        w = np.asarray(wavelengths_nm, float)
        logarithm = self.level + self.slope_per_um * (w - REFERENCE_NM) / 1000
        logarithm += self.thermal * np.exp((w - THERMAL_NM) / THERMAL_SCALE_NM)
        for (centre, width), strength in zip(SHARED_NM, self.shared, strict=True):
            logarithm -= strength * _gaussian(w, centre, width)
        for centre, width, strength in self.own:
            logarithm -= strength * _gaussian(w, centre, width)
        return np.exp(logarithm)


# Own absorptions: pyroxenes at 0.9 and 1.9 um, with more calcium 1.0 and 2.2 um (Klima et al. 2007, 2011); olivine's three around
# 1.05 um (Sunshine and Pieters 1998); Fe2+ of plagioclase at 1.28 um (Adams and Goullaud 1978); hydroxyl at 1.39-1.43, water at
# 1.91-1.94, metal-OH at 2.17-2.21 (Al), 2.29 (Fe), 2.31 (Mg), 2.39-2.40 um, Si-OH at 2.21 um (Bishop et al. 2008; Ehlmann
# et al. 2009); kieserite at 1.6, 2.1 and 2.4, sulphates with more water at 1.44, 1.94 and 2.43 um (Gendrin et al. 2005);
# hematite at 0.66 and 0.86 um (Morris et al. 1985); magnesite at 2.31 and 2.51 um, mixed with olivine (Ehlmann et al. 2008).
# Dust and dark sand have no type spectrum: levels of bright and dark regions (Bell et al. 2000; Mustard and Bell 1994).
MINERALS: dict[Name, Mineral] = {
    "dust": Mineral(-0.534, -0.32, 0.437, (1.361, 1.084, 0.147, 0.334, 0.0, 0.376, 1.41, 0.694, 0.322)),
    "basalt": Mineral(-2.088, -0.064, 0.499, (0.311, 0.697, 0.186, 0.165, 0.0, 0.149, 0.593, 0.383, 0.104)),
    "lcp": Mineral(
        -1.605, -0.13, 0.179, (0.0, 1.161, 0.286, 0.244, 0.151, 0.35, 0.896, 0.441, 0.19),
        ((910, 190, 0.033), (1870, 560, 0.193)),
    ),
    "hcp": Mineral(
        -1.449, -0.013, 0.55, (0.0, 1.441, 0.419, 0.276, 0.123, 0.304, 1.063, 0.473, 0.13),
        ((2230, 560, 0.086),),
    ),
    "olivine": Mineral(
        -1.27, -0.058, 0.653, (0.953, 0.698, 0.164, 0.497, 0.173, 0.377, 0.743, 0.372, 0.153),
        ((880, 240, 0.195), (1280, 480, 0.497)),
    ),
    "plagioclase": Mineral(
        -1.646, -0.075, 0.471, (0.0, 1.172, 0.282, 0.233, 0.125, 0.302, 0.762, 0.406, 0.051),
        ((1280, 420, 0.116),),
    ),
    "mg_smectite": Mineral(
        -1.344, -0.03, 0.272, (0.032, 1.519, 0.415, 0.22, 0.174, 0.278, 1.114, 0.538, 0.192),
        ((1393, 40, 0.015), (1910, 60, 0.054), (2311, 50, 0.015), (2390, 45, 0.015)),
    ),
    "fe_smectite": Mineral(
        -0.826, -0.188, 0.179, (0.752, 1.268, 0.37, 0.33, 0.032, 0.315, 1.843, 0.77, 0.233),
        ((1430, 50, 0.015), (1918, 60, 0.036), (2290, 50, 0.015), (2400, 45, 0.029)),
    ),
    "al_smectite": Mineral(
        -1.035, -0.195, 0.55, (0.623, 1.061, 0.301, 0.46, 0.187, 0.524, 1.538, 0.652, 0.2),
        ((1412, 40, 0.052), (1913, 60, 0.074), (2208, 60, 0.015)),
    ),
    "kaolinite": Mineral(
        -1.39, -0.026, 0.13, (0.135, 1.152, 0.352, 0.188, 0.313, 0.52, 1.457, 0.778, 0.252),
        ((1405, 45, 0.042), (1913, 60, 0.056), (2165, 60, 0.021), (2208, 45, 0.02)),
    ),
    "mono_hyd_sulf": Mineral(
        -0.971, -0.161, 0.0, (0.604, 1.21, 0.348, 0.303, 0.091, 0.436, 1.521, 0.799, 0.197),
        ((1600, 220, 0.053), (1960, 150, 0.058), (2110, 180, 0.106), (2400, 90, 0.035)),
    ),
    "poly_hyd_sulf": Mineral(
        -1.241, -0.035, 0.19, (0.269, 1.159, 0.367, 0.231, 0.151, 0.404, 1.586, 0.807, 0.194),
        ((1440, 130, 0.015), (1940, 100, 0.077), (2430, 130, 0.015)),
    ),
    "hematite": Mineral(
        -0.729, -0.097, 0.164, (1.515, 0.499, 0.254, 0.503, 0.113, 0.459, 1.476, 0.749, 0.291),
        ((660, 90, 0.097), (865, 200, 0.264)),
    ),
    "mg_carbonate": Mineral(
        -1.006, -0.158, 0.547, (1.414, 0.594, 0.172, 0.771, 0.368, 0.32, 0.87, 0.492, 0.225),
        ((1270, 450, 0.284), (1920, 70, 0.08), (2309, 50, 0.042), (2515, 80, 0.054)),
    ),
    "hydrated_silica": Mineral(
        -1.422, -0.025, 0.432, (0.0, 1.511, 0.4, 0.201, 0.151, 0.321, 1.146, 0.548, 0.2),
        ((1395, 60, 0.015), (1915, 80, 0.046), (2210, 140, 0.015)),
    ),
}  # fmt: skip


def spectra(names: Sequence[Name], wavelengths_nm: ArrayLike) -> Floats:
    """Reflectance of end-members, (N, B)."""
    return np.stack([MINERALS[name].reflectance(wavelengths_nm) for name in names])


def through_ctx(names: Sequence[Name]) -> Floats:
    """I/F of end-members in CTX's band pass, (N,): weighted with its response and the sun's light."""
    w = np.arange(460.0, 740.5, 1.0)
    sunlight = w**-5 / np.expm1(SECOND_RADIATION_NM_K / (SUN_K * w))
    weight = ctx.band_pass(w) * sunlight
    return np.asarray(spectra(names, w) @ weight / weight.sum())


def _gaussian(wavelength_nm: Floats, centre_nm: float, width_nm: float) -> Floats:
    """Of height 1, in energy: the full width holds at the centre."""
    edges = 1 / (centre_nm - width_nm / 2), 1 / (centre_nm + width_nm / 2)
    sigma = (edges[0] - edges[1]) / np.sqrt(8 * np.log(2))
    return np.asarray(np.exp(-0.5 * ((1 / wavelength_nm - 1 / centre_nm) / sigma) ** 2))
