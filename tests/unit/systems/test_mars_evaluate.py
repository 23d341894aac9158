"""Judging predictions on whole scenes, and the baselines that they must beat."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from orrery.files import write_json
from orrery.systems.mars_bands.baselines import Linear, Mean, Nearest, baselines
from orrery.systems.mars_bands.data import PatchDataset
from orrery.systems.mars_bands.evaluate import evaluate, judge, judged_scenes
from orrery.systems.mars_bands.model import Reflectance
from orrery.systems.mars_bands.normalisation import Sums, base_of
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.pictures import scene_picture
from orrery.systems.mars_bands.placed import load_placed
from orrery.systems.mars_bands.tile import Statistics, Tile
from tests.unit.systems.mars_patches import (
    SLOPES,
    WAVELENGTHS_NM,
    lit_image,
    section_of,
    variant_of,
    write_aligned,
)

EVC = [592.35, 533.74, 442.63]
SIX = [*EVC, 2503.12, 1500.03, 1079.96]


# Figures of one prediction


def scene(bands=3, seed=2):
    random = np.random.default_rng(seed)
    image = random.normal(0.25, 0.03, (40, 50)).astype(np.float32)
    truth = random.normal(0.3, 0.04, (bands, 40, 50)).astype(np.float32)
    truth[:, :10], image[:, :5] = np.nan, np.nan
    return image, truth, np.isfinite(truth).all(0) & np.isfinite(image)


def test_perfection_has_no_error_and_no_angle():
    image, truth, known = scene(6)
    row = judge(Reflectance(truth, np.full_like(truth, 1e-6), None, None), truth, image, SIX)
    for group in ("evc", "fc", "all"):
        for metric in ("rmse_if", "bias_if", "rmse", "rmse_diluted", "spectral_angle_deg"):
            assert row[f"{metric}_{group}"] == pytest.approx(0, abs=1e-6)
        for metric in ("r2_if", "cosine", "pcc", "histogram_intersection", "coverage_1sigma"):
            assert row[f"{metric}_{group}"] == pytest.approx(1, abs=1e-6)
        assert row[f"valid_fraction_{group}"] == pytest.approx(known.mean())
    assert len(row) == 3 * 13


def test_figures_of_a_level_error_are_known():
    image, truth, known = scene()
    error = np.array([0.01, -0.02, 0.03], np.float32)
    sigma = np.full_like(truth, 0.025)
    row = judge(Reflectance(truth + error[:, None, None], sigma, None, None), truth, image, EVC, "@true")
    assert {name.split("_")[-1] for name in row} == {"evc@true", "all@true"}
    spread = truth[:, known].std(1)
    assert row["bias_if_evc@true"] == pytest.approx(error.mean(), rel=1e-3)
    assert row["rmse_if_evc@true"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    in_scores = np.sqrt(((error / spread) ** 2).mean())
    assert row["rmse_evc@true"] == pytest.approx(in_scores, rel=1e-3)
    assert row["rmse_diluted_evc@true"] == pytest.approx(in_scores * np.sqrt(known.mean()), rel=1e-3)
    span = np.ptp(truth[:, known], axis=1)
    assert row["rmse_unit_evc@true"] == pytest.approx(np.sqrt(((error / span) ** 2).mean()), rel=1e-3)
    unit = ((truth[:, known] - truth[:, known].min(1, keepdims=True)) / span[:, None]).astype(float)
    moved = unit + (error / span)[:, None]
    aligned = (unit * moved).sum() / np.sqrt((unit**2).sum() * (moved**2).sum())
    assert row["cosine_unit_evc@true"] == pytest.approx(aligned, rel=1e-5)
    assert row["r2_if_evc@true"] == pytest.approx(np.mean(1 - error**2 / spread**2), rel=1e-3)
    assert row["pcc_evc@true"] == pytest.approx(1, abs=1e-4)
    assert row["coverage_1sigma_evc@true"] == pytest.approx(2 / 3, abs=1e-6)
    spectra = truth[:, known], truth[:, known] + error[:, None]
    cosine = (spectra[0] * spectra[1]).sum(0) / np.linalg.norm(spectra[0], axis=0) / np.linalg.norm(spectra[1], axis=0)  # fmt: skip
    expected = np.degrees(np.arccos(cosine.clip(-1, 1))).mean()
    assert row["spectral_angle_deg_evc@true"] == pytest.approx(expected, rel=1e-3)


def test_scores_that_a_model_gives_are_judged_as_they_are():
    image, truth, known = scene()
    mean, spread = truth[:, known].mean(1)[:, None, None], truth[:, known].std(1)[:, None, None]
    far_off = Reflectance(truth + 0.5, None, None, ((truth - mean) / spread).astype(np.float32))
    row = judge(far_off, truth, image, EVC)
    assert row["rmse_evc"] == pytest.approx(0, abs=1e-4)
    assert row["rmse_if_evc"] == pytest.approx(0.5, rel=1e-4)
    assert "coverage_1sigma_evc" not in row


def test_groups_are_found_in_any_order_of_bands_and_left_out_unless_whole():
    image, truth, _ = scene(6)
    order = [4, 2, 0, 5, 1, 3]
    mixed = [SIX[position] for position in order]
    guess = truth + np.linspace(0.01, 0.06, 6, dtype=np.float32)[:, None, None]
    straight = judge(Reflectance(guess, None, None, None), truth, image, SIX)
    turned = judge(Reflectance(guess[order], None, None, None), truth[order], image, mixed)
    assert turned == pytest.approx(straight, rel=1e-4)
    assert straight["bias_if_evc"] == pytest.approx(0.02, rel=1e-3)
    assert straight["bias_if_fc"] == pytest.approx(0.05, rel=1e-3)
    few = judge(Reflectance(guess[:2], None, None, None), truth[:2], image, SIX[:2])
    assert {name.split("_")[-1] for name in few} == {"all"}


def test_a_figure_that_is_not_defined_is_left_out_so_that_all_can_be_written(tmp_path):
    image, truth, _ = scene(1)
    row = judge(Reflectance(truth, None, None, None), truth, image, [592.35])
    assert "spectral_angle_deg_all" not in row  # a spectrum of one band has no direction
    assert row["rmse_if_all"] == 0
    flat = judge(Reflectance(np.full_like(truth, 0.3), None, None, None), truth, image, [592.35])
    assert "pcc_all" not in flat
    nothing = judge(Reflectance(truth, truth, None, None), np.full_like(truth, np.nan), image, [592.35])
    assert nothing == {"valid_fraction_all": 0.0}
    write_json(tmp_path / "metrics.json", [row, flat, nothing])


# Whole scenes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A scene of each set; only the test scene knows its true place. Patches of the training scene."""
    root = tmp_path_factory.mktemp("mars")
    for name, region in (("train-a", "gale"), ("val-b", "gale")):
        write_aligned(root / "aligned", name, region)
    write_aligned(root / "aligned", "test-c", "jezero")
    write_aligned(root / "aligned", "far-d", "melas", alignments=("local", "none"))
    make_patches(root / "aligned", root / "patches", section_of())
    return root


