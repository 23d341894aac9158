"""Whole-strip prediction against direct computation on whole arrays, and what it refuses."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.raster.grid import Grid
from orrery.raster.io import read, upsample, write
from orrery.raster.tiles import BellAxis
from orrery.raster.windows import Scaled
from orrery.systems.mars_bands.composites import composites_of, stretched
from orrery.systems.mars_bands.inputs import opened
from orrery.systems.mars_bands.predict import PredictParams, predict
from orrery.systems.mars_bands.product import FILES
from orrery.systems.mars_bands.statistics import measure
from tests.unit.systems.mars_strips import (
    EVC_NM,
    MARS,
    BiasedStub,
    ContextStub,
    PointStub,
    Strip,
    make_strip,
    point_bands,
)

SMALL = PredictParams(tile_px=64, batch_tiles=3)


OVERHEAD = (None, 90.0)


def run(strip: Strip, out: Path, *, model=None, params=SMALL, **options):
    options = {"tags": {}, "progress": False, **options}
    return predict([strip.image], out, model=model or PointStub(), params=params, **options)


def bands(out: Path, name: str = "bands.tif") -> np.ndarray:
    with rasterio.open(out / name) as dataset:
        return dataset.read()


@pytest.fixture(autouse=True)
def no_quicklook(monkeypatch):
    """It takes most of the time of a small product; the module's `product` has a real one."""
    monkeypatch.setattr("orrery.systems.mars_bands.product.save", lambda figure, path: path.touch())


@pytest.fixture(scope="module")
def strip(tmp_path_factory) -> Strip:
    return make_strip(tmp_path_factory.mktemp("strip"))


