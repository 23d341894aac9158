"""Aligned pairs: planes, conditions, rows, patches; and pairs that are refused by name."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.raster.scene import list_scenes
from orrery.raster.terrain_camera_product import read_product, write_product
from orrery.systems.kaguya_disparity.align import align_scene, conditions_of
from orrery.systems.kaguya_disparity.aligned import list_aligned, load_aligned
from orrery.systems.kaguya_disparity.conditions import Condition
from orrery.systems.kaguya_disparity.data import PatchDataset
from orrery.systems.kaguya_disparity.pair import read_pair, where_they_meet
from orrery.systems.kaguya_disparity.params import VariantParams
from orrery.systems.kaguya_disparity.patches import held_out_patches
from orrery.systems.kaguya_disparity.scaling import fitted, scaling_of
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.kaguya_scenes import (
    aligned_workspace,
    scene_params,
    section,
    small_variant,
    textured,
    world,
)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory):
    return aligned_workspace(tmp_path_factory.mktemp("kaguya"))


@pytest.fixture
def scene(tmp_path: Path):
    stereo_scenes.make(tmp_path / "kaguya", world(train_a=scene_params()), 7)
    return list_scenes(tmp_path / "kaguya")[0]


def test_residuals_are_what_compression_did(work) -> None:
    workspace, params = work
    pairs = {pair.id: pair for pair in list_aligned(workspace.aligned)}
    assert set(pairs) == {"train-a", "train-b", "val-a", "test-a"}
    test = pairs["test-a"]
    assert [c.key for c in test.conditions] == [
        "sf008s.a-200",
        "sf008s.a-100",
        "sf008s.a-400",
        "annex-k-q90-200",
    ]
    sizes = {}
    for condition in test.conditions:
        planes = test.planes(condition)
        valid = planes["valid"] > 0
        sizes[condition.key] = float(planes["residual"][valid].std())
        assert valid.mean() > 0.7
        assert abs(planes["residual"][valid].mean()) < 0.05
    assert sizes["sf008s.a-100"] > sizes["sf008s.a-200"] > sizes["sf008s.a-400"] > 0
    assert len(pairs["train-a"].conditions) == 1 + params.align.training_draws


def test_a_row_measures_the_pair(work) -> None:
    workspace, params = work
    table = pd.DataFrame([{}])
    table = pd.DataFrame(
        [align_scene(s, workspace.root / "again", params.align, conditions_of(s.id, params.align, params.split, 7)[:1])
         for s in list_scenes(workspace.data / "kaguya")[:1]]
    )  # fmt: skip
    row = table.iloc[0]
    assert row["overlap_fraction"] > 0.9
    assert abs(row["cross_track_px"]) < 0.2
    assert row["true_error_px"] > row["true_error_uncompressed_px"] > 0
    assert 0.5 < row["bits_per_px"] < 4
    assert row["count_factor"] == pytest.approx(200 / 240, rel=0.02)


def test_columns_that_are_shifted_are_measured(tmp_path: Path, scene) -> None:
    tc2 = scene.asset("tc2")
    counts = read_product(tc2).counts
    keys = {"PRODUCT_ID": "X", "INSTRUMENT_ID": "TC2", "EXPOSURE_MODE_ID": "MIDDLE", "Q_TABLE_ID": "N/A"}
    from scipy import ndimage

    moved = ndimage.shift(counts, (0, 0.6), order=3, mode="nearest")
    write_product(tc2, moved.astype(np.float32), keys, {"COMPRESSION_TYPE": "N/A"})
    params = section()
    row = align_scene(
        scene, tmp_path / "out", params.align, conditions_of(scene.id, params.align, params.split, 7)[:1]
    )
    assert abs(row["cross_track_px"]) > 0.3


def test_conditions_are_drawn_from_the_seed_and_the_name() -> None:
    params = section()
    first = conditions_of("train-a", params.align, params.split, 7)
    assert first == conditions_of("train-a", params.align, params.split, 7)
    assert first != conditions_of("train-b", params.align, params.split, 7)
    assert all(100 <= c.mean_count <= 400 for c in first)
    with pytest.raises(OrreryError, match="no table nothing"):
        conditions_of("test-a", params.align.model_copy(update={"table": "nothing"}), params.split, 7)


def test_a_compressed_pair_cannot_be_trained_on(scene, tmp_path: Path) -> None:
    for name in ("tc1", "tc2"):
        label = scene.asset(name)
        label.write_text(
            label.read_text().replace("COMPRESSION_TYPE = N/A", "COMPRESSION_TYPE = DCT_DECOMPRESSED")
        )
    with pytest.raises(OrreryError, match="compressed on board"):
        align_scene(scene, tmp_path / "out", section().align, [Condition("SF008S.A", 7.0, 200.0)])
    assert not (tmp_path / "out").exists()


def test_pairs_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    stereo_scenes.make(tmp_path, world(a=scene_params(), b=scene_params()), 7)
    a, b = (tmp_path / name for name in ("a", "b"))
    with pytest.raises(OrreryError, match=r"no ground of tc1\.lbl"):
        read_pair(a / "tc1.lbl", b / "tc2.lbl")
    with pytest.raises(OrreryError, match="exchange"):
        read_pair(a / "tc2.lbl", a / "tc1.lbl")
    with pytest.raises(OrreryError, match="is of TC1"):
        read_pair(a / "tc1.lbl", a / "tc1.lbl")
    label = a / "tc2.lbl"
    label.write_text(label.read_text().replace("Q_TABLE_ID = N/A", "Q_TABLE_ID = SF008S.A"))
    with pytest.raises(OrreryError, match=r"with SF008S\.A, tc1\.lbl with none"):
        read_pair(a / "tc1.lbl", label)


@pytest.mark.parametrize(("rows", "columns"), [(0, 0), (64, -24), (-80, 16)])
def test_images_are_laid_on_each_other_from_afar(rows: int, columns: int) -> None:
    whole = np.kron(textured(60, 60, 3), np.ones((8, 8), np.float32))
    left = whole[100:350, 100:350]
    right = whole[100 - rows : 350 - rows, 100 - columns : 350 - columns]
    found = where_they_meet(left, right)
    assert abs(found[0] - rows) <= 8
    assert abs(found[1] - columns) <= 8
    assert found[2] > 0.8


def test_patches_lead_back_and_sets_do_not_share_ground(work) -> None:
    workspace, _ = work
    index = pd.read_parquet(workspace.patches / "index.parquet")
    by_pair = index[index["split"] == "pair"]
    assert set(by_pair[by_pair["set"] == "train"]["scene"]) == {"train-a", "train-b"}
    assert set(by_pair[by_pair["set"] == "validation"]["scene"]) == {"val-a"}
    leaky = index[index["split"] == "patch"]
    assert set(leaky["set"]) == {"train", "test"}
    assert len(leaky.drop_duplicates(["scene", "row", "column"])) == len(leaky)
    assert held_out_patches(workspace.patches).keys() <= {"train-a", "train-b", "val-a", "test-a"}
    assert read_json(workspace.patches / "split.json")["test-a"] == "test"


def test_an_item_is_a_z_score_of_its_own_condition(work) -> None:
    workspace, _ = work
    variant = VariantParams.model_validate(small_variant())
    data = PatchDataset(workspace.patches, "train", variant)
    item = data[0]
    assert item["inputs"].shape == (7, 64, 64)
    assert item["target"].shape == item["valid"].shape == (1, 64, 64)
    row = data.index.iloc[0]
    pair = load_aligned(workspace.aligned / row["scene"])
    planes = pair.planes(data.condition(0))
    part = np.s_[row["row"] : row["row"] + 64, row["column"] : row["column"] + 64]
    scaling = scaling_of(workspace.patches)
    expected = planes["residual"][part] / scaling.of(data.condition(0)) - scaling.mean
    valid = planes["valid"][part] > 0
    assert np.allclose(item["target"][0].numpy()[valid], np.clip(expected, -6, 6)[valid], atol=2e-3)
    spread = np.concatenate([data[n]["target"][data[n]["valid"] > 0].numpy() for n in range(len(data))]).std()
    assert 0.5 < spread < 2
    alone = PatchDataset(workspace.patches, "train", variant.model_copy(update={"conditioned": False}))
    assert len(alone) < len(data)
    assert set(alone.index["mean_count"]) == {200.0}


def test_the_power_law_is_recovered() -> None:
    conditions = [Condition("t", step, count) for step in (2.0, 4.0, 9.0) for count in (50.0, 200.0, 800.0)]
    sizes = [0.05 * (c.mean_count / 200) ** -0.7 * (c.step / 4) ** 0.6 for c in conditions]
    law = fitted(conditions, sizes, [0.1 * size for size in sizes])
    assert (law.sd_px, law.by_count, law.by_step) == (
        pytest.approx(0.05),
        pytest.approx(-0.7),
        pytest.approx(0.6),
    )
    assert law.mean == pytest.approx(0.1)
    alone = fitted(conditions[:1], [0.1], [0.0])
    assert (alone.by_count, alone.by_step) == (0, 0)
    assert alone.of(conditions[0]) == pytest.approx(0.1)
