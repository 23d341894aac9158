"""Directions to the sun and photometric functions.

The functions take cosines of incidence (`mu0`) and emission (`mu`), and use operators only, so that numpy arrays and
torch tensors both work. They return reflectance up to a constant factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError

if TYPE_CHECKING:
    import torch

Cosine = TypeVar("Cosine", float, NDArray[np.float32], NDArray[np.float64], "torch.Tensor")


@dataclass(frozen=True)
class Sun:
    """Direction to the sun.

    Attributes:
        azimuth_deg: clockwise from image up.
        elevation_deg: above the horizon.

    Raises:
        OrreryError: an angle is not a number, or the sun is not above the horizon.
    """

    azimuth_deg: float
    elevation_deg: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.azimuth_deg) or not 0 < self.elevation_deg <= 90:
            raise OrreryError(
                f"a sun at azimuth {self.azimuth_deg} and elevation {self.elevation_deg} degrees lights no image",
                remedy="give an azimuth in degrees and an elevation above 0 and up to 90 degrees",
            )

    @property
    def incidence_deg(self) -> float:
        """Angle from the zenith, degrees."""
        return 90 - self.elevation_deg

    def vector(self) -> tuple[float, float, float]:
        """Unit vector to the sun: image right, image up, zenith."""
        azimuth, incidence = math.radians(self.azimuth_deg), math.radians(self.incidence_deg)
        across = math.sin(incidence)
        return across * math.sin(azimuth), across * math.cos(azimuth), math.cos(incidence)


@dataclass(frozen=True)
class View:
    """Direction to the camera.

    Attributes:
        azimuth_deg: from the ground to the camera, clockwise from image up.
        emission_deg: angle from the zenith, below 90.
    """

    azimuth_deg: float
    emission_deg: float

    def vector(self) -> tuple[float, float, float]:
        """Unit vector to the camera: image right, image up, zenith."""
        azimuth, emission = math.radians(self.azimuth_deg), math.radians(self.emission_deg)
        across = math.sin(emission)
        return across * math.sin(azimuth), across * math.cos(azimuth), math.cos(emission)

    def phase_deg(self, sun: Sun) -> float:
        """Angle between the directions to the camera and to the sun."""
        cosine = sum(ours * theirs for ours, theirs in zip(self.vector(), sun.vector(), strict=True))
        return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


NADIR = View(0.0, 0.0)


def lambert(mu0: Cosine, mu: Cosine) -> Cosine:
    """Lambert's law."""
    return mu0 + 0 * mu


def lommel_seeliger(mu0: Cosine, mu: Cosine) -> Cosine:
    """Lommel-Seeliger's law, twice the usual, so that it is 1 at normal incidence and emission."""
    return 2 * mu0 / (mu0 + mu)


def mcewen_weight(phase_deg: float) -> float:
    """Share of Lommel-Seeliger in the lunar-Lambert function (McEwen 1991; cubic as in the Ames Stereo Pipeline)."""
    return 1 - 0.019 * phase_deg + 2.42e-4 * phase_deg**2 - 1.46e-6 * phase_deg**3


def lunar_lambert(mu0: Cosine, mu: Cosine, phase_deg: float) -> Cosine:
    """Lunar-Lambert function (McEwen 1991): a mixture of Lommel-Seeliger and Lambert that changes with phase."""
    weight = mcewen_weight(phase_deg)
    return weight * lommel_seeliger(mu0, mu) + (1 - weight) * lambert(mu0, mu)


@dataclass(frozen=True)
class HapkeSoil:
    """Parameters of Hapke's function for one soil, all without unit.

    Attributes:
        albedo: single-scattering albedo w.
        lobe_width: b of the double Henyey-Greenstein phase function.
        lobe_balance: c of the same; positive is backward scattering (lobes weighted (1 + c) / 2 and (1 - c) / 2).
        opposition_height: amplitude B_S0 of the shadow-hiding opposition effect.
        opposition_width: its angular width h_S.
    """

    albedo: float
    lobe_width: float
    lobe_balance: float
    opposition_height: float
    opposition_width: float


# Regional means at 643 nm (Sato et al. 2014, J. Geophys. Res. Planets 119, 1775).
MARE = HapkeSoil(0.24, 0.26, 0.08, 2.0, 0.05)
HIGHLAND = HapkeSoil(0.42, 0.23, 0.37, 1.7, 0.08)
WHOLE_MOON = HapkeSoil(0.38, 0.24, 0.32, 1.7, 0.07)


def hapke(mu0: Cosine, mu: Cosine, phase_deg: float, soil: HapkeSoil = WHOLE_MOON) -> Cosine:
    """Radiance factor (I/F) of Hapke's function (Hapke 1981, J. Geophys. Res. 86, 3039) with shadow hiding.

    Roughness below the pixel is left out: the twin's own relief holds that above, and the mean slope of 23.4 degrees
    that goes with these parameters would darken low suns a second time.
    """
    phase = math.radians(phase_deg)
    surge = soil.opposition_height / (1 + math.tan(phase / 2) / soil.opposition_width)
    single = (1 + surge) * _henyey_greenstein(phase, soil)
    root = math.sqrt(1 - soil.albedo)
    multiple = _chandrasekhar(mu0, root) * _chandrasekhar(mu, root) - 1
    reflectance: Cosine = soil.albedo / 4 * mu0 / (mu0 + mu) * (single + multiple)
    return reflectance


def _henyey_greenstein(phase: float, soil: HapkeSoil) -> float:
    """Double-lobed particle phase function; its mean over the sphere is 1."""
    b, c, cosine = soil.lobe_width, soil.lobe_balance, math.cos(phase)
    backward = (1 - b**2) / (1 - 2 * b * cosine + b**2) ** 1.5
    forward = (1 - b**2) / (1 + 2 * b * cosine + b**2) ** 1.5
    return float((1 + c) * backward + (1 - c) * forward) / 2


def _chandrasekhar(mu: Cosine, root: float) -> Cosine:
    """Hapke's approximation of the H function; `root` is the square root of 1 - w."""
    return (1 + 2 * mu) / (1 + 2 * mu * root)
