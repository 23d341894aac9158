"""Whole spectra: predicted by coefficients of a basis, from the patches to the product."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from safetensors.numpy import load_file

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.instruments.crism import wavelengths_nm
from orrery.raster.io import Raster, upsample
from orrery.seeds import stream
from orrery.systems.base import Trained
from orrery.systems.mars_bands.data import PatchDataset, basis_of, normalisation_of
from orrery.systems.mars_bands.evaluate import evaluate
from orrery.systems.mars_bands.filling import OBSERVED
from orrery.systems.mars_bands.model import BandsModel, Reflectance
from orrery.systems.mars_bands.normalisation import Moments, Normalisation
from orrery.systems.mars_bands.patches import make_patches
from orrery.systems.mars_bands.placed import load_placed
from orrery.systems.mars_bands.predict import PredictParams, predict
from orrery.systems.mars_bands.spectral import SpectralBasis
from orrery.systems.mars_bands.system import SYSTEM
from orrery.systems.mars_bands.tile import Statistics, Tile
from tests.unit.systems.mars_patches import (
    WAVELENGTHS_NM,
    cells_of,
    lit_image,
    section_of,
    variant_of,
    write_aligned,
)
from tests.unit.systems.mars_strips import make_strip
from tests.unit.systems.test_mars_restore import make_pair, planes, run

MTRDR_NM = wavelengths_nm()
FURTHER_NM = (1079.96, 1500.03, 1914.87, 2503.12)
ALL_NM = [*WAVELENGTHS_NM, *FURTHER_NM]
SPECTRAL = {"head": {"name": "spectral", "dimensions": 2}, "bands": "all"}


def basis_for(bands_nm, dimensions=3):
    """Smooth orthonormal components about a level of .25."""
    waves = np.cos(np.outer(np.arange(1, dimensions + 1), np.linspace(0, np.pi, len(bands_nm))))
    components = np.linalg.qr(waves.T)[0].T
    components *= np.sign(components[:, :1])  # bright where the first band is
    spread = 0.02 * np.sqrt(len(bands_nm))
    variances = (spread / np.arange(1, dimensions + 1)) ** 2
    return SpectralBasis(tuple(bands_nm), np.full(len(bands_nm), 0.25), components, variances, np.full(len(bands_nm), 0.003))  # fmt: skip


class Sloped:
    """Coefficients that are straight lines from what the network sees, and level log sigmas."""

    slopes, sigmas = np.array([0.5, -0.2, 0.1]), np.log([0.5, 0.25, 0.1])

    def __call__(self, inputs):
        mean = torch.tensor(self.slopes, dtype=torch.float32)[None, :, None, None] * inputs[:, :1]
        sigma = torch.tensor(self.sigmas, dtype=torch.float32)[None, :, None, None].expand_as(mean)
        return torch.cat([mean, sigma], 1)


def model_for(bands_nm):
    variant = variant_of(head={"name": "spectral", "dimensions": 3}, bands="all", normalisation="global")
    overall = Moments(0.15, 0.02, (0.1, 0.0, -0.05), (0.2, 0.1, 0.05), (0.0,) * 3, (0.1,) * 3)
    normalisation = Normalisation("global", overall, overall, {})
    return BandsModel(
        "all-bands", Sloped(), variant, normalisation, (1.0, 2.0, 1.0), basis=basis_for(bands_nm)
    )


def expected(image, basis):
    """Bands and 1-sigma of `model_for`, written out."""
    seen = (image.astype(float) - 0.15) / 0.02
    scale, shift = np.array([0.2, 0.1, 0.05]), np.array([0.1, 0.0, -0.05])
    coefficients = (Sloped.slopes * scale)[:, None, None] * seen + shift[:, None, None]
    sigma = np.exp(Sloped.sigmas) * scale * [1.0, 2.0, 1.0]
    bands = 0.25 + np.einsum("db,dhw->bhw", basis.components, coefficients)
    spread = np.sqrt((basis.components.T**2) @ sigma**2 + 0.003**2)
    return bands, spread


# The model


def test_all_bands_and_their_sigma_are_those_of_the_coefficients():
    model, image = model_for(MTRDR_NM), lit_image("tile")[:40, :50]
    tile = Tile(image, None, Statistics(0.15, 0.02, 0.0, 1.0), 6.0)
    bands, spread = expected(image, model.basis)
    assert model.wavelengths_nm == tuple(MTRDR_NM)
    assert len(model.planes) == 2 * 489
    assert (model.planes[0], model.planes[-1]) == ("436.13 nm", f"sigma {MTRDR_NM[-1]:.2f} nm")
    assert model.blended == tuple(f"{kind}coefficient {n}" for kind in ("", "sigma ") for n in (1, 2, 3))
    found = model.reflectance(tile)
    np.testing.assert_allclose(found.values, bands, atol=2e-5)
    np.testing.assert_allclose(found.sigma[:, 7, 9], spread, rtol=1e-4)
    finished = model.finished(model.predict([tile])[0])
    np.testing.assert_allclose(finished, np.concatenate([found.values, found.sigma]), atol=1e-6)
    some = model.bands(model.targets(tile), [488, 3])
    np.testing.assert_allclose(some.values, found.values[[488, 3]], atol=1e-6)
    np.testing.assert_allclose(some.sigma, found.sigma[[488, 3]], atol=1e-6)


def test_a_recipe_holds_the_basis():
    model = model_for(ALL_NM)
    recipe = json.loads(json.dumps(model.recipe()))
    again = BandsModel.from_recipe(recipe, model.network)
    tile = Tile(lit_image("tile")[:40, :50], None, Statistics(0.15, 0.02, 0.0, 1.0), 6.0)
    np.testing.assert_array_equal(again.reflectance(tile).values, model.reflectance(tile).values)
    assert again.planes == model.planes


def test_fewer_components_leave_their_share_as_residual():
    draws = stream(0, "spectra").normal(0, [0.05, 0.02, 0.01], (4000, 3))
    values = 0.25 + draws @ basis_for(ALL_NM).components + stream(1, "noise").normal(0, 1e-3, (4000, 7))
    whole = SpectralBasis.fit(values.astype(np.float32), ALL_NM, 3)
    for dimensions in (1, 2):
        fewer, fitted = (
            whole.first(dimensions),
            SpectralBasis.fit(values.astype(np.float32), ALL_NM, dimensions),
        )
        np.testing.assert_allclose(fewer.components, fitted.components, atol=1e-6)
        np.testing.assert_allclose(fewer.residual, fitted.residual, rtol=1e-4)


# Patches and judging


def further(name):
    """Bands of the infrared that follow the visible ones and a texture of their own."""
    cells = cells_of(name)
    own = 0.02 * stream(3, name).standard_normal(cells.shape[1:])
    return {nm: 1.1 * cells[2] + 0.05 * n + (0.5 + 0.2 * n) * own for n, nm in enumerate(FURTHER_NM)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Aligned scenes of seven bands and their patches with two coefficients."""
    root = tmp_path_factory.mktemp("mars")
    for name, region in (("train-a", "gale"), ("train-b", "holden"), ("val-c", "gale"), ("test-d", "gale")):
        write_aligned(root / "aligned", name, region, more=further(name))
    make_patches(root / "aligned", root / "patches", SECTION)
    return root