@pytest.fixture(scope="module")
def product(strip, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("product") / "out"
    run(strip, out, tags={"run_id": "abc"})
    return out


# Tiling


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("weights", ["tapered", "paper"])
def test_any_stride_gives_what_depends_on_pixels_alone(stride, weights, strip, tmp_path):
    params = SMALL.model_copy(update={"weights": weights})
    run(strip, tmp_path / "out", params=params, stride=stride)
    np.testing.assert_allclose(bands(tmp_path / "out"), point_bands(strip.pixels), rtol=2e-6)


@pytest.mark.parametrize("shape", [(16, 16), (17, 130), (65, 64)])
def test_strips_of_any_size(shape, tmp_path):
    strip = make_strip(tmp_path, *shape)
    run(strip, tmp_path / "out", stride=3)
    np.testing.assert_allclose(bands(tmp_path / "out"), point_bands(strip.pixels), rtol=2e-6)


def test_every_pixel_is_the_mean_of_as_many_tiles():
    for divisor in (1, 2, 3):
        axis = BellAxis.strided(1000, 96, divisor)
        count = np.zeros(1000, int)
        for start in axis.starts:
            count[max(start, 0) : start + 96] += 1
        assert (count == divisor).all()


def test_weights_are_the_papers_gaussian_at_pixel_centres():
    axis = BellAxis.strided(500, 8, 2, tapered=False)
    expected = [np.exp(-(((row + 0.5) / 4 - 1) ** 2)) for row in range(8)]
    np.testing.assert_allclose(axis.weights(0), expected, rtol=1e-6)
    np.testing.assert_array_equal(axis.weights(0), axis.weights(0)[::-1])
    tapered = BellAxis.strided(500, 256, 2).weights(1)
    assert 0 < tapered[0] < 0.01 * tapered.max()


def test_whatever_tile_a_pixel_is_in_the_model_sees_the_same_surroundings(strip, tmp_path):
    """Context as wide as the stub's blur: only the strip's own edge differs from the whole."""
    model = ContextStub(context_px=24)
    run(strip, tmp_path / "out", model=model, stride=1)
    run(strip, tmp_path / "whole", model=model, params=PredictParams(tile_px=300), stride=1)
    inside = np.s_[:, 30:-30, 30:-30]
    np.testing.assert_allclose(bands(tmp_path / "out")[inside], bands(tmp_path / "whole")[inside], rtol=2e-5)


def border_ratio(values: np.ndarray, texture: np.ndarray, tile_px: int, divisor: int) -> float:
    """Mean |step| between pixels where a tile begins or ends, over that everywhere else; relative to the texture's own."""
    ratios = []
    for plane in (values, texture):
        border, inside = [], []
        for axis, size in enumerate(plane.shape):
            steps = np.abs(np.diff(plane, axis=axis))
            starts = BellAxis.strided(size, tile_px, divisor).starts
            edges = [edge for start in starts for edge in (start, start + tile_px)]
            is_border = np.isin(np.arange(1, size), edges)
            border.append(np.compress(is_border, steps, axis).ravel())
            inside.append(np.compress(~is_border, steps, axis).ravel())
        ratios.append(np.concatenate(border).mean() / np.concatenate(inside).mean())
    return float(ratios[0] / ratios[1])


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Strip:
    return make_strip(tmp_path_factory.mktemp("wide"), 300, 300)


@pytest.mark.parametrize(("stride", "context_px"), [(1, 20), (2, 8), (3, 8)])
def test_no_seam_where_context_differs(stride, context_px, wide, tmp_path):
    run(wide, tmp_path / "out", model=ContextStub(context_px=context_px), stride=stride)
    run(wide, tmp_path / "whole", model=ContextStub(), params=PredictParams(tile_px=300), stride=1)
    whole = bands(tmp_path / "whole")[0]
    assert border_ratio(bands(tmp_path / "out")[0], whole, 64, stride) <= 1.05


@pytest.mark.parametrize("stride", [2, 3])
def test_no_seam_where_tiles_are_biased(stride, wide, tmp_path):
    run(wide, tmp_path / "ours", model=BiasedStub(), stride=stride)
    paper = SMALL.model_copy(update={"weights": "paper"})
    run(wide, tmp_path / "paper", model=BiasedStub(), stride=stride, params=paper)
    texture = point_bands(wide.pixels)[0]
    ours, literal = (
        border_ratio(bands(tmp_path / name)[0], texture, 64, stride) for name in ("ours", "paper")
    )
    assert ours <= 1.05
    assert literal > 1.1  # what the taper is for


def test_invalid_pixels_stay_invalid_and_spread_nowhere(strip, tmp_path):
    pixels = strip.pixels.copy()
    pixels[100:130, 20:60] = np.nan
    pixels[:, 190:] = np.nan
    write(tmp_path / "ctx.tif", {"i_over_f": pixels}, strip.grid)
    summary = run(replace(strip, image=tmp_path / "ctx.tif"), tmp_path / "out", sun=OVERHEAD)
    np.testing.assert_allclose(bands(tmp_path / "out"), point_bands(pixels), rtol=2e-6)
    with rasterio.open(tmp_path / "out" / "valid.tif") as dataset:
        assert (dataset.dtypes, dataset.nodata) == (("uint8",), 0)
        np.testing.assert_array_equal(dataset.read(1), np.isfinite(pixels))
    assert summary.valid_fraction == pytest.approx(np.isfinite(pixels).mean())


# What the model is told


def test_statistics_of_the_whole_image_in_one_pass(strip):
    pixels = strip.pixels.astype(np.float64)
    pixels[::7, ::5] = np.nan
    pixels[3, 4], pixels[5, 6] = 1e6, -1e6

    class Held:
        grid = strip.grid

        def read(self, row, column, height, width):
            return pixels[row : row + height, column : column + width].astype(np.float32)

    rows = []
    found = measure(Held(), rows.append)
    low, high = np.nanpercentile(pixels.astype(np.float32).astype(float), [0.01, 99.99])
    kept = np.clip(pixels.astype(np.float32), low, high)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-9)
    assert found.mean == pytest.approx(np.nanmean(kept), rel=1e-6)
    assert found.standard_deviation == pytest.approx(np.nanstd(kept), rel=1e-4)
    assert sum(rows) == strip.grid.height


def test_every_tile_has_the_strips_statistics_and_its_own_pixel_size(strip, tmp_path):
    seen = []

    class Spy(PointStub):
        def predict(self, tiles):
            seen.extend(tiles)
            return super().predict(tiles)

    run(strip, tmp_path / "out", model=Spy())
    assert {tile.statistics for tile in seen} == {measure(_source(strip), lambda _: None)}
    assert {tile.gsd_m for tile in seen} == {6.0}
    assert {tile.image.shape for tile in seen} == {(96, 96)}  # tile and context, reflected at the edge
    assert {tile.dem_m for tile in seen} == {None}


class _source:  # noqa: N801
    """A strip's pixels as windows."""

    def __init__(self, strip):
        self.grid, self.pixels = strip.grid, strip.pixels

    def read(self, row, column, height, width):
        return self.pixels[row : row + height, column : column + width]


