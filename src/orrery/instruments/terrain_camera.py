"""The Terrain Camera of Kaguya (SELENE): two push-broom telescopes, 10-bit counts, compression on board.

Sources: Haruyama et al. 2008 (Earth Planets Space 60, 243) for the design; labels of the L2B0 products, which state slant,
focal lengths, pixel size, bits, line time and the scale of radiance; Iwashita et al. 2025, Table I, for the one published
quantisation table.
"""

from __future__ import annotations

import math
from typing import Literal

from orrery.instruments.quantisation import QuantisationTable, annex_k

Exposure = Literal["SHORT", "MIDDLE", "LONG"]

SLANT_DEG = 15.0  # TC1 looks ahead along the track, TC2 back
FOCAL_LENGTH_MM = {"TC1": 72.45, "TC2": 72.63}
PIXEL_PITCH_M = 7e-6
LINE_TIME_S = 6.5e-3
BITS = 10
MAX_COUNT = 2**BITS - 1
GSD_M = 10.0  # from 100 km
SWATH_PX = {"FULL": 4096, "NOMINAL": 3504, "HALF": 1752}
RADIANCE_PER_DN = 0.013  # W/m2/um/sr, SCALING_FACTOR of L2B0
# SATURATION, MINUS, DUMMY_DEFECT and OTHER of L2B0's INVALID_VALUE
INVALID_DN = {"SATURATION": -20000, "MINUS": -21000, "DUMMY_DEFECT": -22000, "OTHER": -23000}
# L2B0 numbers of one count. Neighbouring lines of real MIDDLE products differ by whole multiples of 6.1 to 6.2 (up to 7.2 at the
# left edge of a full swath, where the flat field differs); the others follow from the exposure times, which are 1/2, 1 and 2 of MIDDLE's.
DN_PER_COUNT: dict[Exposure, float] = {"SHORT": 12.42, "MIDDLE": 6.21, "LONG": 3.105}
EXPOSURE_MS: dict[Exposure, float] = {"SHORT": 1.625, "MIDDLE": 3.25, "LONG": 6.5}
# The twin's, in counts: a point spread beside the pixel itself, noise of reading, and electrons of a count (our choices: no
# publication states them; they leave the noise of a pixel at 200 counts near 0.6 %).
PSF_SIGMA_PX = 0.5
READ_NOISE_COUNTS = 0.5
ELECTRONS_PER_COUNT = 150.0
# Iwashita et al. 2025 count 5.45 m for 0.3 px.
PAPER_METRES_PER_PX = 5.45 / 0.3

# Rows are vertical frequencies, columns horizontal ones. All but two of the entries are those of JPEG's table K.1 at quality 92
# of the Independent JPEG Group's scale.
SF008S_A = QuantisationTable(
    "SF008S.A",
    (
        (3, 2, 2, 3, 4, 6, 8, 10),
        (2, 2, 2, 3, 4, 9, 10, 9),
        (2, 2, 3, 4, 6, 9, 11, 9),
        (2, 3, 4, 5, 8, 14, 13, 10),
        (3, 4, 6, 9, 11, 17, 16, 12),
        (4, 6, 9, 10, 13, 17, 18, 15),
        (8, 10, 12, 14, 16, 20, 20, 16),
        (12, 15, 15, 16, 18, 16, 16, 16),
    ),
)
ASSUMED_QUALITIES = (80, 84, 86, 88, 90, 93, 94, 95, 96, 97)


TABLES: dict[str, QuantisationTable] = {
    table.name: table for table in (SF008S_A, *(annex_k(quality) for quality in ASSUMED_QUALITIES))
}


def metres_per_px(gsd_m: float) -> float:
    """Height, m, of one px of disparity between the two telescopes: each sees it displaced by tan(15 degrees) of it."""
    return gsd_m / (2 * math.tan(math.radians(SLANT_DEG)))
