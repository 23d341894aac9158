"""The Narrow Angle Cameras of the Lunar Reconnaissance Orbiter: geometry, noise and the 8-bit code of their pixels.

Sources: Robinson et al. 2010 (Space Science Reviews 150, 81, Table 1) for the geometry; the LROC team's calibration
(Tschimmel et al. 2009; Humm et al. 2016, Space Science Reviews 200, 431) for read noise, full well and modulation
transfer; the label of EDR M114145549LE for the companding terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

PIXEL_PITCH_M = 7e-6
LINE_PX = 5064
OVERLAP_PX = 135
MAX_DN12 = 4095

# LRO:XTERM, LRO:MTERM and LRO:BTERM for LRO:COMPAND_CODE = 0: five straight pieces that follow a square root, so that
# the step grows like the shot noise.
COMPAND_START_DN12 = (0, 32, 136, 543, 2207)
COMPAND_SLOPE = (0.5, 0.25, 0.125, 0.0625, 0.03125)
COMPAND_OFFSET_DN8 = (0, 8, 25, 59, 128)


@dataclass(frozen=True)
class Camera:
    """One of the two cameras.

    Attributes:
        focal_length_m: effective.
        read_noise_e: standard deviation, electrons.
        full_well_e: charge at the top of the 12-bit scale, electrons.
        modulation_at_nyquist: system modulation transfer at half a cycle per pixel.
    """

    focal_length_m: float
    read_noise_e: float
    full_well_e: float
    modulation_at_nyquist: float

    @property
    def gain_e_per_dn(self) -> float:
        """Electrons per step of the 12-bit scale."""
        return self.full_well_e / MAX_DN12

    @property
    def instantaneous_field_rad(self) -> float:
        """Angle that one pixel sees."""
        return PIXEL_PITCH_M / self.focal_length_m

    @property
    def psf_sigma_px(self) -> float:
        """Width of the Gaussian that, sampled at whole pixels, has the measured transfer at half a cycle per pixel."""
        return _sigma_of_modulation(self.modulation_at_nyquist)


LEFT = Camera(0.69962, 71, 248_500, 0.28)
RIGHT = Camera(0.70157, 74, 262_500, 0.26)


def compand(dn12: ArrayLike) -> NDArray[np.uint8]:
    """12-bit numbers as the camera's 8-bit code (COMPAND_CODE 0); values outside 0..4095 are clipped first."""
    table = _code_of_each_dn12()
    return np.asarray(table[np.clip(np.rint(dn12), 0, MAX_DN12).astype(np.int64)])


def decompand(dn8: ArrayLike) -> NDArray[np.float32]:
    """Middle of the 12-bit numbers that share each 8-bit code: what `compand` lost is at most half its step."""
    codes = _code_of_each_dn12()
    levels = np.arange(MAX_DN12 + 1, dtype=np.float64)
    counts = np.bincount(codes, minlength=256)
    middles = np.bincount(codes, levels, minlength=256) / np.maximum(counts, 1)
    return np.asarray(middles.astype(np.float32)[np.asarray(dn8)])


def expose(electrons: NDArray[np.float32], camera: Camera, rng: np.random.Generator) -> NDArray[np.float32]:
    """What the camera reads, 12-bit numbers before rounding, of a mean charge: shot noise and read noise.

    Args:
        electrons: mean charge a pixel, (H, W).
        camera: whose noise and gain.
        rng: stream of the noise.
    """
    # A Gaussian stands for the Poisson law: they differ by less than the read noise at any charge.
    sigma = np.sqrt(np.maximum(electrons, 0) + np.float32(camera.read_noise_e**2))
    noisy = electrons + sigma * rng.standard_normal(electrons.shape, dtype=np.float32)
    return np.asarray(noisy / np.float32(camera.gain_e_per_dn), np.float32)


@lru_cache(maxsize=8)
def _sigma_of_modulation(modulation: float) -> float:
    taps = np.arange(-8, 9)

    def excess(sigma: float) -> float:
        kernel = np.exp(-(taps**2) / (2 * sigma**2))
        return float((kernel * (-1.0) ** taps).sum() / kernel.sum()) - modulation

    return float(brentq(excess, 0.2, 2.0))


@lru_cache(maxsize=1)
def _code_of_each_dn12() -> NDArray[np.uint8]:
    """Look-up table of the 4096 numbers."""
    levels = np.arange(MAX_DN12 + 1)
    piece = np.searchsorted(COMPAND_START_DN12, levels, side="right") - 1
    code = np.take(COMPAND_SLOPE, piece) * levels + np.take(COMPAND_OFFSET_DN8, piece)
    return np.asarray(np.minimum(np.floor(code), 255), np.uint8)
