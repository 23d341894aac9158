"""Expectations on a table of what was measured about pairs of images, and the verdict that a pipeline obeys."""

from orrery.gates.expectations import ExpectationParams
from orrery.gates.judge import judge
from orrery.gates.verdict import Failure, Judgement, Verdict

__all__ = ["ExpectationParams", "Failure", "Judgement", "Verdict", "judge"]