def test_a_dem_is_resampled_under_the_image(strip, tmp_path):
    run(strip, tmp_path / "out", model=PointStub(uses_dem=True), dem=strip.dem)
    expected = point_bands(strip.pixels) + 1e-5 * upsample(read(strip.dem, body="mars"), strip.grid)
    np.testing.assert_allclose(bands(tmp_path / "out"), expected, atol=2e-6)


def test_ground_beyond_the_dem_is_invalid(strip, tmp_path):
    dem = read(strip.dem, body="mars")
    cut = dem.grid.window(0, 0, dem.grid.height, 10)
    write(tmp_path / "dem.tif", {"elevation_m": dem.values[:, :10]}, cut)
    run(strip, tmp_path / "out", model=PointStub(uses_dem=True), dem=tmp_path / "dem.tif")
    x, _ = strip.grid.xy(0, np.arange(strip.grid.width))
    np.testing.assert_array_equal(np.isfinite(bands(tmp_path / "out")[0, 150]), x <= cut.bounds[2])


def test_a_dem_is_not_read_by_a_model_that_uses_none(strip, tmp_path):
    (tmp_path / "dem.tif").write_bytes(b"no raster")
    run(strip, tmp_path / "out", dem=tmp_path / "dem.tif")
    item = json.loads((tmp_path / "out" / "item.json").read_text())
    assert [link["title"] for link in item["links"]] == ["ctx.tif"]


def test_a_scale_makes_numbers_i_over_f(strip, tmp_path):
    write(tmp_path / "dn.tif", {"dn": strip.pixels * 1000}, strip.grid)
    run(replace(strip, image=tmp_path / "dn.tif"), tmp_path / "out", scale=1e-3, sun=OVERHEAD)
    np.testing.assert_allclose(bands(tmp_path / "out"), point_bands(strip.pixels), rtol=1e-5)
    assert Scaled(_source(strip), 2.0).grid == strip.grid


# The product


def test_product_is_a_cog_named_by_wavelength_with_units_and_tags(product, strip):
    with rasterio.open(product / "bands.tif") as dataset:
        assert dataset.descriptions == ("442.63 nm", "533.74 nm", "592.35 nm")
        assert set(dataset.units) == {"I/F"}
        assert dataset.tags()["run_id"] == "abc"
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (dataset.transform, dataset.crs) == (strip.grid.transform, MARS)
        assert dataset.overviews(1) == [2]
    with rasterio.open(product / "sigma.tif") as dataset:
        assert dataset.descriptions[0] == "sigma 442.63 nm"
        assert set(dataset.units) == {"I/F"}
        np.testing.assert_allclose(dataset.read(), 0.1 * bands(product), rtol=1e-5)
    with rasterio.open(product / "confidence.tif") as dataset:
        assert set(dataset.units) <= {None, ""}
        np.testing.assert_allclose(dataset.read(), 0.5)
    expected = {name for name in FILES if name != "fc.png"}  # no infrared band
    assert {path.name for path in product.iterdir()} == expected


def test_bands_can_be_read_as_a_cube(product):
    from orrery.raster.cube import read_cube

    cube = read_cube(product / "bands.tif", [592.0, 442.0])
    np.testing.assert_array_equal(cube.values, bands(product)[[2, 0]])


