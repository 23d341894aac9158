"""Quantisation tables of compression by cosine transforms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orrery.errors import OrreryError

Array = NDArray[np.float32]

BLOCK, LARGEST_STEP = 8, 2**16 - 1
# ITU-T Recommendation T.81 (1992), Annex K, table K.1: luminance.
ANNEX_K = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True)
class QuantisationTable:
    """Steps of the 64 coefficients.

    Attributes:
        name: of the table.
        steps: 8 rows of vertical frequencies, 8 columns of horizontal ones, counts of an orthonormal transform.
        assumed: whether it stands for a table whose steps are not published.

    Raises:
        OrreryError: not 8 x 8, or a step that is not above 0, or more than 16 bits hold (T.81, B.2.4.1).
    """

    name: str
    steps: tuple[tuple[float, ...], ...]
    assumed: bool = False

    def __post_init__(self) -> None:
        sizes = [len(row) for row in self.steps]
        remedy = "give 8 lines of 8 numbers above 0"
        if sizes != [BLOCK] * BLOCK:
            raise OrreryError(f"table {self.name} has rows of {sizes} steps, not 8 of 8", remedy=remedy)
        if not all(0 < step <= LARGEST_STEP for row in self.steps for step in row):
            raise OrreryError(
                f"table {self.name} has a step that is not above 0 and at most {LARGEST_STEP}", remedy=remedy
            )

    @property
    def array(self) -> Array:
        """(8, 8) steps."""
        return np.array(self.steps, np.float32)


def read_table(path: Path, name: str | None = None) -> QuantisationTable:
    """A table from a text file: 8 lines of 8 numbers; what follows a # is left out.

    Raises:
        OrreryError: the file is missing or holds no such table.
    """
    remedy = "give 8 lines of 8 numbers above 0"
    try:
        lines = [
            line.split("#")[0].replace(",", " ").split() for line in path.read_text("utf-8").splitlines()
        ]
        rows = tuple(tuple(float(word) for word in line) for line in lines if line)
        return QuantisationTable(name or path.stem, rows)
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
        raise OrreryError(problem, file=path, remedy="check the path") from error
    except ValueError as error:  # not a number, or not text
        raise OrreryError("is no table of numbers", file=path, remedy=remedy) from error
    except OrreryError as error:
        raise OrreryError(error.problem, file=path, remedy=remedy) from error


def annex_k(quality: int) -> QuantisationTable:
    """Table K.1 scaled as the Independent JPEG Group does; flagged as assumed: it stands for a table that is not published.

    Args:
        quality: 1 to 100.
    """
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.maximum((np.array(ANNEX_K) * percent + 50) // 100, 1)
    rows = tuple(tuple(int(step) for step in row) for row in steps)
    return QuantisationTable(f"annex-k-q{quality}", rows, assumed=True)
