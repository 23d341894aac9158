"""Readers on real products of Mars; figures from their labels, and measured once with other tools."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.raster.cube import read_cube
from orrery.raster.io import read

pytestmark = pytest.mark.real

EVC_NM = (592.35, 533.74, 442.63)
FC_NM = (2503.12, 1500.03, 1079.96)


@pytest.fixture
def mars(shared_data):
    return shared_data / "mars"


@pytest.fixture
def table(mars):
    return mars / "crism" / "mtrdr_joined_wavelengths_489.csv"


def test_mtrdr_browse_bands_and_their_medians(mars, table):
    """FRT0000932C, subsampled: 287 of 400 pixels hold all six bands; medians as measured with rasterio alone."""
    path = mars / "crism" / "frt0000932c_07_if164j_mtr3_subsampled.tif"
    cube = read_cube(path, EVC_NM + FC_NM, table=table, plausible=(-10, 10))
    np.testing.assert_allclose(cube.wavelengths_nm, EVC_NM + FC_NM)
    assert cube.valid.sum() == 287
    medians = np.nanmedian(cube.values, (1, 2))
    np.testing.assert_allclose(medians, [0.152, 0.089, 0.046, 0.191, 0.187, 0.171], atol=6e-4)
    longitude, latitude = np.array(cube.grid.footprint()["coordinates"][0][:4]).mean(0)
    assert (longitude % 360, latitude) == pytest.approx((322.99, -33.26), abs=0.05)


def test_mtrdr_whole_with_its_garbage(mars, table):
    path = mars / "crism" / "frt0000932c_07_if164j_mtr3_subsampled.tif"
    cube = read_cube(path, table=table)
    assert cube.values.shape == (489, 20, 20)
    assert (np.diff(cube.wavelengths_nm) > 0).all()
    assert np.nanmax(cube.values) > 1000  # artefacts are handed out as they are, unless a range is given
    assert read_cube(path, table=table, plausible=(-10, 10)).valid.sum() == 49


@pytest.mark.parametrize(("sensor", "bands", "first_nm"), [("s", 107, 364.63), ("l", 438, 1001.35)])
def test_trr3_with_its_header(mars, sensor, bands, first_nm):
    """Both detectors of one frame; the infrared one is stored from long waves to short."""
    path = mars / "crism" / f"frt0001458f_01_if156{sensor}_trr3.img"
    cube = read_cube(path, body=None, plausible=(0, 1))
    assert cube.values.shape == (bands, 15, 64)
    assert cube.wavelengths_nm[0] == pytest.approx(first_nm)
    assert (np.diff(cube.wavelengths_nm) > 0).all()
    assert not cube.valid[:, :3].any()  # columns beyond the slit
    assert 0.05 < np.nanmedian(cube.values) < 0.4
    with pytest.raises(OrreryError, match="has no coordinate system; map-project it"):
        read_cube(path)


def test_trr3_as_the_archive_hands_it_out(mars, tmp_path):
    """A detached PDS3 label without .hdr: the same pixels, once a table tells the wavelengths."""
    folder, name = mars / "crism", "FRT0001458F_01_IF156S_TRR3"
    shutil.copy(folder / f"{name.lower()}.img", tmp_path / f"{name}.IMG")
    shutil.copy(folder / f"{name.lower()}.lbl.txt", tmp_path / f"{name}.LBL")
    with pytest.raises(OrreryError, match=r"tells the wavelengths of 0 of its 107 bands"):
        read_cube(tmp_path / f"{name}.LBL", body=None)
    with pytest.raises(OrreryError, match=rf"give its label {name}\.LBL instead"):
        read_cube(tmp_path / f"{name}.IMG", body=None)
    expected = read_cube(folder / f"{name.lower()}.img", body=None)
    table = tmp_path / "bands.csv"
    table.write_text("wavelength_nm\n" + "\n".join(map(str, expected.wavelengths_nm)))
    found = read_cube(tmp_path / f"{name}.LBL", body=None, table=table)
    np.testing.assert_array_equal(found.values, expected.values)
    shutil.copy(folder / f"{name.lower()}.hdr", tmp_path / f"{name}.HDR")
    found = read_cube(tmp_path / f"{name}.LBL", body=None)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_allclose(found.wavelengths_nm, expected.wavelengths_nm)


def test_a_visible_frame_has_no_false_colour_bands(mars):
    path = mars / "crism" / "frt00014954_02_if155s_trr3.img"
    with pytest.raises(OrreryError, match=r"no band within 8 nm of 2503\.12, 1500\.03 nm"):
        read_cube(path, FC_NM[:2], body=None)


def test_themis_bands_are_radiances_without_wavelengths(mars):
    path = mars / "multiband" / "themis_V00821003RDR_cropped.QUB"
    with pytest.raises(OrreryError, match="tells the wavelengths of 0 of its 5 bands"):
        read_cube(path, body=None)
    band = read(path, body=None, band=3)
    assert band.values.shape == (200, 1024)
    assert 0 < np.nanmedian(band.values) < 0.01  # W cm-2 sr-1 um-1, scale and offset applied


def test_a_mars_orbiter_laser_altimeter_map(mars):
    """4 pixels a degree; heights reach from Hellas to Olympus Mons."""
    dem = read(mars / "dem" / "mola_megt90n000cb_4ppd.tif", body="mars")
    assert dem.values.shape == (720, 1440)
    assert (dem.values.min(), dem.values.max()) == (-8068, 21134)
    with pytest.raises(OrreryError, match=r"lies on Mars .*not on Moon"):
        read(mars / "dem" / "mola_megt90n000cb_4ppd.tif")


def test_a_calibrated_narrow_angle_image_in_a_sinusoidal_map(mars):
    image = read(mars / "moc" / "moc_E0201461_map_4.7m.tif", body="mars")
    assert image.grid.gsd_m == pytest.approx(4.676, abs=1e-3)
    assert (np.nanmin(image.values), np.nanmax(image.values)) == pytest.approx((0.088, 0.226), abs=2e-3)


def test_a_context_camera_mosaic_in_its_place(mars):
    mosaic = read(mars / "ctx" / "ctx_mosaic_gusev_maadim_95m.tif", body="mars")
    assert mosaic.values.shape == (3744, 3744)
    ring = np.array(mosaic.grid.footprint()["coordinates"][0][:4])
    np.testing.assert_allclose([ring.min(0), ring.max(0)], [[174, -20], [180, -14]], atol=0.01)
