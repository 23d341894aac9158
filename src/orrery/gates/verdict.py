"""What the gate found: machine-readable for the next stage, one line for the person whose pipeline stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from orrery.gates.expectations import ExpectationParams, Severity

NAMED_ROWS = 4  # of one expectation, in the one-line message; the JSON has all of them


@dataclass(frozen=True)
class Failure:
    """One row that broke an expectation.

    Attributes:
        row: the values of the key columns, e.g. ``{"scene": "wall-1-s0", "pair": "to-coarse"}``.
        value: what was measured, in the column's unit; None where nothing was.
        problem: in words, e.g. "above 0.5".
    """

    row: dict[str, str]
    value: float | None
    problem: str

    def __str__(self) -> str:
        measured = "" if self.value is None else f" {self.value:.4g}"
        return f"{' '.join(self.row.values())}:{measured} {self.problem}"


@dataclass(frozen=True)
class Judgement:
    """The outcome of one expectation over the rows that it is about."""

    name: str
    expectation: ExpectationParams
    rows: int
    passed: bool
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the expectation as it was, and the rows that broke it."""
        failures = [
            {**failure.row, "value": failure.value, "problem": failure.problem} for failure in self.failures
        ]
        return {
            **self.expectation.model_dump(),
            "rows": self.rows,
            "passed": self.passed,
            "failures": failures,
        }

    def message(self) -> str:
        """E.g. ``left_right_residual (residual_px): wall-1 r-to-l: 0.83 above 0.5 [reason]``."""
        named = [str(failure) for failure in self.failures[:NAMED_ROWS]] or ["no row to judge"]
        if len(self.failures) > NAMED_ROWS:
            named.append(f"{len(self.failures) - NAMED_ROWS} more")
        return f"{self.name} ({self.expectation.column}): {', '.join(named)} [{self.expectation.reason}]"


@dataclass(frozen=True)
class Verdict:
    """The outcome of a gate.

    Attributes:
        rows: rows of the table.
        structure: what is wrong with the table as a whole (empty, a column missing, a key twice); always critical.
        judgements: one an expectation, sorted by name.
    """

    rows: int
    structure: tuple[str, ...]
    judgements: tuple[Judgement, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing critical failed."""
        return not self.structure and not self.failed("critical")

    def failed(self, severity: Severity) -> list[Judgement]:
        """The failed judgements of one severity."""
        return [item for item in self.judgements if not item.passed and item.expectation.severity == severity]

    def to_dict(self) -> dict[str, Any]:
        """Plain data without timestamps: the same table and expectations give the same dictionary."""
        return {
            "passed": self.passed,
            "rows": self.rows,
            "structure": list(self.structure),
            "expectations": {item.name: item.to_dict() for item in self.judgements},
        }

    def message(self) -> str:
        """One line: what failed critically and where, or how many expectations hold; then the warnings."""
        warnings = "; ".join(item.message() for item in self.failed("warning"))
        told = [item.message() for item in self.failed("critical") if item.failures or not self.structure]
        critical = "; ".join([*self.structure, *told])
        head = f"the gate is shut: {critical}" if critical else f"the gate is open for {self.rows} rows"
        return f"{head}; warning: {warnings}" if warnings else head
