"""Readers on the products that missions and their users hand out; figures from their labels and logs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.raster.grid import meridian_convergence_deg
from orrery.raster.io import open_windows, read, resample

pytestmark = pytest.mark.real


@pytest.fixture
def moon(shared_data):
    return shared_data / "moon"


def test_ldem_4_heights_from_a_detached_label(moon):
    """LOLA GDR LDEM_4: 720 x 1440 little-endian integers of 0.5 m, stored with the sphere's radius as offset."""
    raster = read(moon / "lola_ldem_4" / "LDEM_4.LBL")
    numbers = np.fromfile(moon / "lola_ldem_4" / "LDEM_4.IMG", "<i2").reshape(720, 1440)
    np.testing.assert_array_equal(raster.values, 0.5 * numbers)
    assert raster.grid.gsd_m == pytest.approx(7580.84)
    assert raster.tags["PRODUCT_ID"].strip('"') == "LDEM_4"


def test_ldem_4_image_without_its_label_is_told_which_label(moon, tmp_path):
    with pytest.raises(OrreryError, match=r"LDEM_4\.IMG: .*; give its label LDEM_4\.LBL instead"):
        read(moon / "lola_ldem_4" / "LDEM_4.IMG")
    shutil.copy(moon / "lola_ldem_4" / "LDEM_4.LBL", tmp_path)
    with pytest.raises(OrreryError, match=r"LDEM_4\.LBL: .*; put the image that this label names beside it"):
        read(tmp_path / "LDEM_4.LBL")


def test_ldem_4_and_the_gld100_cube_tell_the_same_heights(moon):
    """Two missions, a PDS3 image and an ISIS cube of 16 bits with base and multiplier: they agree on the relief."""
    lola = read(moon / "lola_ldem_4" / "LDEM_4.LBL")
    cube = moon / "isis_fixtures" / "WAC_GLD100_V1.0_GLOBAL_with_LOLA_30M_POLE.16bit.reduced.cub"
    camera = read(cube)
    assert camera.grid.gsd_m == pytest.approx(12_800)
    on_lola = resample(camera, lola.grid, method="bilinear").values
    both = np.isfinite(on_lola)
    assert both.mean() > 0.4  # the longitudes of the two maps overlap by half
    assert np.corrcoef(on_lola[both], lola.values[both])[0, 1] > 0.98
    assert abs(np.median(on_lola[both] - lola.values[both])) < 30


def test_a_calibrated_nac_cube_is_in_camera_geometry(moon):
    cube = moon / "isis_fixtures" / "M143947267L.cal.echo.crop.cub"
    raster = read(cube, body=None)
    assert raster.values.shape == (400, 400)
    assert (
        0.01 < np.nanmin(raster.values) < np.nanmax(raster.values) < 0.3
    )  # radiance factor of mare and highland
    with pytest.raises(OrreryError, match=r"crop\.cub: has no coordinate system; map-project it"):
        read(cube)


@pytest.mark.parametrize(
    ("name", "lines", "samples", "pointer", "corrected"),
    [
        ("nacl.img", 10, 5064, b"= 3638 <BYTES>", b"= 3651 <BYTES>"),
        ("nacr.img", 10, 5064, b"= 3640 <BYTES>", b"= 3653 <BYTES>"),
        ("wac0000a1c4_cropped.img", 100, 704, b"= 8625 <BYTES>", b"= 8637 <BYTES>"),
    ],
)
def test_raw_frames_with_attached_labels(moon, tmp_path, name, lines, samples, pointer, corrected):
    """The cropped frames' pointers lead into their labels, which must not pass; the pixels follow the label."""
    source = moon / "isis_fixtures" / name
    with pytest.raises(OrreryError, match="pointer leads into the label"):
        read(source, body=None)
    content = source.read_bytes()
    assert content.count(pointer) == 1
    mended = tmp_path / name
    mended.write_bytes(content.replace(pointer, corrected))
    pixels = np.frombuffer(content[-lines * samples :], np.uint8).reshape(lines, samples)
    raster = read(mended, body=None)
    np.testing.assert_array_equal(np.nan_to_num(raster.values), pixels)  # 0 is null
    assert not raster.valid[pixels == 0].any()


def test_a_label_that_names_another_file_but_is_attached_is_refused(moon):
    with pytest.raises(OrreryError, match=r"ldem_4_cropped\.img: .*pointer leads into the label"):
        read(moon / "isis_fixtures" / "ldem_4_cropped.img")


@pytest.mark.parametrize("name", ["TC1S2B0_01_05186N225E0040_mini", "TC1S2B0_01_00811N526E0443_mini"])
def test_kaguya_strips_are_refused_with_a_reason(moon, name):
    folder = moon / "isis_fixtures"
    with pytest.raises(OrreryError, match=rf"{name}\.img: .*; give its label {name}\.lbl instead"):
        read(folder / f"{name}.img")
    with pytest.raises(OrreryError, match=rf"{name}\.lbl: has no coordinate system; map-project it"):
        read(folder / f"{name}.lbl")


