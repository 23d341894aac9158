"""The champion's studies: strides, simulated faults and what fills them; and the tables' rows of studies."""

import json

import numpy as np
import pytest
import torch

from orrery.optimisation import Costs
from orrery.systems.mars_bands.evaluate import evaluate
from orrery.systems.mars_bands.faults import BLOCK_PX, interpolated, judge_restoration, spoil
from orrery.systems.mars_bands.filling import FillParams, carried
from orrery.systems.mars_bands.metrics import histograms, seam_ratio
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.normalisation import Moments, Normalisation
from orrery.systems.mars_bands.study_rows import (
    ablation_rows,
    cost_rows,
    hold_out_rows,
    restoration_rows,
    stride_rows,
)
from tests.unit.systems.mars_patches import VARIANT, section_of, variant_of, write_aligned
from tests.unit.systems.mars_strips import clouds

NM = [442.63, 533.74, 592.35]


# Faults


def cube():
    """Three bands that follow one map, with fine texture that a prediction lacks; a rim that was not observed."""
    broad, fine = clouds(120, 110, 8, 1), clouds(120, 110, 1.5, 2)
    bands = np.stack([0.2 + k * (0.02 * broad + 0.004 * fine) for k in (0.5, 1.0, 1.5)]).astype(np.float32)
    bands[:, :10] = np.nan
    return bands, np.stack([0.2 + k * 0.02 * broad for k in (0.4, 0.9, 1.6)]).astype(np.float32)


def test_faults_lie_where_they_are_said_to_and_nowhere_else():
    truth, _ = cube()
    spoiled, faults = spoil(truth, "test-a")
    again, _ = spoil(truth, "test-a")
    np.testing.assert_array_equal(spoiled, again)
    assert not np.array_equal(spoiled, spoil(truth, "test-b")[0], equal_nan=True)
    inside = np.isfinite(truth)
    either = np.logical_or.reduce(list(faults.values()))
    assert sum(where.sum() for where in faults.values()) == either.sum()  # no place twice
    np.testing.assert_array_equal(spoiled[inside & ~either], truth[inside & ~either])
    assert faults["block"].sum() == 3 * BLOCK_PX**2
    assert np.isnan(spoiled[faults["block"]]).all()
    share = spoiled[faults["stripes"]] / truth[faults["stripes"]]
    assert (np.abs(share - 1) >= 0.149).all()
    assert (np.abs(share - 1) <= 0.401).all()
    assert 0.001 < faults["spikes"].sum() / inside.sum() < 0.006


def test_a_plane_is_interpolated_without_error_and_a_rim_is_left_open():
    rows, columns = np.indices((40, 50), np.float32)
    truth = np.stack([0.1 + 0.001 * rows + 0.002 * columns, 0.3 - 0.002 * rows]).astype(np.float32)
    spoiled, inside = truth.copy(), np.ones(truth.shape, bool)
    spoiled[:, 10:20, 20:32] = spoiled[0, :, 5] = spoiled[1, 7] = np.nan
    np.testing.assert_allclose(interpolated(spoiled, inside), truth, atol=1e-6)
    spoiled[:, :3, :3] = np.nan
    assert np.isnan(interpolated(spoiled, inside)[:, 0, 0]).all()  # nothing on one side in row and column


def test_restoration_is_told_beside_both_rivals():
    truth, predicted = cube()
    found = judge_restoration(truth, predicted, NM, FillParams(), "test-a")
    assert found["as delivered: stripes"] == pytest.approx(0.28 * 0.2, rel=0.3)
    assert "as delivered: block" not in found  # nothing was delivered there
    for fault in ("stripes", "spikes", "block"):
        assert found[f"restored: {fault}"] < 1.05 * found[f"interpolated: {fault}"]
    assert found["restored: block"] < 0.5 * found["interpolated: block"]
    assert found["restored: block"] < 0.006  # texture of .002 to .006 is not in the prediction
    assert found["found: block"] == 1
    assert found["found: spikes"] > 0.9
    assert found["found: sound"] < 0.01
    perfect = judge_restoration(truth, truth, NM, FillParams(), "test-a")
    assert perfect["restored: block"] < 1e-4


