"""mars-bands' patch stage on aligned scenes of known content: what is cut, kept and summed up."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from orrery.errors import OrreryError
from orrery.files import read_json, write_json
from orrery.systems.mars_bands.normalisation import Sums, base_of
from orrery.systems.mars_bands.params import ClipParams
from orrery.systems.mars_bands.patches import clip, make_patches, scene_planes
from orrery.systems.mars_bands.placed import load_placed
from orrery.systems.split import SplitParams, refuse_shared_ground, split_of
from tests.unit.systems.mars_patches import (
    SIDE,
    WAVELENGTHS_NM,
    cells_of,
    lit_image,
    section_of,
    write_aligned,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two training regions, a validation and a test scene; aligned scenes and their patches."""
    root = tmp_path_factory.mktemp("mars")
    for name, region in (("train-a", "gale"), ("train-b", "holden"), ("val-c", "gale"), ("test-d", "gale")):
        write_aligned(root / "aligned", name, region)
    make_patches(root / "aligned", root / "patches", section_of())
    return root


# Placed scenes


def test_a_scene_is_lit_from_above_and_its_bands_lie_on_the_images_pixels(made):
    scene = load_placed(made / "aligned" / "train-a")
    assert (scene.id, scene.site, scene.region, scene.dem) == ("train-a", "train-a", "gale", None)
    np.testing.assert_allclose(scene.image.values, lit_image("train-a"), rtol=1e-6)
    bands = scene.bands("local", WAVELENGTHS_NM)
    assert bands.shape == (3, SIDE, SIDE)
    # a cell of three pixels has its centre on the middle one, where an interpolation meets the cell itself
    np.testing.assert_allclose(bands[:, 1::3, 1::3], cells_of("train-a"), atol=1e-5)
    np.testing.assert_allclose(
        scene.bands("none", WAVELENGTHS_NM)[:, 1::3, 1::3], cells_of("train-a", 6), atol=1e-5
    )
    assert scene.bands("global", WAVELENGTHS_NM) is None
    np.testing.assert_array_equal(scene.bands("local", [592.35, 442.63]), bands[[2, 0]])


def test_heights_lie_on_the_images_pixels(tmp_path):
    slope = np.add.outer(np.arange(64) * 18.0, np.arange(64) * 36.0)  # m down and m across
    scene = load_placed(write_aligned(tmp_path, "train-a", dem=slope))
    rows, columns = np.indices((SIDE, SIDE))
    inner = np.s_[12:-12, 12:-12]
    np.testing.assert_allclose(scene.dem[inner], ((rows - 1) * 6 + (columns - 1) * 12)[inner], atol=0.5)


@pytest.mark.parametrize("elevation", [None, 0, -3.0, 91, "high"])
def test_a_scene_whose_sun_is_unknown_or_down_is_refused(tmp_path, elevation):
    folder = write_aligned(tmp_path, "train-a", sun=False)
    item = read_json(folder / "item.json")
    if elevation is not None:
        item["properties"]["view:sun_elevation"] = elevation
        write_json(folder / "item.json", item)
    with pytest.raises(OrreryError, match=r"item\.json: tells no sun above the horizon") as told:
        load_placed(folder)
    assert "INCIDENCE_ANGLE" in told.value.remedy


# Clipping and planes


def test_outliers_are_cut_as_numpy_would():
    plane = np.random.default_rng(1).normal(0.2, 0.02, (60, 70)).astype(np.float32)
    plane[0, :5], plane[1] = (9, -9, 5, 4, -4), np.nan
    known = plane[np.isfinite(plane)].astype(float)
    bounds = {
        "percentile": np.percentile(known, [1.5, 98.5]),
        "sigma": known.mean() + np.array([-2, 2]) * known.std(),
        "none": (-np.inf, np.inf),
    }
    for name, (low, high) in bounds.items():
        found = clip(plane, ClipParams(name=name, percentile=1.5, sigmas=2.0))
        np.testing.assert_allclose(found, plane.clip(low, high), rtol=1e-5, err_msg=name)
    nothing = np.full((3, 3), np.nan, np.float32)
    assert np.isnan(clip(nothing, ClipParams(name="percentile"))).all()


