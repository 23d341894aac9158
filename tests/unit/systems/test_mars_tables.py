"""Rows of mars-bands' tables: which there are, what their figures and intervals are of."""

import numpy as np
import pytest
from scipy import stats

from orrery.errors import OrreryError
from orrery.files import read_json, write_json
from orrery.params import load_params
from orrery.systems.base import Workspace, get_section
from orrery.systems.mars_bands.evaluate import evaluate
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.plots import quality_plot
from orrery.systems.mars_bands.tables import (
    METRICS,
    PAPER,
    PAPER_METRICS,
    PAPER_UNIT,
    PAPER_UNIT_METRICS,
    _preface,
    _rows,
    write_tables,
)
from orrery.tables import markdown
from tests.unit.systems.mars_patches import VARIANT, section_of, write_aligned

NAME = "unet-efficientnet-b0"


def result(offset=0.0, replicas=(), groups=("evc",)):
    """Two test scenes of a region, one of another, whose every figure is known; one scene beside the test set."""
    regions = {"test-gale-0": "gale", "test-gale-1": "gale", "test-melas": "melas"}
    figures = [
        f"{metric}_{group}{suffix}"
        for metric in (*METRICS, "rmse_unit", "cosine_unit")
        for group in groups
        for suffix in ("", "@true")
    ]
    scenes = {
        name: {"set": "test", "region": region, **dict.fromkeys(figures, number + offset)}
        for number, (name, region) in enumerate(regions.items(), 1)
    }
    scenes["far"] = {"set": "extra", "region": "holden", **dict.fromkeys(figures, 99.0)}
    return {"scenes": scenes, "replicas": list(replicas)}


def found(results, table, metric, name=NAME):
    rows = [
        row for row in _rows(results) if (row["table"], row["row"], row["metric"]) == (table, name, metric)
    ]
    assert len(rows) == 1
    return rows[0]


@pytest.mark.parametrize("placement", ["pipeline alignment", "true alignment"])
@pytest.mark.parametrize("metric", METRICS)
def test_a_figure_is_the_mean_over_the_test_scenes(metric, placement):
    row = found({NAME: result()}, f"enhanced visible colour, {placement}", metric)
    assert (row["ours"], row["interval"], row["interval_over"], row["seeds"]) == (2, [1, 3], "scenes", 1)
    assert row["paper"] is None


def test_groups_that_a_model_lacks_have_no_rows():
    tables = {row["table"] for row in _rows({NAME: result()})}
    assert not any("false colour" in table for table in tables)
    both = {row["table"] for row in _rows({NAME: result(groups=("evc", "fc"))})}
    assert both - tables == {"false colour, pipeline alignment", "false colour, true alignment"}


def test_errors_are_told_by_region_of_the_test_scenes():
    rows = {row["metric"]: row for row in _rows({NAME: result()}) if "by region" in row["table"]}
    assert {region: row["ours"] for region, row in rows.items()} == {"gale": 1.5, "melas": 3}
    assert rows["melas"]["interval"] is None


def test_several_seeds_have_the_confidence_interval_of_their_mean():
    results = {NAME: result(0.0, [result(0.3), result(0.9)])}
    row = found(results, "enhanced visible colour, pipeline alignment", "rmse_if")
    means = 2 + np.array([0.0, 0.3, 0.9])
    expected = stats.t.interval(0.95, 2, means.mean(), stats.sem(means))
    assert row["interval"] == pytest.approx(expected, abs=1e-4)
    assert (row["ours"], row["seeds"], row["interval_over"]) == (pytest.approx(2.4), 3, "seeds")