def test_a_difference_is_carried_a_little_way_and_fades():
    rest = np.full((60, 80), 0.01, np.float32)
    rest[:, 30] = np.nan
    assert carried(rest)[:, 30] == pytest.approx(0.01, rel=0.1)
    rest[:, 20:] = np.nan
    found = carried(rest)[30]
    assert found[21] > 0.006
    assert found[60] == pytest.approx(0, abs=1e-6)
    assert (np.diff(found[22:60]) <= 1e-6).all()


# Metrics


def test_seams_are_steps_across_borders_over_steps_inside():
    plane = np.random.default_rng(0).normal(size=(60, 60)).astype(np.float32)
    assert seam_ratio(plane, [{20, 40}, {30}]) == pytest.approx(1, abs=0.15)
    plane[:, 30:] += 5
    steps = np.abs(np.diff(plane, axis=1))
    down = np.abs(np.diff(plane, axis=0))
    border = np.concatenate([steps[:, 29], down[19], down[39]])
    inside = np.concatenate([np.delete(steps, 29, 1).ravel(), np.delete(down, [19, 39], 0).ravel()])
    assert seam_ratio(plane, [{20, 40, 99}, {30, 0}]) == pytest.approx(
        border.mean() / inside.mean(), rel=1e-5
    )


def test_histograms_are_shares_of_each_band():
    truth = np.random.default_rng(1).normal(0.2, 0.02, (2, 50, 60)).astype(np.float32)
    truth[:, :5] = np.nan
    found = histograms(truth + np.float32(0.01), truth)
    for edges, shares, band in zip(found["edges"], found["truth"], truth, strict=True):
        counts, _ = np.histogram(band[np.isfinite(band)], edges)
        np.testing.assert_allclose(shares, counts / np.isfinite(band).sum(), atol=2e-3)
    moved = [
        np.average(edges[:-1], weights=shares)
        for edges, shares in zip(found["edges"], found["predicted"], strict=True)
    ]
    plain = [
        np.average(edges[:-1], weights=shares)
        for edges, shares in zip(found["edges"], found["truth"], strict=True)
    ]
    assert np.subtract(moved, plain) == pytest.approx([0.01, 0.01], abs=1e-3)


# Studies of whole scenes


class Still:
    """Predicts what a straight line says."""

    def __call__(self, inputs):
        return torch.zeros(len(inputs), 6, *inputs.shape[2:])


def test_the_champion_is_studied_and_no_other(tmp_path):
    write_aligned(tmp_path / "aligned", "test-a", side=300)
    overall = Moments(0.2, 0.03, (0.17, 0.19, 0.15), (0.03,) * 3, (1.0, 0.8, 0.6), (0.01,) * 3)
    normalisation = Normalisation("residual", overall, overall, {})
    model = BandsModel("ours", Still(), variant_of(), normalisation, (1.0,) * 3)
    judged = evaluate(model, list(model.bands_nm), tmp_path / "aligned", section_of(), None)
    strides = judged["strides"]["test-a"]
    assert list(strides) == ["1", "2", "3"]
    whole = judged["scenes"]["test-a"]["rmse_if_evc"]
    for row in strides.values():  # what depends on each pixel alone is the same for every stride
        assert row["rmse_if_evc"] == pytest.approx(whole, rel=0.02)
        assert row["seam"] == pytest.approx(1, abs=0.2)
        assert row["seconds"] > 0
    assert set(judged["restoration"]) == {"test-a"}
    json.dumps(judged, allow_nan=False)
    other = evaluate(
        model, list(model.bands_nm), tmp_path / "aligned", section_of(variants={"ours": VARIANT, "theirs": VARIANT}, champion_variant="theirs"), None,
    )  # fmt: skip
    assert (other["strides"], other["restoration"]) == ({}, {})


