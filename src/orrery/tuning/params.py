"""The part `tune` of a system's section: what is searched, how it is judged, and when a finding counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from orrery.section import Count, Section


class Range(Section):
    """Where one setting is searched: between two numbers, or among choices.

    Attributes:
        low: smallest value.
        high: largest value.
        log: draw evenly in the logarithm, as scales and weights want it.
        integer: whole numbers only.
        choices: instead of low and high.
    """

    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False
    choices: Annotated[list[bool | int | float | str] | None, Field(min_length=2)] = None

    @model_validator(mode="after")
    def _one_way(self) -> Range:
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("give low and high, or choices")
        if self.low is not None and self.high is not None:
            if not self.low < self.high:
                raise ValueError("low must be below high")
            if self.log and self.low <= 0:
                raise ValueError("a logarithm wants low above 0")
        return self


class Objective(Section):
    """One figure of the evaluation, in its unit, as a mean over the validation scenes."""

    metric: str
    greater_is_better: bool = False


class TuneParams(Section):
    """One study.

    Attributes:
        variant: that is tuned [default: the champion's].
        objectives: one to find the best by; several for their front, of which a person chooses.
        space: where to search, by dotted key below the variant.
        trials: in all; the first is the present setting.
        steps: length of a trial's training [default: the variant's].
        seeds: trainings of the winner and of the present setting each, of seeds that no trial has seen.
        min_relative_improvement: of the winner over the present setting, for `tuned/` to change.
        confidence: of the interval, whose lower end must be above zero.
    """

    variant: str | None = None
    objectives: Annotated[list[Objective], Field(min_length=1, max_length=3)]
    space: Annotated[dict[str, Range], Field(min_length=1)]
    trials: Annotated[int, Field(ge=2)]
    steps: Count | None = None
    seeds: Annotated[int, Field(ge=2)] = 3
    min_relative_improvement: Annotated[float, Field(ge=0)] = 0.005
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9