@dataclass(frozen=True)
class Knowing:
    """Knows the cube of the test scene, at one placement."""

    values: np.ndarray
    name: str = "knowing"

    def bands(self, tile):
        return self.values if tile.image.shape == self.values.shape[1:] else None


def test_test_and_extra_scenes_are_judged_at_both_placements(made, tmp_path):
    assert [scene.id for scene in judged_scenes(made / "aligned", section_of())] == ["far-d", "test-c"]
    truth = load_placed(made / "aligned" / "test-c").bands("true", EVC)
    found = evaluate(Knowing(truth), EVC, made / "aligned", section_of(), tmp_path)
    assert found["variant"] == "knowing"
    assert found["wavelengths_nm"] == EVC
    assert set(found["scenes"]) == {"far-d", "test-c"}
    test, extra = found["scenes"]["test-c"], found["scenes"]["far-d"]
    assert (test["set"], test["region"], test["site"]) == ("test", "jezero", "test-c")
    assert extra["set"] == "extra"
    assert test["rmse_if_evc@true"] == test["rmse_if_evc"] == 0  # the pipeline's place is the true one here
    assert extra["rmse_if_evc"] > 0.01
    assert not any(name.endswith("@true") for name in extra)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["compared", "test-c.png"]
    with Image.open(tmp_path / "compared/test-c/1.png") as compared:
        assert compared.info["Title"] == "predicted, enhanced visible"
        assert compared.size == Image.open(tmp_path / "compared/test-c/0.png").size
    json.dumps(found, allow_nan=False)


