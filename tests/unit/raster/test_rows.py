"""Planes on disk and their COG against plain arrays."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.files import sha256
from orrery.raster.cog import write_cog
from orrery.raster.grid import Grid
from orrery.raster.rows import Plane, RowStore

MOON = CRS.from_string("IAU_2015:30110")
GRID = Grid(MOON, Affine(2, 0.3, 100, -0.3, -2, 900), 601, 333)


def filled(folder, dtype="float32", planes=("height", "sigma")) -> tuple[RowStore, np.ndarray]:
    values = np.random.default_rng(1).uniform(1, 200, (len(planes), *GRID.shape)).astype(dtype)
    values[0, 100:300, 50:200] = 0 if dtype == "uint8" else np.nan
    store = RowStore(folder, "made", planes, GRID, dtype)
    for row in range(0, GRID.height, 97):
        store.write(row, values[:, row : row + 97])
    return store, values


def test_rows_written_in_parts_are_read_back_in_others(tmp_path):
    store, values = filled(tmp_path)
    np.testing.assert_array_equal(store.rows(90, 400, "sigma"), values[1, 90:400])
    part = Plane(store, "height").read(-3, 300, 10, 50)
    assert np.isnan(part[:3]).all()
    assert np.isnan(part[:, 33:]).all()
    np.testing.assert_array_equal(part[3:, :33], values[0, :7, 300:])


def test_rows_may_be_written_again(tmp_path):
    store, values = filled(tmp_path)
    store.write(10, values[:, :20])
    np.testing.assert_array_equal(store.rows(0, 40, "sigma")[10:30], values[1, :20])
    np.testing.assert_array_equal(store.rows(30, 40, "sigma"), values[1, 30:40])


def test_progress_is_remembered_exactly(tmp_path):
    store = RowStore(tmp_path, "made", ("height",), GRID)
    assert store.progress() == (0, None)
    sums = np.random.default_rng(2).normal(size=(3, 5, 7)).astype(np.float32)
    store.save_progress(42, sums)
    finished, found = store.progress()
    assert finished == 42
    np.testing.assert_array_equal(found, sums)


def test_cog_holds_values_place_names_units_and_tags(tmp_path):
    store, values = filled(tmp_path / "work")
    write_cog(store, {"height": "m", "sigma": "m"}, {"who": "a & b"}, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as dataset:
        np.testing.assert_array_equal(dataset.read(), values)
        assert dataset.transform == GRID.transform
        assert dataset.crs == MOON
        assert dataset.descriptions == ("height", "sigma")
        assert dataset.units == ("m", "m")
        assert dataset.tags()["who"] == "a & b"
        assert np.isnan(dataset.nodata)
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


@pytest.mark.parametrize(("dtype", "invalid"), [("float32", np.nan), ("uint8", 0)])
def test_overviews_are_means_of_the_valid_pixels(dtype, invalid, tmp_path):
    store, values = filled(tmp_path / "work", dtype, ("height",))
    write_cog(store, {}, {}, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as dataset:
        assert dataset.overviews(1) == [2, 4]
    with rasterio.open(tmp_path / "out.tif", overview_level=0) as dataset:
        half = dataset.read(1)
    assert half.shape == (301, 167)
    blocks = values[0, :600, :332].astype(float).reshape(300, 2, 166, 2)
    expected = blocks.mean((1, 3))  # the hole has even edges, so no block is half valid
    hole = np.isnan(expected) | (expected == 0)
    np.testing.assert_array_equal(half[:300, :166][hole], np.full(hole.sum(), invalid))
    tolerance = 0.5 if dtype == "uint8" else 1e-4
    np.testing.assert_allclose(half[:300, :166][~hole], expected[~hole], atol=tolerance)


def test_equal_planes_give_equal_bytes_and_leave_no_helpers(tmp_path):
    for name in ("one", "two"):
        store, _ = filled(tmp_path / name / "work")
        write_cog(store, {}, {}, tmp_path / name / "out.tif")
        store.discard()
        assert {path.suffix for path in (tmp_path / name / "work").iterdir()} == {".vrt"}
    assert sha256(tmp_path / "one" / "out.tif") == sha256(tmp_path / "two" / "out.tif")


@pytest.mark.slow
def test_a_product_that_might_outgrow_a_plain_tiff_is_no_plain_one(tmp_path):
    """4 GiB is all that a plain one addresses; how small compression makes a product is known only at its end."""
    grid = Grid(MOON, Affine(6, 0, 0, 0, -6, 0), 50_000, 45_000)
    store = RowStore(tmp_path, "made", ("source",), grid, "uint8")
    store.write(
        grid.height - 1, np.ones((1, 1, grid.width), np.uint8)
    )  # the rows above are a hole in the file
    write_cog(store, {}, {}, tmp_path / "made.tif")
    with (tmp_path / "made.tif").open("rb") as file:
        assert file.read(4) == b"II+\0"
