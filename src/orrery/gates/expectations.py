"""One expectation on a column of measurements, as it stands in params.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from orrery.params import Section

Severity = Literal["critical", "warning", "info"]
Bound = Annotated[float, Field(allow_inf_nan=False)]


class ExpectationParams(Section):
    """A range that a measured column has to keep, in the column's own unit, both ends included.

    A row without a finite value breaks the expectation, and so does a filter that no row passes, unless the
    expectation is `optional`.
    """

    column: str = Field(min_length=1, description="column of the table; its name ends in the unit")
    min: Bound | None = Field(default=None, description="lowest value allowed")
    max: Bound | None = Field(default=None, description="highest value allowed")
    severity: Severity = Field(default="critical", description="only `critical` stops the pipeline")
    reason: str = Field(min_length=10, description="why the bound lies where it lies")
    where: dict[str, str | list[str]] = Field(
        default_factory=dict, description="judge only rows whose columns have these values (or one of a list)"
    )
    mostly: Annotated[float, Field(gt=0, le=1)] = Field(
        default=1.0, description="fraction of the judged rows that has to keep the range"
    )
    optional: bool = Field(default=False, description="rows may lack the value, and no row need pass `where`")

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs `min`, `max` or both: without a bound nothing could fail")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"`min` {self.min} lies above `max` {self.max}")
        return self

    def describe(self) -> str:
        """What is expected, in words, e.g. "residual_px at most 0.5 where pair is r-to-l"."""
        ends = (("at least", self.min), ("at most", self.max))
        bounds = [f"{words} {bound:g}" for words, bound in ends if bound is not None]
        filters = [
            f"{column} is {value if isinstance(value, str) else ' or '.join(value)}"
            for column, value in self.where.items()
        ]
        where = f" where {' and '.join(filters)}" if filters else ""
        share = f" in {self.mostly:.0%} of rows" if self.mostly < 1 else ""
        return f"{self.column} {' and '.join(bounds)}{where}{share}"

    def broken_by(self, value: float | None) -> str:
        """How a value (None where nothing was measured) breaks the range, in words."""
        if value is None:
            return "not measured"
        return f"below {self.min:g}" if self.min is not None and value < self.min else f"above {self.max:g}"