def test_costs_are_of_the_steps_that_were_taken(monkeypatch):
    clock = iter([10.0, 11.0, 12.0, 20.0, 21.0])
    monkeypatch.setattr("orrery.optimisation.time.perf_counter", lambda: next(clock))
    costs, network = Costs(), torch.nn.Linear(3, 2)
    assert costs.report(network, 5, 2) == {}
    for loss in (5.0, 4.0, 3.0, 2.0, 1.0):
        costs.on_train_batch_end(None, None, {"loss": torch.tensor(loss)}, None, 0)
    found = costs.report(network, 100, 2.0)
    assert (found["parameters"], found["training_s"], found["epoch_s"], found["train_loss"]) == (
        8,
        100.0,
        2.0,
        1.5,
    )
    assert found["memory_mib"] is None or found["memory_mib"] > 50


# Rows


def scenes(value):
    regions = {"test-a": "gale", "test-b": "mawrth"}
    names = [
        f"{metric}_{group}" for metric in ("rmse_if", "pcc", "spectral_angle_deg") for group in ("evc", "fc")
    ]
    return {
        name: {"set": "test", "region": region, **dict.fromkeys(names, value + number)}
        for number, (name, region) in enumerate(regions.items())
    }


def test_ablation_and_hold_out_have_rows_where_their_variants_were_trained():
    variants = {
        "ours": VARIANT, "unaligned": VARIANT | {"placement": "none"}, "without": VARIANT | {"leave_out": ["mawrth"]},
        "other": VARIANT | {"placement": "none", "normalisation": "ratio"},
    }  # fmt: skip
    section = section_of(variants=variants)
    results = {
        name: {"scenes": scenes(value)} for value, name in enumerate([*variants, "mean", "linear", "nearest"])
    }
    ablation = [row for row in ablation_rows(results, section) if row["metric"] == "rmse_if_evc"]
    assert {row["row"]: row["ours"] for row in ablation} == {"ours": 0.5, "unaligned": 1.5}
    held = {row["row"]: row["ours"] for row in hold_out_rows(results, section) if row["metric"] == "rmse_if"}
    assert held == {"without": 3.0, "ours": 1.0, "mean": 5.0, "linear": 6.0, "nearest": 7.0}
    alone = {name: results[name] for name in ("ours", "mean", "linear", "nearest")}
    assert [*ablation_rows(alone, section), *hold_out_rows(alone, section)] == []


def test_costs_strides_and_restoration_have_rows_beside_the_papers():
    took = {"parameters": 13_041_219, "memory_mib": 900.0, "epoch_s": 3.0, "train_loss": 0.2, "training_s": 60.0, "device": "CPU"}  # fmt: skip
    result = {"training": took, "prediction_s_per_mpx": 0.5, "replicas": [{"training": took | {"epoch_s": 5.0}, "prediction_s_per_mpx": 0.5}]}  # fmt: skip
    rows = {row["metric"]: row for row in cost_rows("fpn", result)}
    assert (rows["parameters"]["ours"], rows["parameters"]["paper"]) == (13_041_219, 13_041_219)
    assert (rows["epoch_s"]["ours"], rows["epoch_s"]["seeds"], rows["epoch_s"]["paper"]) == (4.0, 2, 24.31)
    assert (rows["prediction_s_per_mpx"]["ours"], rows["prediction_s_per_mpx"]["paper"]) == (0.5, None)
    assert list(cost_rows("fpn", {"training": {}})) == []
    names = ("rmse_evc", "cosine_evc", "pcc_evc", "rmse_if_evc", "seam", "seconds")
    strides = {"strides": {"test-a": {str(s): dict.fromkeys(names, float(s)) for s in (1, 2, 3)}}}
    found = {(row["row"], row["metric"]): (row["ours"], row["paper"]) for row in stride_rows(strides)}
    assert found["s = 2", "pcc_evc"] == (2.0, 0.833)
    assert found["s = 1", "rmse_evc"] == (1.0, 0.528)
    assert found["s = 3", "rmse_evc"] == (3.0, None)
    assert found["s = 2", "seam"] == (2.0, None)
    restored = {
        "restoration": {"a": {"restored: block": 0.1, "found: block": 1.0}, "b": {"restored: block": 0.3}}
    }
    found = {(row["row"], row["metric"]): row["ours"] for row in restoration_rows(restored)}
    assert found == {("restored", "block"): 0.2, ("found", "block"): 1.0}
