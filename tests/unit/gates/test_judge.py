import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from orrery.gates import ExpectationParams, judge


def expect(column, *, reason="a reason that a reader can weigh", **bounds):
    return ExpectationParams(column=column, reason=reason, **bounds)


@pytest.fixture
def table():
    """Two scenes with two pairs each; shifts of 1, 2, 3 and 4 px."""
    return pd.DataFrame(
        {
            "scene": ["b", "b", "a", "a"],
            "pair": ["left", "coarse", "left", "coarse"],
            "shift_px": [1.0, 2.0, 3.0, 4.0],
        }
    )


def only(verdict):
    (judgement,) = verdict.judgements
    return judgement


def broken(verdict):
    return [(item.row["scene"], item.row["pair"], item.value) for item in only(verdict).failures]


def test_bounds_belong_to_the_range(table):
    verdict = judge(table, {"shift": expect("shift_px", min=1, max=4)})
    assert verdict.passed
    assert only(verdict).rows == 4
    assert verdict.message() == "the gate is open for 4 rows"


def test_rows_outside_are_named_with_value_bound_and_reason_in_order(table):
    verdict = judge(table, {"shift": expect("shift_px", min=1.5, max=3.5, reason="strips overlap")})
    assert not verdict.passed
    assert broken(verdict) == [("a", "coarse", 4.0), ("b", "left", 1.0)]
    assert verdict.message() == (
        "the gate is shut: shift (shift_px): a coarse: 4 above 3.5, b left: 1 below 1.5 [strips overlap]"
    )


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"pair": "coarse"}, [("a", "coarse", 4.0), ("b", "coarse", 2.0)]),
        ({"pair": ["left", "coarse"], "scene": "b"}, [("b", "coarse", 2.0), ("b", "left", 1.0)]),
    ],
)
def test_a_filter_chooses_the_rows_that_are_judged(table, where, rows):
    verdict = judge(table, {"shift": expect("shift_px", max=0, where=where)})
    assert broken(verdict) == rows
    assert only(verdict).rows == 2


@pytest.mark.parametrize(("mostly", "passed"), [(0.75, True), (0.76, False)])
def test_mostly_is_the_fraction_of_rows_that_has_to_hold(table, mostly, passed):
    verdict = judge(table, {"shift": expect("shift_px", max=3.5, mostly=mostly)})
    assert verdict.passed is passed
    assert broken(verdict) == [("a", "coarse", 4.0)]


@pytest.mark.parametrize(("severity", "passed"), [("critical", False), ("warning", True), ("info", True)])
def test_only_what_is_critical_shuts_the_gate(table, severity, passed):
    verdict = judge(table, {"shift": expect("shift_px", max=3, severity=severity)})
    assert verdict.passed is passed
    assert [item.name for item in verdict.failed(severity)] == ["shift"]
    assert ("a coarse: 4 above 3" in verdict.message()) is (severity != "info")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None, "four"])
def test_what_is_no_finite_number_was_not_measured(table, value):
    table["shift_px"] = table["shift_px"].astype(object)
    table.loc[3, "shift_px"] = value
    verdict = judge(table, {"shift": expect("shift_px", max=10)})
    assert not verdict.passed
    assert broken(verdict) == [("a", "coarse", None)]
    assert "a coarse: not measured" in verdict.message()


def test_an_optional_measurement_may_be_absent_but_not_out_of_range(table):
    table.loc[3, "shift_px"] = np.nan
    verdict = judge(table, {"shift": expect("shift_px", max=2.5, optional=True)})
    assert broken(verdict) == [("a", "left", 3.0)]


@pytest.mark.parametrize(("optional", "passed"), [(False, False), (True, True)])
def test_a_filter_that_no_row_passes_is_a_failure_unless_optional(table, optional, passed):
    expectation = expect("shift_px", max=9, where={"pair": "righ"}, optional=optional)
    verdict = judge(table, {"shift": expectation})
    assert verdict.passed is passed
    assert ("no row to judge" in verdict.message()) is not passed


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("column", ["scene", "pair", "shift_px"])
def test_a_missing_column_shuts_the_gate(table, column, optional):
    gate = {"shift": expect("shift_px", max=9, severity="info", optional=optional)}
    verdict = judge(table.drop(columns=column), gate)
    assert not verdict.passed
    assert f"no column '{column}'" in verdict.message()


def test_a_missing_filter_column_shuts_the_gate(table):
    verdict = judge(table, {"shift": expect("shift_px", max=9, where={"kind": "flat"}, optional=True)})
    assert verdict.structure == ("the table has no column 'kind'",)


def test_an_empty_table_shuts_the_gate(table):
    verdict = judge(table.iloc[:0], {"shift": expect("shift_px", max=9, optional=True)})
    assert verdict.structure == ("the table has no rows",)
    assert not verdict.passed


def test_a_key_that_stands_twice_shuts_the_gate(table):
    verdict = judge(pd.concat([table, table.iloc[:1]]), {"shift": expect("shift_px", max=9)})
    assert verdict.structure == ("(scene, pair) does not name a single row",)


def test_the_verdict_is_plain_sorted_and_free_of_time(table):
    gate = {"z": expect("shift_px", max=3), "a": expect("shift_px", min=2, severity="warning")}
    first = json.dumps(judge(table, gate).to_dict(), allow_nan=False)
    again = judge(table.sample(frac=1, random_state=1), dict(reversed(gate.items())))
    assert json.dumps(again.to_dict()) == first
    assert list(json.loads(first)["expectations"]) == ["a", "z"]


def test_many_rows_are_counted_in_the_message_and_listed_in_the_verdict():
    table = pd.DataFrame({"scene": [f"s{i:02d}" for i in range(30)], "pair": "left", "shift_px": 5.0})
    verdict = judge(table, {"shift": expect("shift_px", max=1)})
    assert "s03 left: 5 above 1, 26 more [" in verdict.message()
    assert len(verdict.to_dict()["expectations"]["shift"]["failures"]) == 30


def test_another_key_names_the_rows():
    tiles = pd.DataFrame({"tile": ["r0c0", "r0c1"], "shift_px": [0.1, 9.0]})
    verdict = judge(tiles, {"shift": expect("shift_px", max=1)}, key=["tile"])
    assert [item.row for item in only(verdict).failures] == [{"tile": "r0c1"}]


def test_data_docs_replace_the_folder_and_carry_the_reason(table, tmp_path):
    docs = tmp_path / "docs"
    for reason in ("the first reason given", "the second reason given"):
        judge(table, {"shift": expect("shift_px", max=3, reason=reason)}, docs=docs)
    pages = list((docs / "validations").rglob("*.html"))
    assert (docs / "index.html").is_file()
    assert len(pages) == 1
    text = pages[0].read_text()
    assert "the second reason given" in text
    assert "the first reason given" not in text
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_importing_the_gate_leaves_great_expectations_alone():
    code = "import sys, orrery.gates; sys.exit('great_expectations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
