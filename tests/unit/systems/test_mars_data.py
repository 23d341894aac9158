"""mars-bands' patches as batches: placements, regions, statistics and order."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.optimisation import SeededBatches
from orrery.systems.mars_bands.data import PatchData, PatchDataset, normalisation_of, places
from orrery.systems.mars_bands.normalisation import Sums
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.tile import HEIGHT_SCALE_M
from tests.unit.systems.mars_patches import WAVELENGTHS_NM, section_of, variant_of, write_aligned


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """Two training regions and a validation scene of one of them, with heights."""
    root = tmp_path_factory.mktemp("mars")
    slope = np.add.outer(np.arange(64) * 18.0, np.arange(64) * 36.0)
    for name, region in (("train-a", "gale"), ("train-b", "holden"), ("val-c", "holden")):
        write_aligned(root / "aligned", name, region, dem=slope)
    make_patches(root / "aligned", root / "patches", section_of())
    return root / "patches"


def dataset(patches, subset="train", **changes):
    return PatchDataset(patches, subset, variant_of(**changes), WAVELENGTHS_NM)


def shard(patches, data, number, name):
    row = data.index.iloc[number]
    return load_file(patches / row["shard"])[name][row["position"]]


@pytest.mark.parametrize("placement", ["local", "none"])
def test_training_is_placed_as_asked_and_validation_as_the_pipeline_aligned(patches, placement):
    training = dataset(patches, placement=placement)
    truth = shard(patches, training, 1, f"bands-{placement}")[[2, 1, 0]]
    np.testing.assert_array_equal(training.planes(1)["bands"], truth)
    judged = dataset(patches, "validation", placement=placement)
    truth = shard(patches, judged, 1, "bands-local")[[2, 1, 0]]
    np.testing.assert_array_equal(judged.planes(1)["bands"], truth)
    assert not np.array_equal(truth, shard(patches, judged, 1, "bands-none")[[2, 1, 0]], equal_nan=True)


def test_a_region_left_out_is_neither_trained_on_nor_summed_up_but_validated_on(patches):
    everywhere, held_out = dataset(patches), dataset(patches, leave_out=["holden"])
    assert set(everywhere.index["region"]) == {"gale", "holden"}
    assert set(held_out.index["region"]) == {"gale"}
    assert set(held_out.normalisation.regions) == {"gale"}
    assert set(dataset(patches, "validation", leave_out=["holden"]).index["region"]) == {"holden"}
    sums = read_json(patches / "statistics.json")["gale"]["reflectance"]
    expected = Sums.from_dict(sums).moments()
    assert held_out.normalisation.overall.image_mean == expected.image_mean
    assert held_out.normalisation.overall.mean == expected.mean[::-1]


def test_a_region_that_is_none_of_the_training_scenes_cannot_be_left_out(patches):
    with pytest.raises(
        OrreryError, match="has no training scene of mawrht, which a variant leaves out"
    ) as told:
        dataset(patches, leave_out=["holden", "mawrht"])
    assert "gale, holden" in told.value.remedy


def test_bands_are_the_nearest_of_those_kept(patches):
    variant = variant_of(bands=[533.9, 442.0])
    assert places(variant, WAVELENGTHS_NM) == [1, 0]
    assert normalisation_of(patches, variant, WAVELENGTHS_NM).kind == "residual"
    data = PatchDataset(patches, "train", variant, WAVELENGTHS_NM)
    np.testing.assert_array_equal(data.planes(0)["bands"], shard(patches, data, 0, "bands-local")[[1, 0]])


@pytest.mark.parametrize("kind", ["none", "global", "image", "patch", "ratio", "residual"])
def test_an_item_is_normalised_masked_and_finite(patches, kind):
    data = dataset(patches, normalisation=kind)
    number = int(data.index.query("scene == 'train-a'").index[0])
    item, planes = data[number], data.planes(number)
    assert {name: (part.shape, part.dtype) for name, part in item.items()} == {
        "inputs": ((1, 64, 64), torch.float32),
        "target": ((3, 64, 64), torch.float32),
        "valid": ((1, 64, 64), torch.bool),
    }
    known = np.isfinite(planes["bands"]).all(0)
    assert 0 < known.mean() < 1
    np.testing.assert_array_equal(item["valid"][0].numpy(), known)
    assert (item["target"].numpy()[:, ~known] == 0).all()
    assert all(torch.isfinite(part).all() for part in item.values())
    if kind not in ("image", "patch"):
        back = data.normalisation.reflectance(item["target"].numpy(), planes["base"], "gale")
        np.testing.assert_allclose(back[:, known], planes["bands"][:, known], rtol=1e-4)


def test_image_wise_statistics_are_those_of_the_whole_scene(patches):
    data, scenes = dataset(patches, normalisation="image"), read_json(patches / "scenes.json")
    for number in (0, len(data) - 1):
        item, planes = data[number], data.planes(number)
        whole = scenes[data.index.iloc[number]["scene"]]
        mean, deviation = whole["image"]["mean"], whole["image"]["standard_deviation"]
        np.testing.assert_allclose(item["inputs"][0], (planes["image"] - mean) / deviation, atol=1e-4)
        mean, deviation = (np.array(whole["bands"][name])[::-1, None, None] for name in ("mean", "deviation"))
        known = item["valid"][0].numpy()
        expected = (planes["bands"] - mean) / deviation
        np.testing.assert_allclose(item["target"].numpy()[:, known], expected[:, known], atol=1e-4)


def test_patch_wise_statistics_are_those_of_the_patch(patches):
    data = dataset(patches, normalisation="patch")
    for number in (0, len(data) - 1):
        item = data[number]
        known = item["valid"][0].numpy()
        target, inputs = item["target"].numpy()[:, known], item["inputs"].numpy()
        np.testing.assert_allclose([*target.mean(1), inputs.mean()], 0, atol=1e-3)
        np.testing.assert_allclose([*target.std(1), inputs.std()], 1, atol=1e-3)


def test_heights_join_as_relief_within_the_patch(patches):
    data = dataset(patches, dem=True)
    item, dem = data[2], shard(patches, data, 2, "dem")
    assert item["inputs"].shape == (2, 64, 64)
    np.testing.assert_allclose(item["inputs"][1], (dem - np.nanmean(dem)) / HEIGHT_SCALE_M, atol=1e-4)


def test_a_scene_without_heights_is_named_where_they_are_wanted(tmp_path):
    write_aligned(tmp_path / "aligned", "train-a")
    make_patches(tmp_path / "aligned", tmp_path / "patches", section_of())
    with pytest.raises(OrreryError, match=r"train-a\.safetensors: holds no heights"):
        dataset(tmp_path / "patches", dem=True)[0]


def test_a_set_without_patches_is_told(patches):
    with pytest.raises(OrreryError, match="no patches of the set 'test'"):
        dataset(patches, "test")
    with pytest.raises(OrreryError, match="no patches of the set 'train'"):
        dataset(patches, leave_out=["gale", "holden"])


def test_batches_are_those_of_the_seed_and_go_on_where_a_training_stopped(patches):
    data = PatchData(patches, variant_of(), WAVELENGTHS_NM, seed=3)
    size = len(dataset(patches))
    whole = list(data.train_dataloader())
    expected = list(SeededBatches(size, 2, 4, 3))
    assert len(whole) == 4
    for batch, numbers in zip(whole, expected, strict=True):
        single = [dataset(patches)[number]["target"] for number in numbers]
        torch.testing.assert_close(batch["target"], torch.stack(single), rtol=0, atol=0)
    data.first_step = 3
    assert torch.equal(next(iter(data.train_dataloader()))["inputs"], whole[3]["inputs"])
    index = pd.read_parquet(patches / "index.parquet")
    judged = [len(batch["inputs"]) for batch in data.val_dataloader()]
    assert sum(judged) == (index["set"] == "validation").sum()
