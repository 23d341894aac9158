import pytest
from pydantic import ValidationError

from orrery.gates import ExpectationParams

REASON = "a reason that a reader can weigh"


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"max": None}, "without a bound nothing could fail"),
        ({"min": 2.0}, "lies above"),
        ({"max": float("nan")}, "finite"),
        ({"max": "0.5"}, "number"),
        ({"mostly": 0.0}, "greater than 0"),
        ({"severity": "fatal"}, "critical"),
        ({"reason": ""}, "at least"),
        ({"columns": "x"}, "extra"),
    ],
)
def test_a_meaningless_expectation_is_refused(changed, complaint):
    with pytest.raises(ValidationError, match=f"(?i){complaint}"):
        ExpectationParams.model_validate({"column": "residual_px", "max": 1.0, "reason": REASON, **changed})


@pytest.mark.parametrize(("value", "problem"), [(None, "not measured"), (0.9, "below 1"), (2.5, "above 2")])
def test_it_says_how_a_value_breaks_it(value, problem):
    assert ExpectationParams(column="scale", min=1, max=2, reason=REASON).broken_by(value) == problem


def test_it_describes_itself():
    where = {"pair": "to-coarse", "kind": ["wall", "mountain"]}
    expectation = ExpectationParams(column="scale", min=0.9, max=1.1, mostly=0.95, where=where, reason=REASON)
    wanted = "scale at least 0.9 and at most 1.1 where pair is to-coarse and kind is wall or mountain in 95% of rows"
    assert expectation.describe() == wanted