def test_colour_picture_is_stretched_to_three_sigma(product, strip):
    with Image.open(product / "evc.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape == (300, 200, 4)
    with Image.open(product / "quicklook.png") as quicklook:
        assert min(quicklook.size) > 100
    red = point_bands(strip.pixels)[2].astype(float)
    expected = 255 * np.clip((red - red.mean()) / (6 * red.std()) + 0.5, 0, 1)
    assert np.abs(pixels[..., 0] - expected).max() <= 0.51


def test_what_is_invalid_is_transparent():
    colours = np.random.default_rng(0).normal(size=(3, 8, 9)).astype(np.float32)
    colours[1, 2, 3] = np.nan
    picture = stretched(colours)
    assert picture[2, 3, 3] == 0
    assert (picture[..., 3] == 255).sum() == 71


def test_composites_need_all_their_bands():
    assert composites_of(EVC_NM) == {"evc": [2, 1, 0]}
    assert composites_of((1080.0, 1500.0, 2503.0)) == {"fc": [2, 1, 0]}
    assert composites_of((592.0, 533.0)) == {}


def test_item_tells_place_sun_time_and_sources(product, strip):
    text = (product / "item.json").read_text()
    item = json.loads(text)
    properties = item["properties"]
    assert properties["ssys:targets"] == ["Mars"]
    assert (properties["view:sun_azimuth"], properties["view:sun_elevation"]) == (250.0, 90.0)
    assert properties["datetime"] == "2009-03-04T05:06:07Z"
    assert properties["orrery:time_known"]
    assert properties["orrery:wavelengths_nm"] == list(EVC_NM)
    assert properties["run_id"] == "abc"
    (link,) = item["links"]
    assert (link["rel"], link["file:checksum"]) == ("derived_from", f"1220{sha256(strip.image)}")
    assert (product / link["href"]).resolve() == strip.image.resolve()
    assert str(product.parent) not in text
    assert all((product / asset["href"]).exists() for asset in item["assets"].values())


def test_a_low_sun_is_made_up_for(strip, tmp_path):
    """Half as bright under a sun at 30 degrees is the same ground, for cosine of incidence is one half."""
    write(tmp_path / "low.tif", {"i_over_f": strip.pixels / 2}, strip.grid)
    run(replace(strip, image=tmp_path / "low.tif"), tmp_path / "out", sun=(None, 30.0))
    np.testing.assert_allclose(bands(tmp_path / "out"), point_bands(strip.pixels), rtol=1e-5)


def test_a_strip_whose_sun_nobody_tells_is_refused(tmp_path):
    strip = make_strip(tmp_path, 40, 40, sidecar=False)
    with pytest.raises(OrreryError, match=r"ctx\.tif: tells no sun_elevation; give --sun-elevation"):
        run(strip, tmp_path / "out")
    with pytest.raises(OrreryError, match="lights no image"):
        run(strip, tmp_path / "out", sun=(None, -3.0))
    assert not (tmp_path / "out").exists()


def test_without_a_side_car_sun_and_time_are_unknown_and_said_to_be(tmp_path):
    strip = make_strip(tmp_path, 40, 40, sidecar=False)
    run(strip, tmp_path / "out", sun=OVERHEAD)
    properties = json.loads((tmp_path / "out" / "item.json").read_text())["properties"]
    assert "view:sun_azimuth" not in properties
    assert not properties["orrery:time_known"]


def test_a_model_without_uncertainty_leaves_none_of_an_older_product(strip, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    run(strip, out, model=PointStub(with_spread=False))
    assert not (out / "sigma.tif").exists()
    assert not (out / "confidence.tif").exists()
    assert "sigma" not in json.loads((out / "item.json").read_text())["assets"]


def test_summary_tells_what_the_product_holds(strip, tmp_path):
    summary = run(strip, tmp_path / "out")
    assert summary.valid_fraction == 1
    assert summary.medians["592.35 nm"] == pytest.approx(1.1 * np.median(strip.pixels[::16, ::16]), rel=1e-3)
    assert "200 x 300 px of 6 m" in str(summary)


# Bad input


def missing(strip, folder):
    strip.image.unlink()


def empty(strip, folder):
    strip.image.write_bytes(b"")


def truncated(strip, folder):
    strip.image.write_bytes(strip.image.read_bytes()[: strip.image.stat().st_size // 2])


def label_alone(strip, folder):
    strip.image.rename(folder / "gone")
    (folder / "ctx.tif").write_text('PDS_VERSION_ID = PDS3\r\n^IMAGE = "ctx.img"\r\nEND\r\n')


def all_nodata(strip, folder):
    write(strip.image, {"i_over_f": np.full_like(strip.pixels, np.nan)}, strip.grid)


def moon(strip, folder):
    crs = CRS.from_string("IAU_2015:30110")
    write(strip.image, {"i_over_f": strip.pixels}, replace(strip.grid, crs=crs))


def degrees(strip, folder):
    place = Affine(1e-4, 0, 77.4, 0, -1e-4, 18.4)
    grid = Grid(CRS.from_string("IAU_2015:49900"), place, *strip.pixels.shape)
    write(strip.image, {"i_over_f": strip.pixels}, grid)


def eight_bit(strip, folder):
    write(strip.image, {"dn": (strip.pixels * 1000).astype(np.uint8)}, strip.grid, dtype="uint8")


def negative(strip, folder):
    write(strip.image, {"i_over_f": -strip.pixels}, strip.grid)


def flat(strip, folder):
    write(strip.image, {"i_over_f": np.full_like(strip.pixels, 0.25)}, strip.grid)


def tiny(strip, folder):
    write(strip.image, {"i_over_f": strip.pixels[:8]}, strip.grid.window(0, 0, 8, 64))


def no_dem(strip, folder):
    return {"dem": None}


def beside_the_dem(strip, folder):
    dem = read(strip.dem, body="mars")
    far = Grid(MARS, Affine.translation(1e5, 0) * dem.grid.transform, *dem.values.shape)
    write(strip.dem, {"elevation_m": dem.values}, far)


def dem_without_heights_there(strip, folder):
    dem = read(strip.dem, body="mars")
    dem.values[:, 3:] = np.nan
    write(strip.dem, {"elevation_m": dem.values}, dem.grid)


def dem_of_the_moon(strip, folder):
    dem = read(strip.dem, body="mars")
    write(strip.dem, {"elevation_m": dem.values}, replace(dem.grid, crs=CRS.from_string("IAU_2015:30110")))


def no_time(strip, folder):
    path = strip.image.with_suffix(".json")
    path.write_text(path.read_text().replace("2009-03-04T05:06:07Z", "yesterday"))


def unwritable(strip, folder):
    (folder / "out").write_text("a file where the folder should be")


@pytest.mark.parametrize(
    ("spoil", "file", "text"),
    [
        (missing, "ctx.tif", "does not exist"),
        (empty, "ctx.tif", "fetch or export it again"),
        (truncated, "ctx.tif", "fetch or export it again"),
        (label_alone, "ctx.tif", "no readable raster"),
        (all_nodata, "ctx.tif", "no valid pixel"),
        (moon, "ctx.tif", "(?i)moon.*not on mars"),
        (degrees, "ctx.tif", "degrees.*49910"),
        (eight_bit, "ctx.tif", "no I/F; calibrate it.*--scale"),
        (negative, "ctx.tif", "no I/F"),
        (flat, "ctx.tif", "one value only"),
        (tiny, "ctx.tif", "show no landforms"),
        (no_dem, "ctx.tif", "trained with a DEM.*--dem"),
        (beside_the_dem, "ctx.tif", "does not overlap"),
        (dem_without_heights_there, "ctx.tif", "does not overlap"),
        (dem_of_the_moon, "dem.tif", "(?i)moon.*not on mars"),
        (no_time, "ctx.tif", "ISO 8601"),
        (unwritable, "out", "writable"),
    ],
)
def test_bad_input_is_one_line_that_names_file_and_remedy(spoil, file, text, tmp_path):
    strip = make_strip(tmp_path, 64, 64)
    options = {"dem": strip.dem, **(spoil(strip, tmp_path) or {})}
    with pytest.raises(OrreryError, match=text) as caught:
        run(strip, tmp_path / "out", model=PointStub(uses_dem=True), **options)
    assert Path(caught.value.file).name == file
    assert "\n" not in str(caught.value)
    assert not [name for name in FILES if (tmp_path / "out" / name).exists()]


def test_a_dem_under_no_model_that_uses_none_is_not_asked_for(strip):
    with opened(strip.image, None, uses_dem=False) as found:
        assert found.dem is None


@pytest.mark.parametrize("count", [0, 2])
def test_one_image_makes_one_product(count, strip, tmp_path):
    with pytest.raises(OrreryError, match="give one"):
        predict([strip.image] * count, tmp_path / "out", model=PointStub(), params=SMALL, tags={})


def test_a_stride_that_the_paper_does_not_know_is_refused(strip, tmp_path):
    with pytest.raises(OrreryError, match="stride"):
        run(strip, tmp_path / "out", stride=5)


def test_an_earlier_product_stays_when_a_new_one_fails(strip, product, tmp_path):
    out = shutil.copytree(product, tmp_path / "out")
    before = {path.name: sha256(path) for path in out.iterdir()}

    class Broken(PointStub):
        def predict(self, tiles):
            raise OrreryError("broken", remedy="none")

    with pytest.raises(OrreryError, match="broken"):
        run(strip, out, model=Broken())
    assert {path.name: sha256(path) for path in out.iterdir() if path.is_file()} == before