SECTION = section_of({"spectral_dimensions": 3}, variants={"ours": variant_of().model_dump() | SPECTRAL})
OURS = SECTION.variants["ours"]


def test_patches_keep_the_coefficients_of_whole_spectra(made):
    basis = SpectralBasis.from_dict(read_json(made / "patches" / "basis.json"))
    assert basis.wavelengths_nm == pytest.approx(ALL_NM)
    scene = load_placed(made / "aligned" / "train-b")
    cube = scene.spectra()
    coefficients = [
        upsample(Raster(plane, cube.grid), scene.image.grid) for plane in basis.encode(cube.values)
    ]
    index = pd.read_parquet(made / "patches" / "index.parquet").query("scene == 'train-b'")
    shard = load_file(made / "patches" / index["shard"].iloc[0])["coefficients"]
    assert shard.shape == (len(index), 3, 64, 64)
    row, column = index[["row", "column"]].iloc[-1]
    np.testing.assert_array_equal(shard[-1], np.stack(coefficients)[:, row : row + 64, column : column + 64])


def test_a_target_of_coefficients_comes_back_to_every_band(made):
    data, basis = (
        PatchDataset(made / "patches", "train", OURS, WAVELENGTHS_NM),
        basis_of(made / "patches", OURS),
    )
    assert len(basis.components) == 2
    item, planes = data[1], data.planes(1)
    known = item["valid"][0].numpy()
    assert item["target"].shape == (2, 64, 64)
    assert 0.7 < float(item["target"][:, known].std()) < 1.4  # in units of the scatter about a straight line
    back = basis.decode(data.normalisation.reflectance(item["target"].numpy(), planes["base"], None))
    np.testing.assert_allclose(back[:, known], basis.decode(planes["bands"])[:, known], atol=1e-5)


def perfect(model, scene, planes):
    """What a network that knows the scene's coefficients would give."""
    return Reflectance(scene.coefficients(model.basis), None, None, None)


