"""One line of a benchmark: a figure, what it is compared with, and the goal it has."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

GOAL = re.compile(r"(figure|ratio) (<=|>=) (-?\d+(?:\.\d+)?(?:e-?\d+)?)")


@dataclass(frozen=True)
class Row:
    """A measured figure.

    Attributes:
        name: what was measured, e.g. "alignment, mountain".
        figure: the measurement, in `unit`.
        unit: e.g. "posting", "px", "s", "GiB".
        conditions: data, size, machine: what another person needs to measure the same.
        peer: what it is compared with: another method, the bare network, the start.
        peer_figure: the peer's measurement in the same run, in `unit`.
        goal: empty, or what is compared, the direction and the bound, e.g. "figure <= 0.15", "ratio >= 1.2".
    """

    name: str
    figure: float
    unit: str
    conditions: str
    peer: str = ""
    peer_figure: float | None = None
    goal: str = ""

    def __post_init__(self) -> None:
        if self.goal and not GOAL.fullmatch(self.goal):
            raise ValueError(
                f"{self.name}: the goal {self.goal!r} is not like 'figure <= 0.15' or 'ratio >= 1.2'"
            )
        if self.goal.startswith("ratio") and self.ratio is None:
            raise ValueError(f"{self.name}: a goal on the ratio needs a peer's figure other than zero")

    @cached_property
    def ratio(self) -> float | None:
        """`figure / peer_figure`; None without a peer's figure to divide by."""
        return self.figure / self.peer_figure if self.peer_figure else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is reached; None without a goal. A figure that is NaN reaches none."""
        if not self.goal:
            return None
        subject, direction, bound = self.goal.split()
        compare = operator.le if direction == "<=" else operator.ge
        return bool(compare(getattr(self, subject), float(bound)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for reports/benchmarks.json; NaN becomes null."""
        fields = {**asdict(self), "ratio": self.ratio, "met": self.met}
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in fields.items()
        }
