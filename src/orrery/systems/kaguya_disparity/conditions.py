"""Under what a pair was compressed: the quantisation table, and the mean count of the images that it acted on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from orrery.instruments.quantisation import QuantisationTable

REFERENCE_COUNT = 200.0  # the paper's dark case


@dataclass(frozen=True)
class Condition:
    """One way of compressing.

    Attributes:
        table: its name.
        step: geometric mean of its 64 steps, counts.
        mean_count: of the pair, in the counts that the table acts on.

    Raises:
        ValueError: a number that is not above 0 and finite.
    """

    table: str
    step: float
    mean_count: float

    def __post_init__(self) -> None:
        if not (0 < self.step < math.inf and 0 < self.mean_count < math.inf):
            raise ValueError(f"step {self.step} and mean count {self.mean_count} are not both above 0")

    @classmethod
    def of(cls, table: QuantisationTable, mean_count: float) -> Condition:
        """The condition of a table at a mean count."""
        return cls(table.name, float(np.exp(np.log(table.steps).mean())), mean_count)

    @property
    def key(self) -> str:
        """Name, e.g. of files: ``sf008s.a-200``."""
        return f"{self.table.lower()}-{self.mean_count:g}"

    def planes(self) -> tuple[float, float]:
        """What a network is told of it: octaves of brightness over the paper's, and of the table's step over 4 counts."""
        return math.log2(self.mean_count / REFERENCE_COUNT), math.log2(self.step / 4.0)
