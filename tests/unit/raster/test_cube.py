"""Spectral cubes: which band is which wavelength, fills, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.raster.cube import read_cube
from orrery.raster.grid import Grid
from orrery.raster.io import write

MARS = CRS.from_string("IAU_2015:49910")
MOON = CRS.from_string("IAU_2015:30110")
WAVELENGTHS_NM = (442.63, 533.74, 592.35, 1079.96, 1500.03, 2503.12)


def cube_file(path, wavelengths_nm=WAVELENGTHS_NM, crs=MARS, height=30, width=20):
    """A cube whose values tell wavelength, row and column: nm + row / 100 + column / 10000."""
    grid = Grid(crs, Affine(18.0, 0, 1000, 0, -18.0, 2000), height, width)
    pixel = np.arange(height)[:, None] / 100 + np.arange(width) / 10000
    bands = {f"{nm:.2f} nm": np.float32(nm + pixel) for nm in wavelengths_nm}
    write(path, bands, grid)
    return path, grid


def envi_file(path, wavelengths_um, interleave="bil", fill=65535.0):
    """Camera geometry with an .hdr, as TRR3 is handed out: (bands, 4 lines, 5 samples), pixel (0, 0) filled."""
    values = np.zeros((len(wavelengths_um), 4, 5), "<f4") + np.float32(wavelengths_um)[:, None, None] / 10
    values[:, 0, 0] = fill
    values.transpose(1, 0, 2).tofile(path) if interleave == "bil" else values.tofile(path)
    names = ", ".join(f"{um:.5f}" for um in wavelengths_um)
    path.with_suffix(".hdr").write_text(
        f"ENVI\nsamples = 5\nlines = 4\nbands = {len(wavelengths_um)}\nheader offset = 0\n"
        f"file type = ENVI Standard\ndata type = 4\ninterleave = {interleave}\nbyte order = 0\n"
        f"wavelength units = Micrometers\nwavelength = {{ {names} }}\n"
    )
    return path


def test_asked_wavelengths_come_in_the_asked_order(tmp_path):
    path, grid = cube_file(tmp_path / "crism.tif")
    cube = read_cube(path, [2503, 592, 442])
    assert cube.wavelengths_nm.tolist() == [2503.12, 592.35, 442.63]
    assert cube.values.shape == (3, 30, 20)
    assert cube.grid == grid
    np.testing.assert_allclose(cube.values[:, 7, 11], np.array([2503.12, 592.35, 442.63]) + 0.0711, rtol=1e-6)


@pytest.mark.parametrize("interleave", ["bil", "bsq"])
def test_descending_bands_come_ascending(tmp_path, interleave):
    path = envi_file(tmp_path / "frt.img", [3.9, 2.5, 1.0], interleave)
    cube = read_cube(path, body=None)
    np.testing.assert_allclose(cube.wavelengths_nm, [1000, 2500, 3900])
    np.testing.assert_allclose(cube.values[:, 2, 3], [0.1, 0.25, 0.39], rtol=1e-6)


def test_many_bands_survive_writing_and_reading(tmp_path):
    """More bands than a block may hold together: they are stored one after the other, and each is its own."""
    many = [400 + 6.55 * number for number in range(40)]
    path, _ = cube_file(tmp_path / "all.tif", many)
    with rasterio.open(path) as dataset:
        assert dataset.interleaving.value == "BAND"
    cube = read_cube(path)
    np.testing.assert_allclose(cube.values[:, 0, 0], many, rtol=1e-6)


def test_fill_and_implausible_values_are_invalid(tmp_path):
    path = envi_file(tmp_path / "frt.img", [1.0, 9.0])
    cube = read_cube(path, body=None)
    assert not cube.valid[0, 0]
    assert cube.valid.sum() == 19
    assert np.isnan(read_cube(path, body=None, plausible=(0, 0.5)).values[1]).all()


@pytest.mark.parametrize(("asked", "tolerance_nm", "absent"), [([592, 700], 8, "700"), ([595], 2, "595")])
def test_absent_wavelengths_are_named(tmp_path, asked, tolerance_nm, absent):
    path, _ = cube_file(tmp_path / "crism.tif")
    message = (
        rf"crism\.tif: has no band within {tolerance_nm} nm of {absent} nm; it holds 442\.6 to 2503\.1 nm"
    )
    with pytest.raises(OrreryError, match=message):
        read_cube(path, asked, tolerance_nm)


def test_bands_without_wavelengths_need_a_table(tmp_path):
    path, _ = cube_file(tmp_path / "crism.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.set_band_description(3, "red")
    with pytest.raises(OrreryError, match=r"tells the wavelengths of 5 of its 6 bands; .* give a table"):
        read_cube(path)
    table = tmp_path / "bands.csv"
    table.write_text("band,wavelength_nm\n" + "".join(f"{n},{nm}\n" for n, nm in enumerate(WAVELENGTHS_NM)))
    assert read_cube(path, [592], table=table).values[0, 0, 0] == pytest.approx(592.35)
    table.write_text("band,wavelength_nm\n1,442.63\n")
    with pytest.raises(OrreryError, match=r"has 6 bands, but bands\.csv tells 1 wavelengths"):
        read_cube(path, table=table)
    table.write_text("band,nm\n1,442.63\n")
    with pytest.raises(OrreryError, match=r"bands\.csv: is no table of wavelengths .*a column wavelength_nm"):
        read_cube(path, table=table)


def test_another_body_is_refused(tmp_path):
    path, _ = cube_file(tmp_path / "crism.tif", crs=MOON)
    with pytest.raises(OrreryError, match=r"crism\.tif: lies on Moon .*not on Mars"):
        read_cube(path)


@pytest.mark.parametrize("kind", ["geotiff", "envi"])
def test_truncated_cubes_are_refused(tmp_path, kind):
    path = (
        cube_file(tmp_path / "a.tif")[0] if kind == "geotiff" else envi_file(tmp_path / "a.img", [1.0, 2.0])
    )
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(OrreryError, match="is truncated or damaged"):
        read_cube(path, body=None)


def test_a_cube_of_fill_alone_is_refused(tmp_path):
    path = envi_file(tmp_path / "frt.img", [65535.0 * 10])  # values are a tenth of it
    with pytest.raises(OrreryError, match="holds no valid pixel"):
        read_cube(path, body=None)
