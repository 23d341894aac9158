"""What is written comes back, in equal bytes, or not at all."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy as copy_raster

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.raster.io import read, to_cog, write
from tests.unit.raster.raster_files import lunar_grid, ramp, write_gdal

UNITS = {"elevation_m": "m"}


def _heights(height=300, width=400):
    rng = np.random.Generator(np.random.PCG64(3))
    values = np.cumsum(rng.normal(size=(height, width)), 0).astype(np.float32)
    values[20:30, 40:70] = np.nan
    return values


def test_bands_units_tags_grid_and_nan_come_back(tmp_path):
    path, heights = tmp_path / "a.tif", _heights()
    grid = lunar_grid(300, 400)
    write(path, {"elevation_m": heights, "sigma_m": heights**2}, grid, units=UNITS, tags={"run": "r1"})
    raster = read(path, band=2)
    np.testing.assert_array_equal(raster.values, heights**2)
    assert raster.grid == grid
    assert raster.tags["run"] == "r1"
    with rasterio.open(path) as dataset:
        assert dataset.descriptions == ("elevation_m", "sigma_m")
        assert dataset.units == ("m", None)
        assert np.isnan(dataset.nodata)
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_equal_input_is_equal_bytes_whatever_the_name_and_the_order_of_tags(tmp_path):
    grid, heights = lunar_grid(300, 400), _heights()
    first, second = tmp_path / "a.tif", tmp_path / "sub" / "b.tif"
    write(first, {"elevation_m": heights}, grid, units=UNITS, tags={"a": "1", "b": "2"})
    write(second, {"elevation_m": heights}, grid, units=UNITS, tags={"b": "2", "a": "1"})
    assert sha256(first) == sha256(second)
    to_cog(first, tmp_path / "c.tif", {"d": "4", "e": "5"})
    to_cog(second, tmp_path / "d.tif", {"e": "5", "d": "4"})
    assert sha256(tmp_path / "c.tif") == sha256(tmp_path / "d.tif")


def test_lerc_keeps_within_its_error_and_keeps_nan(tmp_path):
    heights = _heights()
    write(tmp_path / "a.tif", {"z": heights}, lunar_grid(300, 400), compression="lerc", max_error=0.05)
    write(tmp_path / "b.tif", {"z": heights}, lunar_grid(300, 400))
    found = read(tmp_path / "a.tif").values
    np.testing.assert_array_equal(np.isnan(found), np.isnan(heights))
    assert 0.04 < np.nanmax(np.abs(found - heights)) <= 0.0501
    assert (tmp_path / "a.tif").stat().st_size < 0.6 * (tmp_path / "b.tif").stat().st_size


def test_integers_are_rounded_clipped_and_zero_where_invalid(tmp_path):
    values = np.array([[np.nan, 1.6, 254.7, 300, -5]], np.float32)
    write(tmp_path / "a.tif", {"dn": values}, lunar_grid(1, 5), dtype="uint8")
    with rasterio.open(tmp_path / "a.tif") as dataset:
        assert dataset.read(1).tolist() == [[0, 2, 255, 255, 0]]
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, [[np.nan, 2, 255, 255, np.nan]])


def test_a_cog_has_overviews_and_keeps_everything(tmp_path):
    heights = _heights(1200, 900)
    write(
        tmp_path / "a.tif", {"elevation_m": heights}, lunar_grid(1200, 900), units=UNITS, tags={"run": "r1"}
    )
    to_cog(tmp_path / "a.tif", tmp_path / "c.tif", {"lineage": "abc"})
    with rasterio.open(tmp_path / "c.tif") as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.overviews(1) == [2, 4, 8]
        assert (dataset.descriptions, dataset.units) == (("elevation_m",), ("m",))
        half = dataset.read(1, out_shape=(600, 450))
    np.testing.assert_array_equal(read(tmp_path / "c.tif").values, heights)
    assert {"run": "r1", "lineage": "abc"}.items() <= read(tmp_path / "c.tif").tags.items()
    assert "lineage" not in read(tmp_path / "a.tif").tags  # the source stays as it was
    blocks = heights[100:102, 100:102]
    assert half[50, 50] == pytest.approx(blocks.mean(), abs=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "c.tif"]


def test_a_virtual_raster_becomes_a_cog(tmp_path):
    write(tmp_path / "a.tif", {"z": _heights()}, lunar_grid(300, 400))
    copy_raster(tmp_path / "a.tif", tmp_path / "a.vrt", driver="VRT")
    to_cog(tmp_path / "a.vrt", tmp_path / "c.tif")
    np.testing.assert_array_equal(read(tmp_path / "c.tif").values, _heights())


def test_a_place_below_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "a.tif"
    with pytest.raises(OrreryError, match=r"file/a\.tif: cannot be written .*writable place"):
        write(target, {"z": _heights()}, lunar_grid(300, 400))
    write(tmp_path / "a.tif", {"z": _heights()}, lunar_grid(300, 400))
    with pytest.raises(OrreryError, match="cannot be written"):
        to_cog(tmp_path / "a.tif", target)


def test_a_damaged_source_makes_no_cog(tmp_path):
    good = write_gdal(tmp_path / "good.tif", ramp(300, 300), tiled=True, blockxsize=64, blockysize=64)
    bad = tmp_path / "bad.tif"
    bad.write_bytes(good.read_bytes()[:-20_000])
    with pytest.raises(OrreryError, match="cannot be read or written"):
        to_cog(bad, tmp_path / "c.tif")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.tif", "good.tif"]


FULL_DISK = """
import sys
import numpy as np
from pathlib import Path
from orrery.errors import OrreryError
from orrery.raster.io import write
from tests.unit.raster.raster_files import lunar_grid
values = np.random.default_rng(1).normal(size=(400, 400)).astype(np.float32)
try:
    write(Path(sys.argv[1]), {"z": values}, lunar_grid(400, 400))
except OrreryError as error:
    print(error)
    raise SystemExit(2)
"""


def _small_files_only():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))


@pytest.mark.faults
def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path, repository):
    target = tmp_path / "a.tif"
    target.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(target)],
        cwd=repository,
        preexec_fn=_small_files_only,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert str(target) in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert target.read_text() == "old"
