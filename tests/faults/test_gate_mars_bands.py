"""Each expectation of mars-bands is broken once, and five pairs that alignment cannot mend are stopped by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from orrery.gates import ExpectationParams, judge

pytestmark = pytest.mark.faults

PROPOSAL = YAML(typ="safe").load(Path(__file__).with_name("mars_bands_gate.yaml").read_text())
GATE = {name: ExpectationParams.model_validate(item) for name, item in PROPOSAL.items()}
BOUNDS = [
    (name, end) for name, item in GATE.items() for end in ("min", "max") if getattr(item, end) is not None
]
GOOD = {
    "pair": "crism-to-ctx",
    "shift_x_px": 36.0,
    "shift_y_px": -21.0,
    "shift_m": 250.0,
    "residual_px": 0.35,
    "residual_m": 2.1,
    "tie_points_used": 105,
    "tie_points_held_out": 25,
    "valid_share": 0.98,
    "empty_blocks": 0.0,
    "spread": 0.97,
    "ncc_before": 0.3,
    "ncc_after": 0.93,
    "ssim_gain": 0.7,
    "valid_fraction": 0.38,
    "time_difference_days": 16.0,
    "overlap_fraction": 0.0,
    "true_error_px": np.nan,
}
SPOILED = {
    "another-place": GOOD
    | {"residual_px": np.nan, "tie_points_used": 3, "valid_share": 0.03, "ncc_after": 0.1},
    "folded-tones": GOOD | {"residual_px": 1.5, "valid_share": 0.71},
    "half-empty": GOOD | {"empty_blocks": 0.3, "spread": 0.6},
    "locked-onto-the-rim": GOOD | {"shift_m": 478.0, "ssim_gain": -0.05},
    "shared-ground": GOOD | {"overlap_fraction": 0.2},
}


@pytest.fixture
def table():
    """What alignment measures where it succeeds: a scene of each set."""
    return pd.DataFrame(
        [{"scene": f"{name}-gale-0", "kind": "gale", **GOOD} for name in ("train", "val", "test")]
    )


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
    expectation, bound = GATE[name], float(getattr(GATE[name], end))
    table[expectation.column] = table[expectation.column].astype(float)
    table.loc[1, expectation.column] = bound
    assert fails(table, name) == []
    beyond = 1e-3 * max(abs(bound), 1.0)
    table.loc[1, expectation.column] = bound + beyond if end == "max" else bound - beyond
    assert fails(table, name) == [{"scene": "val-gale-0", "pair": "crism-to-ctx"}]


@pytest.mark.parametrize("name", [name for name, item in GATE.items() if not item.optional])
def test_a_measurement_that_is_lacking_fails(table, name):
    table[GATE[name].column] = table[GATE[name].column].astype(float)
    table.loc[2, GATE[name].column] = np.nan
    assert fails(table, name) == [{"scene": "test-gale-0", "pair": "crism-to-ctx"}]


def test_five_spoiled_pairs_are_stopped_by_name(table):
    spoiled = [
        {"scene": name, "kind": "gale", **row, "pair": f"FRT-{name} on CTX"} for name, row in SPOILED.items()
    ]
    verdict = judge(pd.concat([table, pd.DataFrame(spoiled)], ignore_index=True), GATE)
    named = {failure.row["scene"] for item in verdict.judgements for failure in item.failures}
    assert not verdict.passed
    assert named == set(SPOILED)