def test_a_perfect_prediction_is_off_by_what_the_basis_loses(made, tmp_path, monkeypatch):
    patches = made / "patches"
    normalisation = normalisation_of(patches, OURS, WAVELENGTHS_NM)
    model = BandsModel("ours", Sloped(), OURS, normalisation, (1.0,) * 2, basis=basis_of(patches, OURS))
    monkeypatch.setattr("orrery.systems.mars_bands.evaluate.predicted", perfect)
    row = evaluate(model, list(model.bands_nm), made / "aligned", SECTION, tmp_path)["scenes"]["test-d"]
    truth = load_placed(made / "aligned" / "test-d").spectra().values
    lost = model.basis.decode(model.basis.encode(truth)) - truth
    assert row["rmse_if_all"] == pytest.approx(float(np.sqrt(np.nanmean(lost**2))), rel=1e-3)
    assert row["rmse_if_all"] == pytest.approx(row["basis_rmse_if_all"], rel=1e-3)
    assert row["spectral_angle_deg_all"] == pytest.approx(row["basis_spectral_angle_deg_all"], rel=1e-3)
    assert row["rmse_if_evc"] < 2e-3
    assert "rmse_if_all@true" not in row
    assert (tmp_path / "test-d.png").exists()


def test_a_network_of_coefficients_is_trained_calibrated_and_judged(made):
    task = SYSTEM.task(SECTION, "ours")
    recipe = SYSTEM.recipe(task, made / "patches", SECTION, "ours")
    assert len(recipe["sigma_scale"]) == 2
    assert all(0.05 < scale < 20 for scale in recipe["sigma_scale"])
    judged = SYSTEM.evaluate(Trained(task.net.eval(), recipe), made / "aligned", SECTION, None)
    row = judged["scenes"]["test-d"]
    assert judged["wavelengths_nm"] == pytest.approx(ALL_NM)
    assert {f"{metric}_{group}" for metric in ("rmse_if", "spectral_angle_deg", "coverage_1sigma") for group in ("evc", "fc", "all")} <= set(row)  # fmt: skip
    assert row["rmse_if_all"] > 2 * row["basis_rmse_if_all"]  # an untrained network knows less than the truth


def test_cubes_of_other_bands_are_named(made, tmp_path):
    for name, more in (("train-a", further("train-a")), ("train-b", None)):
        write_aligned(tmp_path / "aligned", name, more=more)
    with pytest.raises(OrreryError, match="train-b: has 3 bands, which are not the 7 of the other cubes"):
        make_patches(tmp_path / "aligned", tmp_path / "patches", SECTION)
    model = model_for(MTRDR_NM)
    with pytest.raises(OrreryError, match="test-d: has 7 bands, which are not the 489"):
        evaluate(model, list(model.bands_nm), made / "aligned", SECTION, None)


# Products


@pytest.mark.parametrize("tile_px", [64, 128])
def test_a_product_has_all_489_bands_named_by_wavelength(tmp_path, tile_px):
    strip, model = make_strip(tmp_path, 90, 110), model_for(MTRDR_NM)
    summary = predict(
        [strip.image], tmp_path / "out", model=model, params=PredictParams(tile_px=tile_px), tags={}, progress=False,
    )  # fmt: skip
    assert "in 489 bands, 436.13 nm to" in str(summary)
    pixels = strip.pixels.clip(*np.percentile(strip.pixels, [0.01, 99.99]))
    bands, spread = expected(pixels, model.basis)
    with rasterio.open(tmp_path / "out" / "bands.tif") as dataset:
        assert dataset.descriptions == tuple(f"{nm:.2f} nm" for nm in MTRDR_NM)
        np.testing.assert_allclose(dataset.read([1, 200, 489]), bands[[0, 199, 488]], atol=1e-4)
    with rasterio.open(tmp_path / "out" / "sigma.tif") as dataset:
        assert dataset.count == 489
        np.testing.assert_allclose(dataset.read(3), spread[2], rtol=1e-4)
    assert {"evc.png", "fc.png", "quicklook.png"} <= {path.name for path in (tmp_path / "out").iterdir()}
    item = read_json(tmp_path / "out" / "item.json")
    assert item["properties"]["orrery:wavelengths_nm"] == pytest.approx(list(MTRDR_NM))


def test_a_cube_is_restored_by_whole_spectra_too(tmp_path):
    pair = make_pair(tmp_path)
    run(pair, tmp_path / "out", model=model_for([*ALL_NM]))
    origin = planes(tmp_path / "out", "origin.tif")
    assert len(origin) == 7
    assert (origin[:3] == OBSERVED).any((1, 2)).all()
    assert not (origin[3:] == OBSERVED).any()  # the file has three bands
    assert (origin[3:] > 0).any((1, 2)).all()