def test_without_a_folder_no_picture_is_made(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evaluate(Mean(np.full(3, 0.2, np.float32)), EVC, made / "aligned", section_of(), None)
    assert list(tmp_path.iterdir()) == []


# Baselines


def test_baselines_are_numpys_mean_and_line_of_the_training_pixels(made):
    variant = variant_of()
    data = PatchDataset(made / "patches", "train", variant, WAVELENGTHS_NM)
    planes = [data.planes(number) for number in range(len(data))]
    known = [np.isfinite(each["bands"]).all(0) for each in planes]
    base = np.concatenate([each["base"][where] for each, where in zip(planes, known, strict=True)])
    bands = np.concatenate([each["bands"][:, where] for each, where in zip(planes, known, strict=True)], 1)
    mean, linear, nearest = baselines(made / "patches", variant, WAVELENGTHS_NM)
    assert [each.name for each in (mean, linear, nearest)] == ["mean", "linear", "nearest"]
    tile = Tile(lit_image("test-c"), None, Statistics(0.2, 0.03, 0, 1), 6.0)
    tile.image[20:30, 40:60] = np.nan
    drawn = 40_000 / base.size  # of all pixels, by chance
    assert drawn > 0.5
    expected = bands.astype(float).mean(1)
    np.testing.assert_allclose(mean.bands(tile)[:, 7, 9], expected, rtol=2e-3)
    lines = [np.polyfit(base.astype(float), band.astype(float), 1) for band in bands]
    shown = base_of(tile.image, 6.0)
    for band, line in zip(linear.bands(tile), lines, strict=True):
        np.testing.assert_allclose(band, np.polyval(line, shown), rtol=3e-3)
    np.testing.assert_allclose(linear.slope, SLOPES[::-1], rtol=0.02)


def test_a_line_that_is_there_leaves_little(made):
    found = evaluate(
        baselines(made / "patches", variant_of(), WAVELENGTHS_NM)[1],
        EVC,
        made / "aligned",
        section_of(),
        None,
    )["scenes"]
    assert found["test-c"]["rmse_if_evc"] < 0.001
    assert found["test-c"]["pcc_evc"] > 0.999


def textured(seed, shape=(96, 96)):
    """An image smooth at the left and rough at the right; 1.5 times as red where it is rough."""
    random = np.random.default_rng(seed)
    roughness = np.where(np.arange(shape[1]) < shape[1] // 2, 0.002, 0.03)
    image = (0.25 + roughness * random.standard_normal(shape)).astype(np.float32)
    base = base_of(image, 6.0)
    redness = np.where(roughness > 0.01, 1.5, 1.0)
    return image, base, np.stack([redness * base, base]).astype(np.float32), redness


def test_nearest_finds_a_relation_of_colour_and_texture(tmp_path):
    (tmp_path / "train").mkdir()
    images, bases, bands, _ = zip(*[textured(seed) for seed in range(3)], strict=True)
    shard = {"image": np.stack(images), "base": np.stack(bases), "bands-local": np.stack(bands)}
    save_file(shard, tmp_path / "train" / "train-a.safetensors")
    rows = [
        {"shard": "train/train-a.safetensors", "position": position, "set": "train", "scene": "train-a",
         "region": "gale", "gsd_m": 6.0}
        for position in range(3)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet")
    sums = Sums()
    sums.add(bases[0].ravel(), bands[0].reshape(2, -1))
    plain = sums.to_dict()
    write_json(tmp_path / "statistics.json", {"gale": {"reflectance": plain, "ratio": plain}})
    write_json(tmp_path / "scenes.json", {})
    found = baselines(tmp_path, variant_of(bands=[592.35, 533.74]), [592.35, 533.74])
    image, _, _, redness = textured(9, (95, 97))
    image[40:50, 10:20] = np.nan
    base = base_of(image, 6.0)
    near = found[2].bands(Tile(image, None, Statistics(0.25, 0.02, 0, 1), 6.0))
    assert isinstance(found[2], Nearest)
    assert near.shape == (2, 95, 97)
    assert np.isnan(near[:, 40:50, 10:20]).all()
    away = np.abs(np.arange(97) - 48) > 20  # from the border between the two
    known = np.isfinite(image) & away
    ratio = near[0] / base
    assert np.median(np.abs(ratio - redness)[known]) < 0.02
    assert np.mean(np.abs(ratio - redness)[known] < 0.1) > 0.75
    np.testing.assert_allclose(near[1][known], base[known], rtol=1e-5)
    line = found[1].bands(Tile(image, None, Statistics(0.25, 0.02, 0, 1), 6.0))
    assert isinstance(found[1], Linear)
    assert np.median(np.abs(line[0] / base - redness)[known]) > 0.2


# Pictures


@pytest.mark.parametrize("bands", [EVC, SIX])
def test_equal_predictions_give_equal_pictures(bands, tmp_path):
    image, truth, _ = scene(len(bands))
    found = Reflectance(truth + 0.01, np.full_like(truth, 0.02), None, None)
    for name in ("one.png", "two.png"):
        scene_picture("test-c", image, truth, found, bands, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_bands_that_make_no_colour_have_no_picture(tmp_path):
    image, truth, _ = scene(1)
    scene_picture(
        "test-c", image, truth, Reflectance(truth, None, None, None), [592.35], tmp_path / "one.png"
    )
    assert list(tmp_path.iterdir()) == []