def test_the_papers_figures_stand_beside_ours_and_only_beside_theirs():
    results = {NAME: result(), "fpn": result(1.0), "linear": result(), "final": result()}
    rows = [row for row in _rows(results) if row["paper"] is not None]
    assert {(row["table"], row["row"]) for row in rows} == {
        ("paper Table 3, encoders", NAME),
        ("paper Table 5, ablation", NAME),
        ("paper Table 7, whole test images", "final"),
        ("paper Table 2, architectures", "fpn"),
    }
    for row in rows:
        if "Table 5" in row["table"]:
            figures, metrics = PAPER_UNIT[row["row"]], PAPER_UNIT_METRICS
        else:
            figures, metrics = PAPER[row["table"].removeprefix("paper ")][row["row"]], PAPER_METRICS
        assert row["paper"] == figures[metrics.index(row["metric"])]
        assert row["ours"] == (3 if row["row"] == "fpn" else 2)


def test_every_row_of_the_paper_can_be_trained(repository):
    params = load_params(repository / "params.yaml")
    variants = get_section(params, "mars-bands").variants
    for figures in (*PAPER.values(), PAPER_UNIT):
        assert set(figures) <= set(variants)


def test_a_figure_that_nobody_measured_is_a_dash():
    bare = result()
    for row in bare["scenes"].values():
        del row["coverage_1sigma_evc"]
    assert found({NAME: bare}, "enhanced visible colour, pipeline alignment", "coverage_1sigma")["ours"] is None  # fmt: skip
    rows = list(_rows({NAME: bare}))
    text = markdown("mars-bands", _preface(NAME, rows), rows)
    assert "| – |" in text
    assert "one seed" in text
    assert "2 (0.68)" in text
    rows = list(_rows({NAME: result(0.0, [result(0.4)])}))
    assert "means of 2 seeds" in _preface(NAME, rows)


def test_the_plot_is_of_the_tables_at_the_pipelines_alignment(tmp_path):
    rows = list(_rows({NAME: result(groups=("evc", "fc")), "mean": result(1.0)}))
    quality_plot(rows, tmp_path / "one.png")
    quality_plot(rows, tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    quality_plot([row for row in rows if "paper" in row["table"]], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


@pytest.fixture
def work(tmp_path):
    """A project with patches and a test scene, nothing trained yet."""
    work = Workspace("mars-bands", tmp_path)
    for name in ("train-a", "val-b", "test-c"):
        write_aligned(work.aligned, name)
    make_patches(work.aligned, work.patches, section_of())
    return work


class Level:
    """Predicts one level everywhere."""

    name = "ours"

    def bands(self, tile):
        return np.full((3, *tile.image.shape), 0.2, np.float32)


def test_tables_hold_baselines_and_every_variant_that_was_evaluated(work):
    section = section_of(variants={"other": VARIANT, "ours": VARIANT})
    with pytest.raises(OrreryError, match=r"has no metrics\.json"):
        write_tables(work, section, "abc")
    judged = evaluate(Level(), VARIANT["bands"], work.aligned, section, None)
    write_json(work.report("ours") / "metrics.json", {**judged, "replicas": []})
    write_tables(work, section, "abc")
    rows = read_json(work.reports / "tables.json")
    assert list(dict.fromkeys(row["row"] for row in rows)) == ["mean", "linear", "nearest", "ours"]
    assert {(row["data"], row["commit"]) for row in rows} == {("twin", "abc")}
    own = [row for row in rows if row["row"] == "ours" and row["metric"] == "rmse_if"]
    assert own[0]["ours"] == pytest.approx(judged["scenes"]["test-c"]["rmse_if_evc"], abs=1e-4)
    assert (work.reports / "pictures" / "quality.png").exists()
    text = (work.reports / "tables.md").read_text(encoding="utf-8")
    assert text.startswith("# mars-bands: the paper's figures beside ours\n")
    assert "ours is the model that is promoted" in text


def test_tables_of_bands_that_make_no_colour_can_be_written(work):
    section = section_of(variants={"ours": VARIANT | {"bands": [592.35]}})
    row = {"set": "test", "region": "gale", "rmse_if_all": 0.1}
    write_json(work.report("ours") / "metrics.json", {"scenes": {"test-c": row}, "replicas": []})
    write_tables(work, section, "abc")
    assert {each["metric"] for each in read_json(work.reports / "tables.json")} == {"gale"}
    assert list((work.reports / "pictures").iterdir()) == []
