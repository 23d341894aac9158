"""What is written comes back, in equal bytes, or not at all."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import rasterio

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.raster.io import read, write
from tests.unit.raster.raster_files import lunar_grid

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


def test_a_place_below_a_file_is_refused_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "a.tif"
    with pytest.raises(OrreryError, match=r"file/a\.tif: cannot be written .*writable place"):
        write(target, {"z": _heights()}, lunar_grid(300, 400))


FULL_DISK = {
    "write": """
values = np.random.default_rng(1).normal(size=(400, 400)).astype(np.float32)
call = lambda target: write(target, {"z": values}, lunar_grid(400, 400))
""",
    "write_cog": """
store = RowStore(Path(sys.argv[2]), "z", ("z",), lunar_grid(100, 400))  # the planes fit, twice as much does not
store.write(0, np.random.default_rng(1).normal(size=(1, 100, 400)).astype(np.float32))
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
call = lambda target: write_cog(store, {}, {}, target)
""",
}
AROUND = """
import resource, sys
import numpy as np
from pathlib import Path
from orrery.errors import OrreryError
from orrery.raster.cog import write_cog
from orrery.raster.io import write
from orrery.raster.rows import RowStore
from tests.unit.raster.raster_files import lunar_grid
{made}
try:
    call(Path(sys.argv[1]))
except OrreryError as error:
    print(error)
    raise SystemExit(2)
"""


def _small_files_only():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


@pytest.mark.faults
@pytest.mark.parametrize("how", FULL_DISK)
def test_a_disk_that_fills_up_leaves_the_old_file(how, tmp_path, repository):
    target, work = tmp_path / "out" / "a.tif", tmp_path / "work"
    target.parent.mkdir()
    work.mkdir()
    target.write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", AROUND.format(made=FULL_DISK[how]), str(target), str(work)],
        cwd=repository,
        preexec_fn=_small_files_only,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert str(target) in done.stdout
    assert [p.name for p in target.parent.iterdir()] == ["a.tif"]
    assert target.read_text() == "old"
