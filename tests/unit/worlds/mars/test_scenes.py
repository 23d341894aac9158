"""Pairs on disk: they agree with their truth, with published figures, and byte for byte with themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.instruments import crism
from orrery.raster import io
from orrery.raster.align.field import SmoothField
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.scene import Scene, list_scenes, read_scene
from orrery.world_params import MarsParams, MarsSceneParams
from orrery.worlds.mars import make
from orrery.worlds.mars.pointing import true_positions
from orrery.worlds.mars.regions import REGIONS

SCENES = {
    f"{use}-{region}": MarsSceneParams(region=region, time_difference_days=days)
    for region in REGIONS
    for use, days in (("train", 0.0), ("test", 60.0 if region == "melas" else 0.0))
}
WAVELENGTHS = [*crism.EVC_NM, *crism.FC_NM]
# Stepcenkov et al. 2022, Table A1: means of the 67 pairs at 592, 533, 442, 2503, 1500 and 1080 nm, and of CTX.
PUBLISHED_MEANS = (0.1706, 0.1080, 0.06185, 0.2070, 0.2106, 0.1994)
PUBLISHED_DEVIATIONS = (0.03596, 0.01788, 0.007651, 0.06476, 0.06158, 0.05927)
PUBLISHED_CTX = 0.09386, 0.03062


def parameters(**changes: object) -> MarsParams:
    given = {"height_px": 320, "width_px": 320, "wavelengths_nm": WAVELENGTHS, "scenes": SCENES, **changes}
    return MarsParams.model_validate(given)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twin")
    assert make(out, parameters(), 7) == sorted(path.name for path in out.iterdir())
    return out


def cube(scene: Scene) -> tuple[np.ndarray, Grid, tuple[str, ...]]:
    """Bands, grid and descriptions."""
    with rasterio.open(scene.folder / "crism.tif") as dataset:
        grid = Grid(dataset.crs, dataset.transform, *dataset.shape)
        return dataset.read(), grid, dataset.descriptions


def pixels(data: Path) -> np.ndarray:
    """(6, N) values of all scenes at EVC and FC wavelengths, without spikes."""
    order = [2, 1, 0, 5, 4, 3]
    values = np.concatenate([cube(scene)[0][order].reshape(6, -1) for scene in list_scenes(data)], axis=1)
    values = values[:, np.isfinite(values).all(0)]
    low, high = np.percentile(values, [0.1, 99.9], axis=1)
    return values[:, ((values > low[:, None]) & (values < high[:, None])).all(0)]


def test_items_tell_region_time_and_truth(data: Path) -> None:
    scene = read_scene(data / "test-melas")
    assert (scene.site, scene.kind) == ("melas", "melas")
    assert scene.item.properties["ssys:targets"] == ["Mars"]
    assert scene.item.properties["orrery:time_difference_days"] == 60
    assert set(scene.item.properties["orrery:truth"]["crism"]) == {"affine", "field"}
    azimuth, elevation = scene.sun_true_north
    assert 245 <= azimuth <= 300  # three in the afternoon
    assert 26 <= elevation <= 42
    assert scene.item.properties["orrery:cube_sun"] != [azimuth, elevation]
    together = read_scene(data / "train-melas")
    assert together.item.properties["orrery:cube_sun"] == list(together.sun_true_north)


def test_rasters_are_of_mars_and_named(data: Path) -> None:
    scene = read_scene(data / "train-gale")
    image = io.read(scene.folder / "ctx.tif", body="mars")
    assert image.valid.all()
    assert (image.grid.gsd_m, image.grid.shape) == (6, (320, 320))
    dem = io.read(scene.folder / "dem.tif", body="mars")
    assert (dem.grid.gsd_m, dem.grid.shape) == (48, (40, 40))
    values, grid, names = cube(scene)
    assert names == ("442.63 nm", "533.74 nm", "592.35 nm", "1079.96 nm", "1500.03 nm", "2503.12 nm")
    assert grid.gsd_m == 18
    assert grid.crs != image.grid.crs
    assert 0.5 < np.isfinite(values).all(0).mean() < 0.9


def test_bands_have_the_published_means_and_spread(data: Path) -> None:
    """Of the paper's pairs: means to 15 %, standard deviations to a third, CTX's mean to 15 %."""
    values = pixels(data)
    np.testing.assert_allclose(values.mean(1), PUBLISHED_MEANS, rtol=0.15)
    np.testing.assert_allclose(values.std(1), PUBLISHED_DEVIATIONS, rtol=0.35)
    image = np.concatenate(
        [io.read(scene.folder / "ctx.tif", body="mars").values for scene in list_scenes(data)]
    )
    assert image.mean() == pytest.approx(PUBLISHED_CTX[0], rel=0.15)
    assert (
        0.013 <= np.quantile(image, 1e-4) < np.quantile(image, 0.9999) <= 0.45
    )  # the range of all its images


def test_bands_are_as_alike_as_in_real_cubes(data: Path) -> None:
    """FRT0000932C: .86 to .99 between the six; here blue stands farther apart from the infrared (.7 and more)."""
    together = np.corrcoef(pixels(data))
    assert together.min() > 0.65
    without_blue = np.delete(np.delete(together, 2, 0), 2, 1)
    assert without_blue.min() > 0.85


def test_regions_differ_in_colour(data: Path) -> None:
    """Mean spectra of regions over their mean brightness differ by more than those of two places of one region."""
    means = {}
    for scene in list_scenes(data):
        spectrum = np.nanmedian(cube(scene)[0], axis=(1, 2))
        means[scene.id] = spectrum / spectrum.mean()
    places = np.array([[means[f"{use}-{region}"] for use in ("train", "test")] for region in REGIONS])
    within = np.abs(places[:, 0] - places[:, 1]).mean()
    centres = places.mean(1)
    between = np.abs(centres[:, None] - centres[None]).sum() / (6 * 5 * 6)
    assert between > 1.2 * within


def test_truth_leads_the_cube_home(data: Path) -> None:
    """CTX, blurred as CRISM blurs and read at the true positions, is the 592 nm band; at the written ones it is not."""
    for name in ("train-gale", "train-mawrth", "test-jezero"):
        scene = read_scene(data / name)
        values, grid, _ = cube(scene)
        truth = scene.item.properties["orrery:truth"]["crism"]
        maps = AffineMap.from_dict(truth["affine"]), SmoothField.from_dict(truth["field"])
        still = AffineMap.identity(), SmoothField(0, 0, 1e6, np.zeros((1, 1)), np.zeros((1, 1)))
        right, wrong = (agreement(scene, values[2], grid, *pair) for pair in (maps, still))
        assert right > 0.93
        assert wrong < right - 0.15
        shifted = AffineMap(maps[0].matrix, (maps[0].shift_m[0] + 12, maps[0].shift_m[1]), maps[0].centre_m)
        assert agreement(scene, values[2], grid, shifted, maps[1]) < right


def agreement(scene: Scene, band: np.ndarray, grid: Grid, affine: AffineMap, field: SmoothField) -> float:
    """Correlation of a band with the image at the positions that maps give it."""
    image = io.read(scene.folder / "ctx.tif", body="mars")
    blurred = ndimage.gaussian_filter(image.values, crism.PSF_SIGMA_M / 6)
    places = image.grid.rowcol(*true_positions(grid, image.grid, affine, field))
    seen = ndimage.map_coordinates(blurred, places, order=1, cval=np.nan)
    both = np.isfinite(seen) & (np.abs(band - np.nanmedian(band)) < 0.2)
    return float(np.corrcoef(seen[both], band[both])[0, 1])


def test_ctx_tells_the_bands_in_part(data: Path) -> None:
    """A straight line from CTX, fitted on the training places, leaves a good part of blue and of the infrared."""
    left = []
    for scene in list_scenes(data):
        values, grid, _ = cube(scene)
        truth = scene.item.properties["orrery:truth"]["crism"]
        maps = AffineMap.from_dict(truth["affine"]), SmoothField.from_dict(truth["field"])
        left.append([1 - agreement(scene, band, grid, *maps) ** 2 for band in values])
    unexplained = np.median(left, axis=0)
    assert unexplained[2] < 0.1  # 592 nm lies in CTX's band
    assert 0.1 < unexplained[0] < 0.6  # 442 nm does not
    assert unexplained[3:].min() > 0.02


def test_equal_seeds_write_equal_bytes_and_other_seeds_others(data: Path, tmp_path: Path) -> None:
    only = {"test-melas": SCENES["test-melas"]}
    lone = parameters(scenes={**{k: v for k, v in SCENES.items() if v.region == "melas"}})
    make(tmp_path / "again", lone, 7)
    make(tmp_path / "other", parameters(scenes=only), 8)
    for name in ("ctx.tif", "crism.tif", "dem.tif", "item.json"):
        assert sha256(tmp_path / "again/test-melas" / name) == sha256(data / "test-melas" / name)
    assert sha256(tmp_path / "other/test-melas/ctx.tif") != sha256(data / "test-melas/ctx.tif")


def test_golden_means(data: Path) -> None:
    """Of seed 7 through terrain, minerals, light and instruments: they change only when the twin is meant to change."""
    scene = read_scene(data / "test-holden")
    found = [
        float(io.read(scene.folder / "ctx.tif", body="mars").values.mean()),
        *np.nanmedian(cube(scene)[0], axis=(1, 2)),
    ]
    assert found == pytest.approx([0.1019, 0.0581, 0.0996, 0.1455, 0.1772, 0.1875, 0.1802], abs=2e-4)


def test_all_489_bands_on_demand(tmp_path: Path) -> None:
    only = {"train-holden": SCENES["train-holden"]}
    make(tmp_path, parameters(scenes=only, wavelengths_nm="all", height_px=170, width_px=170), 7)
    values, _, names = cube(read_scene(tmp_path / "train-holden"))
    assert len(names) == len(set(names)) == 489
    assert np.isfinite(values[:, np.isfinite(values[0])]).all()


def test_a_wavelength_that_crism_lacks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OrreryError, match="no band at 660 nm"):
        make(tmp_path, parameters(wavelengths_nm=[592.0, 660.0]), 7)
    assert not list(tmp_path.iterdir())


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OrreryError, match="cannot be written"):
        make(tmp_path / "file", parameters(scenes={"test-gale": SCENES["test-gale"]}), 7)