def test_planes_of_a_scene_are_clipped_each_by_itself(made):
    scene = load_placed(made / "aligned" / "train-a")
    params = section_of({"clip": {"name": "percentile", "percentile": 2.0}}).patch
    planes = scene_planes(scene, params, ("local", "true", "global"))
    assert set(planes) == {"image", "base", "bands-local", "bands-true"}
    image, bands = scene.image.values, scene.bands("local", WAVELENGTHS_NM)
    clipped = image.clip(*np.percentile(image, [2, 98]))
    np.testing.assert_allclose(planes["image"], clipped, rtol=1e-6)
    np.testing.assert_allclose(planes["base"], base_of(clipped, 6.0), rtol=1e-5)
    for band, found in zip(bands, planes["bands-local"], strict=True):
        np.testing.assert_allclose(found, band.clip(*np.nanpercentile(band, [2, 98])), rtol=1e-5)


# Shards


def test_every_window_with_enough_ground_in_every_placement_is_cut_and_no_other(made):
    index = pd.read_parquet(made / "patches" / "index.parquet")
    assert set(index["scene"]) == {"train-a", "train-b", "val-c"}
    starts = [round(i * (SIDE - 64) / 3) for i in range(4)]  # the fewest that overlap by 16 px
    for name, rows in index.groupby("scene"):
        scene = load_placed(made / "aligned" / name)
        bands = {each: scene.bands(each, WAVELENGTHS_NM) for each in ("local", "none")}
        expected = []
        for row in starts:
            for column in starts:
                cut = np.s_[:, row : row + 64, column : column + 64]
                if all(np.isfinite(each[cut]).all(0).mean() >= 0.5 for each in bands.values()):
                    expected.append((row, column))
        assert list(zip(rows["row"], rows["column"], strict=True)) == expected
        assert list(rows["position"]) == list(range(len(expected)))
        shard = load_file(made / "patches" / rows["shard"].iloc[0])
        assert set(shard) == {"image", "base", "bands-local", "bands-none"}
        for position, (row, column) in enumerate(expected):
            cut = np.s_[row : row + 64, column : column + 64]
            np.testing.assert_array_equal(shard["image"][position], scene.image.values[cut])
            np.testing.assert_array_equal(shard["bands-none"][position], bands["none"][:, *cut])
    described = index.groupby("scene")[["set", "region", "site", "gsd_m"]].first()
    assert list(described.loc["train-b"]) == ["train", "holden", "train-b", pytest.approx(6.0)]
    assert described.loc["val-c", "set"] == "validation"


def test_random_patches_are_of_training_scenes_and_of_the_seed(made, tmp_path, monkeypatch):
    section = section_of({"random_patches": 9, "min_valid_fraction": 0.8})
    for name, seed in (("one", 3), ("two", 3), ("three", 4)):
        make_patches(made / "aligned", tmp_path / name, section, seed)
    one, two, three = (pd.read_parquet(tmp_path / name / "index.parquet") for name in ("one", "two", "three"))
    pd.testing.assert_frame_equal(one, two)
    training = one.query("set == 'train'")
    assert dict(training["scene"].value_counts()) == {"train-a": 9, "train-b": 9}
    assert len(training[["row", "column"]].drop_duplicates()) == 18  # every scene has its own
    assert not training.equals(three.query("set == 'train'"))
    pd.testing.assert_frame_equal(one.query("set == 'validation'"), three.query("set == 'validation'"))
    bands = load_placed(made / "aligned" / "train-b").bands("none", WAVELENGTHS_NM)
    for row, column in one.query("scene == 'train-b'")[["row", "column"]].to_numpy():
        assert np.isfinite(bands[:, row : row + 64, column : column + 64]).all(0).mean() >= 0.8
    monkeypatch.setattr("orrery.systems.mars_bands.patches.TRIES", 1)
    picky = section_of({"random_patches": 9, "min_valid_fraction": 0.99})
    make_patches(made / "aligned", tmp_path / "few", picky, 3)  # the search for room has an end
    assert 0 < len(pd.read_parquet(tmp_path / "few" / "index.parquet").query("set == 'train'")) < 18


def test_what_holds_too_little_ground_is_not_cut(made, tmp_path):
    make_patches(made / "aligned", tmp_path / "patches", section_of({"min_valid_fraction": 0.95}))
    few = pd.read_parquet(tmp_path / "patches" / "index.parquet")
    all_of_them = pd.read_parquet(made / "patches" / "index.parquet")
    assert 0 < len(few) < len(all_of_them)


