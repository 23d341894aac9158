"""Each expectation of kaguya-disparity is broken once, and pairs that nobody can use are stopped by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from orrery.gates import judge
from orrery.params import load_params
from orrery.raster.scene import list_scenes
from orrery.raster.terrain_camera_product import read_product, write_product
from orrery.systems.base import get_section
from orrery.systems.kaguya_disparity.align import align_scene, conditions_of
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.kaguya_scenes import scene_params, world

pytestmark = pytest.mark.faults

SECTION = get_section(load_params(Path(__file__).parents[2] / "params.yaml"), "kaguya-disparity")
GATE = SECTION.gate
BOUNDS = [
    (name, end) for name, item in GATE.items() for end in ("min", "max") if getattr(item, end) is not None
]
GOOD = {
    "pair": "tc1-to-tc2",
    "overlap_fraction": 0.98,
    "agreement": 0.95,
    "cross_track_px": 0.01,
    "valid_fraction": 0.95,
    "outlier_fraction": 0.001,
    "residual_mean_px": 0.004,
    "residual_sd_px": 0.08,
    "saturated_fraction": 0.0,
}


@pytest.fixture
def table():
    return pd.DataFrame(
        [{"scene": f"{name}-flat-0", "kind": "flat", **GOOD} for name in ("train", "val", "test")]
    )


def failing(table, name):
    """The rows that one expectation names, after checking that what is critical shuts the gate."""
    verdict = judge(table, {name: GATE[name]})
    (judgement,) = verdict.judgements
    assert verdict.passed is (judgement.passed or GATE[name].severity != "critical")
    return [] if judgement.passed else [failure.row["scene"] for failure in judgement.failures]


def test_a_good_pair_passes_every_expectation(table):
    assert judge(table, GATE).passed


@pytest.mark.parametrize(("name", "end"), BOUNDS)
def test_a_value_beyond_the_bound_fails_and_one_on_it_does_not(table, name, end):
    column, bound = GATE[name].column, float(getattr(GATE[name], end))
    table.loc[1, column] = bound
    assert failing(table, name) == []
    table.loc[1, column] = bound + (1e-3 if end == "max" else -1e-3)
    assert failing(table, name) == ["val-flat-0"]


def shifted_across(counts):
    return ndimage.shift(counts, (0, 0.7), order=3, mode="nearest")


def noisy(counts):
    return counts + 60 * np.random.default_rng(0).standard_normal(counts.shape)


def half_lost(counts):
    return np.where(np.arange(len(counts))[:, None] < len(counts) // 2, np.nan, counts)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [(shifted_across, "cross_track"), (noisy, "valid_pixels"), (half_lost, "valid_pixels")],
)
def test_spoiled_pairs_are_stopped(spoil, named, tmp_path):
    stereo_scenes.make(tmp_path / "kaguya", world(train_spoiled=scene_params()), 7)
    (scene,) = list_scenes(tmp_path / "kaguya")
    label = scene.asset("tc2")
    keys = {"PRODUCT_ID": "X", "INSTRUMENT_ID": "TC2", "EXPOSURE_MODE_ID": "MIDDLE", "Q_TABLE_ID": "N/A"}
    counts = np.clip(spoil(read_product(label).counts), 0, 1023).astype(np.float32)
    write_product(label, counts, keys, {"COMPRESSION_TYPE": "N/A"})
    conditions = conditions_of(scene.id, SECTION.align, SECTION.split, 7)[:1]
    row = align_scene(scene, tmp_path / "out", SECTION.align, conditions)
    verdict = judge(pd.DataFrame([row]), GATE)
    assert not verdict.passed
    failed = {
        item.name: [f.row["scene"] for f in item.failures] for item in verdict.judgements if not item.passed
    }
    assert failed[named] == ["train-spoiled"]


def test_too_bright_a_mean_saturates_and_is_stopped(tmp_path):
    stereo_scenes.make(tmp_path / "kaguya", world(train_bright=scene_params()), 7)
    (scene,) = list_scenes(tmp_path / "kaguya")
    params = SECTION.align.model_copy(update={"mean_count": 1000.0})
    row = align_scene(scene, tmp_path / "out", params, conditions_of(scene.id, params, SECTION.split, 7)[:1])
    verdict = judge(pd.DataFrame([row]), GATE)
    assert "saturation" in {item.name for item in verdict.judgements if not item.passed}
