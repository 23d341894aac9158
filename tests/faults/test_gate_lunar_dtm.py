"""Each expectation of params.yaml is broken once: a check never seen to fail is one that nobody should trust."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orrery.gates import ExpectationParams, judge
from orrery.params import load_params

pytestmark = pytest.mark.faults

PARAMS = load_params(Path(__file__).parents[2] / "params.yaml")
GATE = {
    name: ExpectationParams.model_validate(item) for name, item in PARAMS.systems["lunar-dtm"]["gate"].items()
}
BOUNDS = [
    (name, end) for name, item in GATE.items() for end in ("min", "max") if getattr(item, end) is not None
]

STRIPS = {
    "pair": "r-to-l",
    "shift_x_m": 2.4,
    "shift_y_m": -1.1,
    "shift_px": 1.1,
    "rotation_deg": 0.02,
    "scale": 1.0004,
    "residual_px": 0.12,
    "residual_m": 0.3,
    "tie_points_used": 160,
    "tie_points_held_out": 40,
    "ncc_before": 0.61,
    "ncc_after": 0.97,
    "valid_fraction": 0.99,
    "overlap_fraction": 0.08,
    "vertical_bias_m": np.nan,
    "nmad_m": np.nan,
    "expected_error_m": 0.3,
    "relief_m": 900.0,
    "incidence_deg": 60.0,
}
COARSE = STRIPS | {
    "pair": "to-coarse",
    "shift_x_m": 140.0,
    "shift_y_m": -85.0,
    "shift_px": 65.0,
    "residual_px": 3.2,
    "residual_m": 8.0,
    "ncc_before": 0.2,
    "ncc_after": 0.62,
    "overlap_fraction": 1.0,
    "vertical_bias_m": 1.5,
    "nmad_m": 9.0,
    "expected_error_m": 4.0,
}


@pytest.fixture
def table():
    """What alignment measures where it succeeds: two pairs of a scene of each terrain kind."""
    rows = [
        {"scene": f"{kind}-1", "kind": kind, **pair}
        for kind in ("flat", "mountain", "wall")
        for pair in (STRIPS, COARSE)
    ]
    return pd.DataFrame(rows)


def judged_row(table, expectation):
    """Index of the last row that an expectation is about."""
    chosen = np.ones(len(table), bool)
    for column, values in expectation.where.items():
        chosen &= table[column].isin([values] if isinstance(values, str) else values).to_numpy()
    return int(np.flatnonzero(chosen)[-1])


def fails(table, name):
    """Judge by one expectation; the rows it names, after checking that what is critical shuts the gate."""
    verdict = judge(table, {name: GATE[name]})
    (judgement,) = verdict.judgements
    assert verdict.passed is (judgement.passed or GATE[name].severity != "critical")
    return [] if judgement.passed else [failure.row for failure in judgement.failures]


def test_a_good_alignment_passes_every_expectation(table):
    verdict = judge(table, GATE)
    assert [item.message() for item in verdict.judgements if not item.passed] == []
    assert not verdict.structure


@pytest.mark.parametrize(("name", "end"), BOUNDS)
def test_a_value_beyond_the_bound_fails_and_one_on_it_does_not(table, name, end):
    expectation = GATE[name]
    row, bound = judged_row(table, expectation), float(getattr(expectation, end))
    table[expectation.column] = table[expectation.column].astype(float)
    table.loc[row, expectation.column] = bound
    assert fails(table, name) == []
    beyond = 1e-3 * max(abs(bound), 1.0)
    table.loc[row, expectation.column] = bound + beyond if end == "max" else bound - beyond
    assert fails(table, name) == [{"scene": table.scene[row], "pair": table.pair[row]}]


@pytest.mark.parametrize("name", [name for name, item in GATE.items() if not item.optional])
def test_a_measurement_that_is_lacking_fails(table, name):
    row = judged_row(table, GATE[name])
    table[GATE[name].column] = table[GATE[name].column].astype(float)
    table.loc[row, GATE[name].column] = np.nan
    assert fails(table, name) == [{"scene": table.scene[row], "pair": table.pair[row]}]