def test_statistics_are_those_of_the_training_scenes_by_region(made):
    statistics = read_json(made / "patches" / "statistics.json")
    assert set(statistics) == {"gale", "holden"}
    for region, name in (("gale", "train-a"), ("holden", "train-b")):  # val-c lies in gale too
        scene = load_placed(made / "aligned" / name)
        base, bands = base_of(scene.image.values, 6.0), scene.bands("local", WAVELENGTHS_NM)
        known = np.isfinite(bands).all(0)
        base, bands = base[known].astype(float), bands[:, known].astype(float)
        moments = Sums.from_dict(statistics[region]["reflectance"]).moments()
        np.testing.assert_allclose(moments.image_mean, base.mean(), rtol=1e-6)
        np.testing.assert_allclose(moments.mean, bands.mean(1), rtol=1e-6)
        lines = [np.polyfit(base, band, 1)[0] for band in bands]
        np.testing.assert_allclose(moments.slope, lines, rtol=1e-4)
        ratios = Sums.from_dict(statistics[region]["ratio"]).moments()
        np.testing.assert_allclose(ratios.mean, np.log(bands / base).mean(1), rtol=1e-4)
        np.testing.assert_allclose(ratios.deviation, np.log(bands / base).std(1), rtol=1e-3)


def test_scenes_and_split_are_told(made):
    scenes = read_json(made / "patches" / "scenes.json")
    assert set(scenes) == {"train-a", "train-b", "val-c"}
    assert scenes["val-c"]["image"]["mean"] == pytest.approx(lit_image("val-c").mean(), abs=1e-4)
    known = cells_of("val-c")
    assert scenes["val-c"]["bands"]["mean"] == pytest.approx(np.nanmean(known, (1, 2)), abs=1e-3)
    sets = {"train-a": "train", "train-b": "train", "val-c": "validation", "test-d": "test"}
    assert read_json(made / "patches" / "split.json") == sets


def test_equal_scenes_give_equal_bytes(made, tmp_path):
    make_patches(made / "aligned", tmp_path / "patches", section_of())
    files = [path for path in (made / "patches").rglob("*") if path.is_file()]
    assert len(files) == 7
    for path in files:
        again = tmp_path / "patches" / path.relative_to(made / "patches")
        assert again.read_bytes() == path.read_bytes(), path.name


def test_the_first_placement_need_not_be_the_pipelines(made, tmp_path):
    make_patches(made / "aligned", tmp_path / "patches", section_of({"placements": ["none", "local"]}))
    found, usual = (
        Sums.from_dict(read_json(root / "patches" / "statistics.json")["gale"]["reflectance"]).moments()
        for root in (tmp_path, made)
    )
    assert max(np.abs(found.slope)) < 0.5 * min(usual.slope)  # displaced by 108 m, bands follow nothing


# Bad input


def test_no_training_scene_and_a_patch_larger_than_a_scene_are_refused(made, tmp_path):
    split = {"train": ["no-*"], "validation": ["train-*", "val-*"], "test": ["test-*"]}
    with pytest.raises(OrreryError, match="holds no training scene"):
        make_patches(made / "aligned", tmp_path / "patches", section_of(split=split))
    with pytest.raises(OrreryError, match="smaller than a patch of 224 x 224 px"):
        make_patches(made / "aligned", tmp_path / "patches", section_of({"size_px": 224}))
    assert not (tmp_path / "patches").exists()


def test_a_scene_without_a_placement_asked_for_is_named(made, tmp_path):
    write_aligned(tmp_path / "aligned", "train-a", alignments=("local", "none"))
    with pytest.raises(OrreryError, match="train-a: has no bands aligned as 'true'"):
        make_patches(
            tmp_path / "aligned", tmp_path / "patches", section_of({"placements": ["local", "true"]})
        )


SPLIT = SplitParams(train=["train-*"], validation=["val-*"], test=["test-*"])


def scene(name, site):
    return SimpleNamespace(id=name, site=site)


def test_a_place_may_serve_one_side_only():
    scenes = [scene("train-a", "x"), scene("train-b", "x"), scene("val-a", "y"), scene("test-a", "y")]
    refuse_shared_ground(scenes, {each.id: split_of(each.id, SPLIT) for each in scenes})
    scenes += [scene("test-b", "x"), scene("train-c", "y")]
    with pytest.raises(OrreryError, match="x, y would be trained on and judged"):
        refuse_shared_ground(scenes, {each.id: split_of(each.id, SPLIT) for each in scenes})