def test_all_five_quickmap_bands(moon):
    path = moon / "quickmap_pairs" / "Aristarchus_CP" / "data.tif"
    reflectance, slope, dem, *_ = (read(path, band=band) for band in range(1, 6))
    assert dem.values.shape == (244, 256)
    assert dem.grid.gsd_m == pytest.approx(214.023, abs=1e-3)
    assert 0 < np.nanmin(reflectance.values) < np.nanmax(reflectance.values) < 0.3
    assert 0 <= np.nanmin(slope.values) < np.nanmax(slope.values) < 60
    ring = np.array(dem.grid.footprint()["coordinates"][0][:4])
    np.testing.assert_allclose(ring.mean(0), (-47.23, 23.82), atol=0.1)
    assert abs(meridian_convergence_deg(dem.grid)) < 0.05  # orthographic about the scene itself
    with pytest.raises(OrreryError, match="has no band 6; give a band from 1 to 5"):
        read(path, band=6)


def test_quickmap_heights_agree_with_lola(moon):
    dem = read(moon / "quickmap_pairs" / "Aristarchus_CP" / "data.tif", band=3)
    lola = resample(read(moon / "lola_ldem_4" / "LDEM_4.LBL"), dem.grid, method="bilinear")
    difference = dem.values - lola.values
    assert abs(np.nanmedian(difference)) < 60
    assert np.corrcoef(dem.values.ravel(), lola.values.ravel())[0, 1] > 0.8


def test_asp_products_of_a_polar_nac_pair(moon):
    """Grid and heights as listed by the tools that made them; nodata is -3.4e38 in floats of 64 bits."""
    folder = moon / "nac_m139939938le_85s"
    dem = read(folder / "run-crop-DEM.tif")
    assert dem.values.shape == (405, 450)
    assert (round(float(dem.values.min()), 1), round(float(dem.values.max()), 1)) == (-1112.6, -1065.9)
    image = read(folder / "run-M139939938LE-final-meas-intensity.tif")
    assert image.grid == dem.grid
    assert image.valid.mean() == pytest.approx(0.9906, abs=1e-4)
    assert 26 < np.nanmin(image.values) < np.nanmax(image.values) < 662
    with open_windows(folder / "run-M139939938LE-final-meas-intensity.tif") as source:
        np.testing.assert_array_equal(source.read(100, 50, 60, 70), image.values[100:160, 50:120])


def test_sun_of_the_polar_nac_image_on_the_map(moon):
    """ASP's log: azimuth -5.43 degrees from true north. At 5.77 W on a south polar map, north leans as much again."""
    folder = moon / "nac_m139939938le_85s"
    grid = read(folder / "run-crop-DEM.tif").grid
    log = (folder / "run-log-sfs.txt").read_text()
    azimuth_true_north = float(log.split("Sun azimuth and elevation for: ")[1].split(" are ")[1].split()[0])
    assert azimuth_true_north == pytest.approx(-5.43, abs=0.005)
    assert meridian_convergence_deg(grid) == pytest.approx(-5.77, abs=0.005)
    assert azimuth_true_north + meridian_convergence_deg(grid) == pytest.approx(-11.3, abs=0.15)


def test_apollo_frames_in_degrees_are_projected_on_request(moon):
    path = moon / "apollo15_metric" / "AS15-M-0295_SML_geo.tif"
    with pytest.raises(OrreryError, match=r"grid of degrees.*gdalwarp"):
        read(path)
    raster = read(path, reproject_to_metres=True)
    assert 160 < raster.grid.gsd_m < 180  # 0.00585 degrees are 178 m north-south, 165 m east-west at 21 S
    left, bottom, right, top = raster.grid.bounds
    assert (top - bottom) / 1000 == pytest.approx(1213 * 0.00585476 * 30.3234, rel=0.01)
    assert (right - left) / 1000 == pytest.approx(
        1315 * 0.00585476 * 30.3234 * np.cos(np.radians(21.44)), rel=0.01
    )


def test_a_lunar_mosaic_tagged_as_earth_is_refused(moon):
    with pytest.raises(
        OrreryError, match=r"LROC_WAC_4ppd\.tif: lies on Earth .*correct a wrong tag \(gdal_edit"
    ):
        read(moon / "lola_ldem_4" / "LROC_WAC_4ppd.tif")


def test_a_small_polar_dem(moon):
    raster = read(moon / "isis_fixtures" / "gz_dem_moon.tif")
    assert raster.values.shape == (33, 33)
    assert raster.grid.gsd_m == pytest.approx(2.43, abs=0.01)
    longitude = raster.grid.footprint()["coordinates"][0][0][0]
    assert meridian_convergence_deg(raster.grid) == pytest.approx(-longitude, abs=0.1)


def test_nothing_is_left_beside_the_products(moon):
    assert not list(moon.rglob("*.aux.xml"))
