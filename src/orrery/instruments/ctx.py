"""The Context Camera of the Mars Reconnaissance Orbiter: band pass, geometry, point spread and noise.

Source: Malin et al. 2007 (J. Geophys. Res. 112, E05S04): 500-700 nm, 5,064 pixels across, 30 km swath from 300 km
(6 m), 8 bits by square-root companding, 12 bits before it, signal to noise above 20 on the darkest ground. Calibration and
the odd-even columns: Bell et al. 2013 (Mars 8, 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

Array = NDArray[np.float32]
Floats = NDArray[np.float64]

LINE_PX = 5064
GSD_M = 6.0
BAND_NM = (500.0, 700.0)
# The filter's edges are as sharp as an interference filter makes them (Bell et al. 2013, figure 3).
EDGE_NM = 8.0
# Gaussian whose transfer at half a cycle per pixel is .25, inside the 0.2 to 0.3 that Malin et al. state.
PSF_SIGMA_PX = 0.53
# Photon noise at I/F 0.1 of 1 part in 100, and what reading and companding add, in I/F.
NOISE_AT_TENTH = 1.0e-3
READ_NOISE = 3.0e-4
# What `ctxevenodd` leaves between columns, as a share of the signal.
COLUMN_GAIN = 1.5e-3


def band_pass(wavelengths_nm: ArrayLike) -> Floats:
    """Relative response at wavelengths, 0 to 1."""
    w = np.asarray(wavelengths_nm, float)
    rise, fall = ((w - edge) / EDGE_NM for edge in BAND_NM)
    return np.asarray(expit(4 * rise) * expit(-4 * fall))


def noise_sigma(i_over_f: Array) -> Array:
    """Standard deviation of a pixel's noise, I/F: shot noise grows as the square root of the signal."""
    shot = NOISE_AT_TENTH**2 * np.maximum(i_over_f, 0) / np.float32(0.1)
    return np.asarray(np.sqrt(shot + READ_NOISE**2), np.float32)
