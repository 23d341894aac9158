"""Rows of the tables: what their figures and intervals are of."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from orrery.systems.lunar_dtm.tables import PAPER_TABLE_1, TABLE_1_METRICS, _preface, _rows
from orrery.tables import markdown


def result(offset=0.0, replicas=()):
    """Two flat test scenes and a mountain whose every figure is known; one scene beside the test set."""
    kinds = {"test-flat-0": "flat", "test-flat-1": "flat", "test-mountain": "mountain"}
    scenes = {
        name: {"set": "test", "kind": kind, "rmse_m": number + offset, "mse@true": number + offset}
        for number, (name, kind) in enumerate(kinds.items(), 1)
    }
    scenes["suns-flat-0"] = {"set": "extra", "kind": "flat", "rmse_m": 99.0, "rmse_to_coarse_m": 2.0}
    sites = {"test-flat": {"cross_sun_spread_m": 0.5 + offset, "pairwise_mae_m": 0.4}}
    return {"scenes": scenes, "sites": sites, "replicas": list(replicas)}


def found(results, table, metric, name="dlunardtmnet"):
    rows = [
        row for row in _rows(results) if (row["table"], row["row"], row["metric"]) == (table, name, metric)
    ]
    assert len(rows) == 1
    return rows[0]


def rendered(results):
    rows = list(_rows(results))
    return markdown("lunar-dtm", _preface("dlunardtmnet", rows), rows)


def test_one_seed_has_the_range_over_test_scenes():
    row = found({"dlunardtmnet": result()}, "flat, pipeline alignment", "rmse_m")
    assert (row["ours"], row["interval"], row["interval_over"], row["seeds"]) == (1.5, [1, 2], "scenes", 1)
    row = found({"dlunardtmnet": result()}, "mountain, pipeline alignment", "rmse_m")
    assert (row["ours"], row["interval"], row["interval_over"]) == (3, None, None)


def test_several_seeds_have_the_confidence_interval_of_their_mean():
    offsets = [0.0, 0.3, 0.9]
    results = {"dlunardtmnet": result(0.0, [result(0.3), result(0.9)])}
    row = found(results, "mountain, pipeline alignment", "rmse_m")
    means = 3 + np.array(offsets)
    expected = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert row["interval"] == pytest.approx(expected, abs=1e-4)
    assert (row["ours"], row["seeds"], row["interval_over"]) == (pytest.approx(3.4), 3, "seeds")
    site = found(results, "six illuminations", "cross_sun_spread_m")
    assert (site["ours"], site["seeds"]) == (pytest.approx(0.9), 3)


def test_the_papers_figures_stand_beside_ours():
    row = found({"dlunardtmnet": result()}, "paper Table I", "mse")
    assert row["paper"] == PAPER_TABLE_1["dlunardtmnet"][TABLE_1_METRICS.index("mse")]
    assert row["ours"] == 2
    assert found({"bicubic": result()}, "paper Table I", "mse", "bicubic")["paper"] is None


def test_a_figure_that_nobody_measured_is_a_dash():
    results = {"dlunardtmnet": result()}
    assert found(results, "flat, pipeline alignment", "mae_m")["ours"] is None
    text = rendered(results)
    assert "| – |" in text
    assert "one seed" in text


def test_markdown_gives_intervals_of_several_seeds():
    text = rendered({"dlunardtmnet": result(0.0, [result(0.3)])})
    assert "means of 2 seeds" in text
    assert "3.15 [1.24, 5.06]" in text
