"""Whole-scene prediction against direct computation on whole arrays, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.instruments.photometry import Sun
from orrery.raster.grid import AffineMap, Grid, meridian_convergence_deg
from orrery.raster.io import read, upsample, write
from orrery.raster.shade import hillshade_u8, slope_deg
from orrery.raster.tiles import Axis
from orrery.systems.lunar_dtm.inputs import opened
from orrery.systems.lunar_dtm.predict import PredictParams, predict
from orrery.systems.lunar_dtm.product import FILES
from orrery.systems.lunar_dtm.whole_image import exposure_of
from tests.unit.systems.lunar_scenes import (
    GSD_M,
    MOON,
    POSTING_M,
    SUN,
    BiasedStub,
    PointStub,
    Scene,
    make_scene,
    point_heights,
    write_sun,
)

OFF = PredictParams(align="off")
PLAIN = PredictParams(align="off", vertical="off")


def run(scene: Scene, out: Path, *, model=None, params=PLAIN, images=None, **options):
    options = {"tags": {}, "progress": False, **options}
    return predict(
        images or [scene.image], scene.dem, out, model=model or PointStub(), params=params, **options
    )


def bands(out: Path) -> dict[str, np.ndarray]:
    with rasterio.open(out / "dtm.tif") as dataset:
        return dict(zip(dataset.descriptions, dataset.read(), strict=True))


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture(scope="module")
def product(scene, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("product") / "out"
    run(scene, out, tags={"run_id": "abc"})
    return out


def directly(scene: Scene, pixels=None) -> np.ndarray:
    """What the point stub gives for the whole image at once."""
    coarse_m = upsample(read(scene.dem), scene.grid)
    with opened([scene.image], scene.dem, sun=(None, None), gsd_m=None, image_band=1, dem_band=1) as (
        images,
        _,
    ):
        exposure = exposure_of(images[0]).on(0, scene.grid.height, scene.grid.width)
    return point_heights(scene.pixels if pixels is None else pixels, exposure, coarse_m)


def test_tiling_changes_nothing_that_depends_on_pixels_alone(scene, product):
    np.testing.assert_allclose(bands(product)["elevation_m"], directly(scene), atol=2e-3)


def test_exposure_is_the_value_of_flat_ground(scene):
    with opened([scene.image], scene.dem, sun=(None, None), gsd_m=None, image_band=1, dem_band=1) as (
        images,
        _,
    ):
        exposure = exposure_of(images[0])
    assert exposure.factor > 1
    np.testing.assert_allclose(exposure.samples, 1000, rtol=0.03)


def test_product_is_a_cog_with_named_bands_units_tags_and_overviews(product, scene):
    with rasterio.open(product / "dtm.tif") as dataset:
        assert dataset.descriptions == ("elevation_m", "sigma_m", "valid")
        assert dataset.units[:2] == ("m", "m")
        assert dataset.tags()["run_id"] == "abc"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1) == [2]
        assert dataset.transform == scene.grid.transform
        assert dataset.crs == MOON
        half = dataset.read(1, out_shape=(200, 250))
        whole = dataset.read(1)
    np.testing.assert_allclose(half, whole.reshape(200, 2, 250, 2).mean((1, 3)), atol=1e-3)
    assert sorted(path.name for path in product.iterdir()) == [
        "dtm.tif", "hillshade.tif", "item.json", "quicklook.png", "slope.tif",
    ]  # fmt: skip


def test_hillshade_and_slope_are_those_of_the_elevation(product):
    heights_m = bands(product)["elevation_m"]
    np.testing.assert_allclose(read(product / "slope.tif").values, slope_deg(heights_m, GSD_M), atol=1e-4)
    with rasterio.open(product / "hillshade.tif") as dataset:
        assert dataset.dtypes == ("uint8",)
        np.testing.assert_array_equal(dataset.read(1), hillshade_u8(heights_m, GSD_M))


def test_item_tells_place_sun_and_sources(product, scene):
    text = (product / "item.json").read_text()
    item = json.loads(text)
    assert item["properties"]["ssys:targets"] == ["Moon"]
    assert (item["properties"]["view:sun_azimuth"], item["properties"]["view:sun_elevation"]) == SUN
    assert item["properties"]["datetime"] == "2011-03-04T05:06:07Z"
    assert item["properties"]["proj:shape"] == [400, 500]
    assert item["properties"]["run_id"] == "abc"
    links = {link["title"]: link for link in item["links"]}
    assert {link["rel"] for link in item["links"]} == {"derived_from"}
    for source in (scene.image, scene.dem):
        assert links[source.name]["file:checksum"] == f"1220{sha256(source)}"
        assert (product / links[source.name]["href"]).resolve() == source.resolve()
    assert str(product.parent) not in text
    assert all((product / asset["href"]).exists() for asset in item["assets"].values())


def test_summary_counts_what_the_product_holds(scene, tmp_path):
    summary = run(scene, tmp_path / "out")
    values = bands(tmp_path / "out")
    assert summary.valid_fraction == values["valid"].mean() == 1
    assert summary.elevation_m == pytest.approx((values["elevation_m"].min(), values["elevation_m"].max()))
    assert summary.sigma_m == pytest.approx(1)
    assert "500 x 400 px of 5 m" in str(summary)


def test_every_tile_is_levelled_to_the_coarse_dem(scene, tmp_path):
    run(scene, tmp_path / "raw", model=BiasedStub())
    run(scene, tmp_path / "level", model=BiasedStub(), params=OFF)
    truth = directly(scene)
    raw, level = (np.abs(bands(tmp_path / name)["elevation_m"] - truth) for name in ("raw", "level"))
    assert np.median(raw) > 1
    assert np.median(level) < 0.1


def test_no_seam_is_left_where_tiles_had_biases(scene, tmp_path):
    run(scene, tmp_path / "out", model=BiasedStub(), params=OFF)
    steps = np.abs(np.diff(bands(tmp_path / "out")["elevation_m"], axis=0)).mean(axis=1)
    rows = Axis.over(400, 256, 100)
    border = np.isin(np.arange(1, 400), [edge for start in rows.starts for edge in (start, start + 256)])
    assert border.sum() == 2 * (len(rows.starts) - 1)
    assert steps[border].mean() <= 1.05 * steps[~border].mean()


def test_invalid_pixels_stay_invalid_and_spread_nowhere(scene, tmp_path):
    pixels = scene.pixels.copy()
    pixels[100:130, 200:260] = np.nan
    pixels[:, 490:] = np.nan
    write(tmp_path / "image.tif", {"image": pixels}, scene.grid)
    write_sun(tmp_path / "image.json", *SUN)
    spoilt = replace(scene, image=tmp_path / "image.tif")
    summary = run(spoilt, tmp_path / "out")
    values = bands(tmp_path / "out")
    np.testing.assert_array_equal(np.isnan(values["elevation_m"]), np.isnan(pixels))
    np.testing.assert_array_equal(values["valid"], np.isfinite(pixels))
    assert summary.valid_fraction == pytest.approx(np.isfinite(pixels).mean())
    np.testing.assert_allclose(values["elevation_m"], directly(spoilt, pixels), atol=2e-3)


def test_ground_beyond_the_dem_is_invalid(scene, tmp_path):
    dem = read(scene.dem)
    cut = dem.grid.window(0, 0, dem.grid.height, 30)
    write(tmp_path / "dem.tif", {"height": dem.values[:, :30]}, cut)
    run(replace(scene, dem=tmp_path / "dem.tif"), tmp_path / "out")
    x, _ = scene.grid.xy(0, np.arange(500))
    np.testing.assert_array_equal(bands(tmp_path / "out")["valid"][200], x <= cut.bounds[2])


@pytest.mark.parametrize("shape", [(16, 16), (40, 300), (257, 321)])
def test_rasters_of_any_size(shape, tmp_path):
    scene = make_scene(tmp_path, *shape)
    run(scene, tmp_path / "out")
    values = bands(tmp_path / "out")["elevation_m"]
    assert values.shape == shape
    np.testing.assert_allclose(values, directly(scene), atol=2e-3)


def test_dem_in_another_projection_gives_nearly_the_same(scene, product, tmp_path):
    dem, polar = read(scene.dem), CRS.from_proj4("+proj=ortho +lat_0=3 +lon_0=0.2 +R=1737400 +units=m")
    left, bottom, right, top = rasterio.warp.transform_bounds(MOON, polar, *dem.grid.bounds)
    size = int((right - left) / 30), int((top - bottom) / 30)
    grid = Grid(polar, Affine(30, 0, left, 0, -30, top), size[1], size[0])
    with rasterio.open(scene.dem) as dataset:
        values = np.full(grid.shape, np.nan, np.float32)
        rasterio.warp.reproject(
            rasterio.band(dataset, 1),
            values,
            dst_transform=grid.transform,
            dst_crs=polar,
            dst_nodata=np.nan,
            resampling=2,
        )
    write(tmp_path / "dem.tif", {"height": values}, grid)
    run(replace(scene, dem=tmp_path / "dem.tif"), tmp_path / "out")
    difference = bands(tmp_path / "out")["elevation_m"] - bands(product)["elevation_m"]
    assert np.nanmedian(np.abs(difference)) < 0.3  # of 20 m hills; a pixel's shift would make 0.5 m


def test_a_coarser_working_pixel(scene, tmp_path):
    summary = run(scene, tmp_path / "out", params=PLAIN.model_copy(update={"gsd_m": 10.0}))
    assert (summary.grid.height, summary.grid.width, summary.grid.gsd_m) == (200, 250, pytest.approx(10))
    means = directly(scene).reshape(200, 2, 250, 2).mean((1, 3))
    assert np.abs(bands(tmp_path / "out")["elevation_m"] - means).mean() < 0.05


# The sun


def the_sun(scene: Scene, sun=(None, None)) -> tuple[float, float]:
    with opened([scene.image], scene.dem, sun=sun, gsd_m=None, image_band=1, dem_band=1) as (images, _):
        return images[0].sun_true_north


def test_sun_from_side_cars_tags_and_options(tmp_path):
    scene = make_scene(tmp_path, 40, 40, sidecar=False)
    write(
        scene.image, {"image": scene.pixels}, scene.grid, tags={"SUN_AZIMUTH": "12.5", "sun_elevation": "7"}
    )
    assert the_sun(scene) == (12.5, 7)
    write_sun(tmp_path / "item.json", 20, 30)
    assert the_sun(scene) == (20, 30)
    write_sun(tmp_path / "image.json", 40, 50)
    assert the_sun(scene) == (40, 50)
    assert the_sun(scene, (None, 60.0)) == (40, 60)


def test_an_item_of_other_files_is_not_this_image_s(tmp_path):
    scene = make_scene(tmp_path, 40, 40, sidecar=False)
    write_sun(tmp_path / "item.json", 20, 30)
    shutil.copy(scene.image, tmp_path / "other.tif")
    with pytest.raises(OrreryError, match="tells no sun_azimuth"):
        the_sun(replace(scene, image=tmp_path / "other.tif"))


def test_azimuth_is_turned_by_the_meridian_convergence(tmp_path):
    south = CRS.from_proj4("+proj=stere +lat_0=-90 +lon_0=0 +k=1 +R=1737400 +units=m")
    scene = make_scene(tmp_path, 40, 40)
    dem = read(scene.dem)
    for path, name, raster in ((scene.image, "image", read(scene.image)), (scene.dem, "height", dem)):
        place = Affine.translation(-60_000, 30_000) * raster.grid.transform
        write(path, {name: raster.values}, Grid(south, place, *raster.values.shape))
    with opened([scene.image], scene.dem, sun=(None, None), gsd_m=None, image_band=1, dem_band=1) as (
        images,
        _,
    ):
        x, y = images[0].grid.centre
        north = np.degrees(
            np.arctan2(x, y)
        )  # at the south pole every meridian's north points away from the pole
        assert images[0].sun.azimuth_deg == pytest.approx((SUN[0] + north) % 360, abs=1e-3)


# Several images, alignment


def halves(scene: Scene, folder: Path) -> list[Path]:
    """Two images of the scene that overlap by 100 columns."""
    paths = []
    for name, columns in (("west", slice(0, 300)), ("east", slice(200, 500))):
        path = folder / f"{name}.tif"
        write(path, {"image": scene.pixels[:, columns]}, scene.grid.window(0, columns.start, 400, 300))
        write_sun(path.with_suffix(".json"), *SUN)
        paths.append(path)
    return paths


def test_two_images_become_one_mosaic_without_a_seam(scene, product, tmp_path):
    summary = run(scene, tmp_path / "out", images=halves(scene, tmp_path))
    assert (summary.grid.height, summary.grid.width, summary.grid.crs) == (400, 500, MOON)
    values, single = bands(tmp_path / "out"), bands(product)
    assert summary.valid_fraction > 0.98  # the warper drops the outermost pixels
    assert np.nanmean(np.abs(values["elevation_m"] - single["elevation_m"])) < 0.05
    steps = np.nanmean(np.abs(np.diff(values["elevation_m"], axis=1)), axis=0)
    assert steps[[199, 299]].mean() < 1.2 * steps[150:350].mean()
    np.testing.assert_allclose(values["sigma_m"][values["valid"] > 0], 1, atol=1e-3)


def test_the_surer_image_counts_more(scene, tmp_path):
    class Unequal(PointStub):
        def predict(self, tiles):
            west = float(np.nansum(tiles[0].image[:1, :1])) == pytest.approx(float(scene.pixels[0, 0]))
            offset, sigma = (3.0, 1.0) if west else (0.0, 2.0)
            return [(tile.coarse_m + np.float32(offset), np.full_like(tile.image, sigma)) for tile in tiles]

    small = PLAIN.model_copy(update={"tile_height_px": 400, "tile_width_px": 300, "mosaic_ramp_px": 1})
    run(scene, tmp_path / "out", images=halves(scene, tmp_path), model=Unequal(), params=small)
    middle = (
        bands(tmp_path / "out")["elevation_m"][200, 250] - upsample(read(scene.dem), scene.grid)[200, 250]
    )
    assert middle == pytest.approx(3 * (1 / 1) / (1 / 1 + 1 / 4), abs=0.05)


def test_a_mosaic_is_the_same_whatever_blocks_it_is_made_in(scene, tmp_path, monkeypatch):
    images = halves(scene, tmp_path)
    run(scene, tmp_path / "one", images=images)
    monkeypatch.setattr("orrery.systems.lunar_dtm.mosaic.BLOCK_PX", (96, 64))
    run(scene, tmp_path / "many", images=images)
    one, many = bands(tmp_path / "one"), bands(tmp_path / "many")
    np.testing.assert_array_equal(one["valid"], many["valid"])
    np.testing.assert_allclose(one["elevation_m"], many["elevation_m"], atol=2e-3)


def test_alignment_moves_the_product_not_the_pixels(scene, tmp_path, monkeypatch):
    correction = AffineMap(((1.0, 1e-3), (-1e-3, 1.0)), (30.0, -45.0), scene.grid.centre)

    def register(image, dem, sun, params, seed):
        assert image.grid.gsd_m == pytest.approx(GSD_M)
        assert dem.grid.gsd_m == pytest.approx(POSTING_M)
        assert sun == Sun(*SUN)
        row = {"residual_m": 1.5, "true_error_m": float("nan"), "ncc_before": 0.1, "ncc_after": 0.2}
        return type("Registration", (), {"map": correction, "row": row})

    monkeypatch.setattr("orrery.systems.lunar_dtm.predict.register", register)
    summary = run(scene, tmp_path / "out", params=PredictParams(vertical="off"))
    assert summary.grid.transform == (~correction.affine) * scene.grid.transform
    moved = replace(read(scene.dem), grid=correction.moved(read(scene.dem).grid))
    expected = point_heights(scene.pixels, np.float32(1000), upsample(moved, scene.grid))
    assert np.median(np.abs(bands(tmp_path / "out")["elevation_m"] - expected)) < 0.1
    item = json.loads((tmp_path / "out" / "item.json").read_text())
    assert item["properties"]["orrery:alignment"][0]["residual_m"] == 1.5


def test_an_image_that_cannot_be_registered_stays_and_says_so(scene, tmp_path, monkeypatch):
    def register(*_):
        raise OrreryError("has too few tie points", remedy="…")

    monkeypatch.setattr("orrery.systems.lunar_dtm.predict.register", register)
    summary = run(scene, tmp_path / "out", params=PredictParams())
    assert summary.grid == scene.grid
    assert summary.alignments[0]["kept"] == "has too few tie points"


def test_a_registration_that_makes_it_worse_is_not_followed(scene, tmp_path, monkeypatch):
    def register(*_):
        row = {"ncc_before": 0.3, "ncc_after": 0.2}
        return type("Registration", (), {"map": AffineMap.shift(100, 0), "row": row})

    monkeypatch.setattr("orrery.systems.lunar_dtm.predict.register", register)
    summary = run(scene, tmp_path / "out", params=PredictParams())
    assert summary.grid == scene.grid
    assert "no better" in summary.alignments[0]["kept"]


def test_a_dem_that_was_written_two_postings_off_is_found(tmp_path):
    scene = make_scene(tmp_path, 600, 600)
    dem = read(scene.dem)
    error = AffineMap.shift(120.0, -60.0)
    write(scene.dem, {"height": dem.values}, error.moved(dem.grid))
    summary = run(scene, tmp_path / "out", params=PredictParams())
    x, y = summary.grid.centre
    true_x, true_y = error.apply(*scene.grid.centre)
    assert np.hypot(x - true_x, y - true_y) < 0.25 * POSTING_M


# Bad input


def no_sun(scene, folder):
    scene.image.with_suffix(".json").unlink()


def nan_sun(scene, folder):
    write_sun(scene.image.with_suffix(".json"), "NaN", 30)


def sun_below_the_horizon(scene, folder):
    write_sun(scene.image.with_suffix(".json"), 100, -3)


def beside_the_dem(scene, folder):
    dem = read(scene.dem)
    far = Grid(MOON, Affine.translation(1e5, 0) * dem.grid.transform, *dem.values.shape)
    write(scene.dem, {"height": dem.values}, far)


def dem_without_heights_there(scene, folder):
    dem = read(scene.dem)
    dem.values[:, 8:] = np.nan
    write(scene.dem, {"height": dem.values}, dem.grid)


def coarser_than_the_dem(scene, folder):
    place = scene.grid.transform * Affine.scale(13)
    write(scene.image, {"image": scene.pixels[:20, :20]}, Grid(MOON, place, 20, 20))


def all_nodata(scene, folder):
    write(scene.image, {"image": np.full_like(scene.pixels, np.nan)}, scene.grid)


def earth(scene, folder):
    write(scene.image, {"image": scene.pixels}, replace(scene.grid, crs=CRS.from_epsg(32633)))


def mars_dem(scene, folder):
    dem = read(scene.dem)
    write(scene.dem, {"height": dem.values}, replace(dem.grid, crs=CRS.from_string("IAU_2015:49910")))


def degrees(scene, folder):
    place = Affine(1e-4, 0, 0.2, 0, -1e-4, 2.9)
    write(
        scene.image,
        {"image": scene.pixels},
        Grid(CRS.from_string("IAU_2015:30100"), place, *scene.pixels.shape),
    )


def truncated(scene, folder):
    scene.image.write_bytes(scene.image.read_bytes()[: scene.image.stat().st_size // 2])


def empty(scene, folder):
    scene.dem.write_bytes(b"")


def missing(scene, folder):
    scene.image.unlink()


def tiny(scene, folder):
    write(scene.image, {"image": scene.pixels[:8]}, scene.grid.window(0, 0, 8, 64))


def no_time(scene, folder):
    path = scene.image.with_suffix(".json")
    path.write_text(path.read_text().replace("2011-03-04T05:06:07Z", "yesterday"))


def unwritable(scene, folder):
    (folder / "out").write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "file", "text"),
    [
        (no_sun, "image.tif", "tells no sun_azimuth; give --sun-azimuth"),
        (nan_sun, "image.tif", "no angle"),
        (sun_below_the_horizon, "image.tif", "-3 degrees above the horizon"),
        (beside_the_dem, "image.tif", "does not overlap"),
        (dem_without_heights_there, "image.tif", "does not overlap"),
        (coarser_than_the_dem, "image.tif", "coarser than the DEM"),
        (all_nodata, "image.tif", "no valid pixel"),
        (earth, "image.tif", "(?i)earth.*moon"),
        (mars_dem, "dem.tif", "(?i)mars.*moon"),
        (degrees, "image.tif", "degrees"),
        (truncated, "image.tif", "fetch or export it again"),
        (empty, "dem.tif", "fetch or export it again"),
        (missing, "image.tif", "does not exist"),
        (tiny, "image.tif", "hold no terrain"),
        (no_time, "image.tif", "ISO 8601"),
        (unwritable, "out", "writable"),
    ],
)
def test_bad_input_is_one_line_that_names_file_and_remedy(spoil, file, text, tmp_path):
    scene = make_scene(tmp_path, 64, 64)
    spoil(scene, tmp_path)
    with pytest.raises(OrreryError, match=text) as caught:
        run(scene, tmp_path / "out")
    assert Path(caught.value.file).name == file
    assert "\n" not in str(caught.value)
    assert not [name for name in FILES if (tmp_path / "out" / name).exists()]


def test_an_image_finer_than_asked_for_is_refused(scene, tmp_path):
    with pytest.raises(OrreryError, match="cannot give a map at 2 m"):
        run(scene, tmp_path / "out", params=PLAIN.model_copy(update={"gsd_m": 2.0}))


def test_no_image_is_refused(scene, tmp_path):
    with pytest.raises(OrreryError, match="no image"):
        predict([], scene.dem, tmp_path / "out", model=PointStub(), params=PLAIN, tags={})


def test_params_refuse_an_overlap_of_a_whole_tile():
    with pytest.raises(ValueError, match="smaller than the tile"):
        PredictParams(overlap_px=256)


def test_an_earlier_product_stays_when_a_new_one_fails(scene, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    before = {path.name: sha256(path) for path in out.iterdir()}

    class Broken(PointStub):
        def predict(self, tiles):
            raise OrreryError("broken", remedy="none")

    with pytest.raises(OrreryError, match="broken"):
        run(scene, out, model=Broken())
    assert {path.name: sha256(path) for path in out.iterdir() if path.is_file()} == before


def test_meridian_convergence_is_zero_on_the_test_grid(scene):
    assert meridian_convergence_deg(scene.grid) == pytest.approx(0, abs=1e-3)
