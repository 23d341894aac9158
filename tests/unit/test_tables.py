"""Rows and Markdown of any system's tables."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.systems.base import Workspace
from orrery.tables import gathered, markdown, row_of, seeds_of


def result(*values, replicas=()):
    return {"values": list(values), "replicas": [{"values": list(each)} for each in replicas]}


def row(made, paper=None, table="t", name="a", metric="m"):
    return row_of(table, name, metric, paper, made, lambda each: each["values"])


def test_one_seed_has_the_range_of_its_scenes():
    found = row(result(1.0, 2.0, 6.0), 2.5)
    assert found == {
        "table": "t", "row": "a", "metric": "m", "paper": 2.5, "ours": 3.0, "interval": [1.0, 6.0],
        "interval_over": "scenes", "seeds": 1,
    }  # fmt: skip
    assert row(result(1.0))["interval"] is None


def test_several_seeds_have_the_interval_of_the_mean_of_their_means():
    found = row(result(1.0, 2.0, replicas=[(2.0, 3.0), (4.0, 5.0)]))
    means = [1.5, 2.5, 4.5]
    expected = stats.t.interval(0.95, 2, np.mean(means), stats.sem(means))
    assert found["interval"] == pytest.approx(expected, abs=1e-4)
    assert (found["ours"], found["interval_over"], found["seeds"]) == (pytest.approx(2.8333), "seeds", 3)


def test_what_is_not_finite_counts_nowhere():
    found = row(result(1.0, np.nan, 3.0, np.inf))
    assert (found["ours"], found["interval"]) == (2.0, [1.0, 3.0])
    assert row(result(np.nan))["ours"] is None
    assert row(result(1.0, replicas=[(np.nan,), ()]))["seeds"] == 1


def test_seeds_are_the_first_and_its_replicas():
    assert seeds_of({"values": [1]}) == [{"values": [1]}]
    assert len(seeds_of(result(1, replicas=[(2,), (3,)]))) == 3


def test_markdown_has_a_table_each_and_a_line_a_variant():
    rows = [
        row(result(1.0), 0.5),
        row(result(2.0), metric="n"),
        row(result(3.0, replicas=[(5.0,)]), name="b"),
        row(result(), table="u"),
    ]
    lines = markdown("title", "preface", rows).splitlines()
    assert lines == [
        "# title", "", "preface", "", "Where the paper gives a figure it stands in brackets.",
        "", "## t", "", "| variant | m | n |", "|---|---|---|", "| a | 1 (0.5) | 2 |", "| b | 4 [-8.71, 16.7] |  |",
        "", "## u", "", "| variant | m |", "|---|---|", "| a | – |",
    ]  # fmt: skip


def test_evaluations_are_gathered_in_the_order_of_the_variants(tmp_path):
    work = Workspace("toy", tmp_path)
    section = SimpleNamespace(variants={"c": 1, "a": 1, "b": 1}, champion_variant="a")
    write_json(work.report("b") / "metrics.json", {"name": "b"})
    with pytest.raises(OrreryError, match=r"variants/a: has no metrics\.json"):
        gathered(work, section)
    for name in ("a", "c"):
        write_json(work.report(name) / "metrics.json", {"name": name})
    assert [each["name"] for each in gathered(work, section).values()] == ["c", "a", "b"]
    (work.report("c") / "metrics.json").unlink()
    assert list(gathered(work, section)) == ["a", "b"]
