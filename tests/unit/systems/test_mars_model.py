"""A trained network with its recipe: what it is given, what it gives back, and what its 1-sigma means."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.systems.mars_bands.bins import sid
from orrery.systems.mars_bands.calibration import BORDER_PX, ONE_SIGMA, calibrated
from orrery.systems.mars_bands.data import PatchDataset, normalisation_of
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.normalisation import Moments, Normalisation, base_of, statistics_of
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.task import BandsTask
from orrery.systems.mars_bands.tile import Statistics, Tile
from tests.unit.systems.mars_patches import (
    SIDE,
    WAVELENGTHS_NM,
    lit_image,
    section_of,
    variant_of,
    write_aligned,
)

OVERALL = Moments(0.25, 0.05, (0.3, 0.2, 0.1), (0.03, 0.02, 0.01), (0.6, 0.4, 0.2), (0.012, 0.008, 0.004))
RATIO = Moments(-1.4, 0.2, (0.1, -0.2, -0.9), (0.3, 0.2, 0.1), (0.0, 0.0, 0.0), (0.3, 0.2, 0.1))
GALE = replace(OVERALL, mean=(0.5, 0.4, 0.35), deviation=(0.06, 0.05, 0.04))
KINDS = ("none", "global", "image", "patch", "ratio", "residual")


def planes_of(*values):
    """A network that gives a level plane for each value, whatever it sees."""
    return lambda inputs: torch.tensor(values)[None, :, None, None].expand(len(inputs), -1, *inputs.shape[2:])


def model_of(network, region=None, **changes):
    variant = variant_of(**changes)
    normalisation = Normalisation(variant.normalisation, OVERALL, RATIO, {"gale": GALE})
    scale = (1.0,) * len(variant.bands)
    return BandsModel("ours", network, variant, normalisation, scale, region)


def tile_of(shape=(50, 70), hole=True):
    image = lit_image("tile")[: shape[0], : shape[1]].copy()
    if hole:
        image[10:14, 20:40] = np.nan
    return Tile(image, None, Statistics(0.2, 0.03, 0.001, 0.9), 6.0)


# What comes out


def test_planes_are_named_in_ascending_order_of_wavelength_and_hold_what_they_say():
    model = model_of(planes_of(0.59, 0.53, 0.44, -0.5, -1.0, -2.0), normalisation="none")
    model = replace(model, sigma_scale=(1.0, 2.0, 3.0))
    assert model.wavelengths_nm == (442.63, 533.74, 592.35)
    names = ["442.63 nm", "533.74 nm", "592.35 nm"]
    assert model.planes == (*names, *(f"sigma {name}" for name in names))
    found = model.predict([tile_of(hole=False), tile_of((33, 41), hole=False)])
    assert [each.shape for each in found] == [(6, 50, 70), (6, 33, 41)]
    expected = [0.44, 0.53, 0.59, 3 * np.exp(-2.0), 2 * np.exp(-1.0), np.exp(-0.5)]
    np.testing.assert_allclose(found[0][:, 5, 6], expected, rtol=1e-5)


def test_a_classification_has_a_confidence_after_its_sigma():
    logits = torch.zeros(3, 8)
    logits[0, 6], logits[1] = 60.0, 0.0  # certain of one class; knows nothing
    model = model_of(
        planes_of(*logits.ravel().tolist()),
        head={"name": "classification", "n_edges": 9, "spacing": "sid"},
        losses={"cross_entropy": 1.0},
        normalisation="none",
    )
    found = dict(zip(model.planes, model.predict([tile_of(hole=False)])[0][:, 0, 0], strict=True))
    assert len(found) == 9
    bins = sid(9, 6.0)
    assert found["592.35 nm"] == pytest.approx(bins.representatives[6])
    assert found["sigma 592.35 nm"] == pytest.approx(np.sqrt(bins.variances[6]), rel=1e-3)
    assert found["confidence 592.35 nm"] == pytest.approx(1, abs=1e-5)
    assert found["confidence 533.74 nm"] == pytest.approx(0, abs=1e-5)


def test_a_model_without_a_spread_names_none():
    model = model_of(planes_of(0.1, 0.2, 0.3), normalisation="none", losses={"squared": 1.0})
    assert len(model.planes) == 3
    found = model.reflectance(tile_of())
    assert (found.sigma, found.confidence, found.scores) == (None, None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_the_image_does_not_show_is_unknown(kind):
    tile = tile_of()
    found = model_of(planes_of(*[0.1] * 6), normalisation=kind).predict([tile])[0]
    for plane in found:
        np.testing.assert_array_equal(np.isnan(plane), np.isnan(tile.image))


def test_reflectance_follows_from_scores_by_each_kinds_formula():
    tile = tile_of(hole=False)
    base = base_of(tile.image, 6.0)
    mean, deviation, slope, scatter = (
        np.array(getattr(OVERALL, name))[:, None, None] for name in ("mean", "deviation", "slope", "scatter")
    )
    level, spread = (np.array(part)[:, None, None] for part in (RATIO.mean, RATIO.deviation))
    ratio = np.exp(0.5 * spread + level) * base
    expected = {
        "none": (np.full((3, 50, 70), 0.5), np.full((3, 50, 70), 0.2)),
        "global": (0.5 * deviation + mean + 0 * base, 0.2 * deviation + 0 * base),
        "residual": (mean + slope * (base - 0.25) + 0.5 * scatter, 0.2 * scatter + 0 * base),
        "ratio": (ratio, 0.2 * spread * ratio),
    }
    for kind, (values, sigma) in expected.items():
        found = model_of(planes_of(0.5, 0.5, 0.5, *[float(np.log(0.2))] * 3), normalisation=kind).reflectance(
            tile
        )
        np.testing.assert_allclose(found.values, values, rtol=1e-4, err_msg=kind)
        np.testing.assert_allclose(found.sigma, sigma, rtol=1e-4, err_msg=kind)
        assert found.scores is None


@pytest.mark.parametrize("kind", ["image", "patch"])
def test_a_z_score_leans_on_the_region_and_is_given_too(kind):
    network = planes_of(0.5, -1.0, 2.0, *[float(np.log(0.5))] * 3)
    for region, moments in ((None, OVERALL), ("elsewhere", OVERALL), ("gale", GALE)):
        found = model_of(network, region, normalisation=kind).reflectance(tile_of(hole=False))
        expected = np.array([0.5, -1.0, 2.0]) * moments.deviation + moments.mean
        np.testing.assert_allclose(found.values[:, 3, 4], expected, rtol=1e-5)
        np.testing.assert_allclose(found.sigma[:, 3, 4], 0.5 * np.array(moments.deviation), rtol=1e-5)
        np.testing.assert_allclose(found.scores[:, 3, 4], [0.5, -1.0, 2.0])


# What goes in


class Watching:
    """A network that keeps what it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, inputs):
        self.seen.append(inputs.clone())
        return torch.zeros(len(inputs), 6, *inputs.shape[2:])


