"""CRISM on the Mars Reconnaissance Orbiter, as its joined map-projected products (MTRDR) show it.

Sources: Murchie et al. 2007 (J. Geophys. Res. 112, E05S03) for optics, sampling and noise; Murchie et al. 2009 (J. Geophys.
Res. 114, E00D06) for gimballed observations; Seelos et al. 2016 (Lunar and Planetary Science Conference 47, 1783) for the joined
products; Viviano-Beck et al. 2014 (J. Geophys. Res. Planets 119, 1403) for the bands of the browse products.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError

Floats = NDArray[np.float64]

GSD_M = 18.0
# 15 to 19 m from 300 km; optics, smear along track and map projection blur to some 1.4 pixels' full width.
PSF_SIGMA_M = 10.8
# Bands of the MTRDR's joined table: first wavelength, step and growth of the step, nm, and how many. Left out are the edges of the
# detectors, the joint of the order-sorting filters at 2.7 um and that of the VNIR filter at 0.66 um.
PIECES = (
    (436.1275, 6.504284, 2.0357e-4, 31),
    (709.67836, 6.522382, 2.2328e-4, 47),
    (1047.19925, 6.551319, 1.66098e-4, 221),
    (2503.12358, 6.596603, 1.92308e-4, 24),
    (2800.3535, 6.613656, 1.89296e-4, 166),
)
# Enhanced visible colour and false colour (infrared): red, green, blue.
EVC_NM = (592.35, 533.74, 442.63)
FC_NM = (2503.12, 1500.03, 1079.96)
# How far a band may lie from the wavelength asked for: a little more than half the step.
TOLERANCE_NM = 3.5

# Noise over the signal of ground of I/F 0.2: some 1/300 in the middle of the infrared detector, more at the blue end, where light is
# scarce, and beyond 2.7 um, where the detector's dark current rules (orders of magnitude of Murchie et al. 2007).
NOISE_NM = (436.0, 500.0, 600.0, 1000.0, 1050.0, 1300.0, 2300.0, 2600.0, 2800.0, 3900.0)
NOISE_SHARE = (0.012, 0.006, 0.004, 0.006, 0.006, 0.003, 0.003, 0.005, 0.02, 0.03)
# What destriping leaves of the columns' gains, and how many values are spikes ("garbage" of up to 1e4 is seen in archived cubes).
STRIPE_SHARE = 0.008
SPIKE_SHARE = 2e-4
# An observation's frame lies along the ground track: on the day side northwards and, as the orbit is inclined by 93 degrees and
# Mars turns below it, to the west by this angle.
TRACK_TILT_DEG = (6.0, 12.0)
# The gimbal looks ahead and back, so that a line at the ends is seen from farther away and is wider by this share.
HOURGLASS = 0.12


@lru_cache(maxsize=1)
def wavelengths_nm() -> Floats:
    """Centres of the 489 bands, nm, ascending, to two decimals as in the products."""
    pieces = [
        first + step * np.arange(count) + growth * np.arange(count) ** 2
        for first, step, growth, count in PIECES
    ]
    return np.round(np.concatenate(pieces), 2)


def nearest_bands(asked_nm: Sequence[float]) -> NDArray[np.int64]:
    """Index of the band nearest to each wavelength, ascending, none twice.

    Raises:
        OrreryError: no band lies near one of them.
    """
    grid = wavelengths_nm()
    distance = np.abs(grid[None] - np.asarray(asked_nm, float)[:, None])
    lost = [w for w, d in zip(asked_nm, distance.min(1), strict=True) if not d <= TOLERANCE_NM]
    if lost:
        raise OrreryError(
            f"CRISM has no band at {', '.join(f'{w:g}' for w in lost)} nm",
            remedy="ask for 436-631, 710-1010, 1047-2655 or 2800-3897 nm",
        )
    return np.unique(distance.argmin(1))


def noise_share(wavelengths_nm: Floats) -> Floats:
    """Standard deviation of noise over the signal of ground of I/F 0.2."""
    return np.asarray(np.interp(wavelengths_nm, NOISE_NM, NOISE_SHARE))