def test_outliers_are_cut_off_where_the_whole_image_says():
    network, tile = Watching(), tile_of(hole=False)
    tile.image[3, 4], tile.image[5, 6] = 90.0, -90.0
    model_of(network, normalisation="image").predict([tile])
    seen, statistics = network.seen[0][0, 0].numpy(), tile.statistics
    expected = (np.array([statistics.high, statistics.low]) - statistics.mean) / statistics.standard_deviation
    np.testing.assert_allclose([seen[3, 4], seen[5, 6]], expected, rtol=1e-4)


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """A training and a validation scene with heights, cut off as the demo does."""
    root = tmp_path_factory.mktemp("mars")
    relief = np.add.outer(np.arange(SIDE // 3) * 18.0, np.arange(SIDE // 3) * 9.0)
    for name in ("train-a", "val-c"):
        write_aligned(root / "aligned", name, dem=relief)
    make_patches(
        root / "aligned",
        root / "patches",
        section_of({"clip": {"name": "percentile", "percentile": 0.01}}),
    )
    return root / "patches"


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_is_given_in_use_what_it_was_given_in_training(patches, kind):
    variant = variant_of(normalisation=kind, dem=True)
    data, network = PatchDataset(patches, "validation", variant, WAVELENGTHS_NM), Watching()
    normalisation = normalisation_of(patches, variant, WAVELENGTHS_NM)
    model = BandsModel("ours", network, variant, normalisation, (1.0,) * 3)
    planes = data.planes(1)
    whole = statistics_of(lit_image("val-c"))  # as the predict stage measures the image
    model.predict([Tile(planes["image"], planes["dem"], whole, 6.0)])
    trained = data[1]["inputs"]
    torch.testing.assert_close(network.seen[0][0, :, :64, :64], trained, atol=0.02, rtol=0)
    assert trained.std() > 0.01


def test_a_recipe_and_weights_give_equal_predictions(patches):
    torch.manual_seed(1)
    variant = variant_of(normalisation="image")
    task = BandsTask(variant).eval()
    normalisation = normalisation_of(patches, variant, WAVELENGTHS_NM)
    model = BandsModel("ours", task, variant, normalisation, (1.5, 0.5, 2.0), "gale")
    recipe = json.loads(json.dumps(model.recipe()))
    again = BandsModel.from_recipe(recipe, task, "gale")
    assert json.loads(json.dumps(again.recipe())) == recipe
    assert replace(again, variant=variant) == model
    for mine, theirs in zip(model.predict([tile_of()]), again.predict([tile_of()]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert BandsModel.from_recipe(recipe, task).region is None


def test_a_tile_is_predicted_as_the_image_around_it_is(patches):
    """Beyond the context that it asks for, a network sees nothing that would matter."""
    torch.manual_seed(1)
    variant = variant_of()
    normalisation = normalisation_of(patches, variant, WAVELENGTHS_NM)
    model = BandsModel("ours", BandsTask(variant).eval(), variant, normalisation, (1.0,) * 3)
    image, statistics, around = lit_image("val-c"), statistics_of(lit_image("val-c")), model.context_px
    whole = model.predict([Tile(image, None, statistics, 6.0)])[0]
    part = model.predict([Tile(image[32:160, 32:160], None, statistics, 6.0)])[0]
    inner = np.s_[:, around:-around, around:-around]
    np.testing.assert_allclose(part[inner], whole[:, 32:160, 32:160][inner], rtol=2e-3)


def test_a_model_that_needs_heights_says_so():
    with pytest.raises(OrreryError, match="ours needs heights"):
        model_of(planes_of(*[0.1] * 6), dem=True).predict([tile_of()])


# Calibration


@pytest.fixture
def noise(tmp_path):
    """Validation patches whose bands are off a level of .3 by normal errors of .02, .04 and .08; the border is far off."""
    random = np.random.default_rng(0)
    spreads = np.array([0.08, 0.04, 0.02])[:, None, None]  # ascending in wavelength
    bands = (0.3 + spreads * random.standard_normal((3, 3, 128, 128))).astype(np.float32)
    for edge in (np.s_[..., :BORDER_PX, :], np.s_[..., -BORDER_PX:]):
        bands[edge] = 9.0
    bands[0, :, 40:60] = np.nan
    image = np.full((3, 128, 128), 0.25, np.float32)
    (tmp_path / "validation").mkdir()
    shard = {"image": image, "base": image, "bands-local": bands}
    save_file(shard, tmp_path / "validation" / "val-a.safetensors")
    rows = [
        {"shard": "validation/val-a.safetensors", "position": position, "set": "validation",
         "scene": "val-a", "region": "gale", "gsd_m": 6.0}
        for position in range(3)
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(tmp_path / "index.parquet")
    sums = {"count": 1, "first": [0.0] * 4, "second": [1.0] * 4, "cross": [0.0] * 4}
    write_json(tmp_path / "statistics.json", {"gale": {"reflectance": sums, "ratio": sums}})
    own = {"mean": 0.25, "standard_deviation": 0.1, "low": 0.0, "high": 1.0}
    moments = {"image_mean": 0.0, "image_deviation": 1.0} | dict.fromkeys(
        ("mean", "deviation", "slope", "scatter"), [1.0] * 3
    )
    write_json(tmp_path / "scenes.json", {"val-a": {"image": own, "bands": moments}})
    return tmp_path


def test_a_sigma_that_is_half_of_the_truth_is_doubled_and_one_too_large_made_less(noise):
    sigmas = [float(np.log(sigma)) for sigma in (0.01, 0.04, 0.16)]
    model = model_of(planes_of(0.3, 0.3, 0.3, *sigmas), normalisation="none")
    found = calibrated(model, noise, WAVELENGTHS_NM)
    assert found.sigma_scale == pytest.approx((2, 1, 0.5), rel=0.03)
    assert replace(found, sigma_scale=model.sigma_scale) == model
    data = PatchDataset(noise, "validation", model.variant, WAVELENGTHS_NM)
    inside = []
    for number in range(3):
        planes = data.planes(number)
        result = found.reflectance(Tile(planes["image"], None, Statistics(0.25, 0.1, 0, 1), 6.0))
        inner = np.s_[:, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
        error = np.abs(result.values - planes["bands"])[inner]
        inside.append((error <= result.sigma[inner])[:, np.isfinite(error).all(0)])
    assert np.concatenate(inside, 1).mean(1) == pytest.approx([ONE_SIGMA] * 3, abs=1e-3)


def test_a_model_without_a_spread_is_left_as_it_is(noise):
    model = model_of(planes_of(0.3, 0.3, 0.3), normalisation="none", losses={"squared": 1.0})
    assert calibrated(model, noise, WAVELENGTHS_NM) is model
