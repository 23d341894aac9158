"""Each format, with its scale, special pixels and mishaps."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from orrery.errors import OrreryError
from orrery.raster.grid import Grid
from orrery.raster.io import open_windows, read
from tests.unit.raster.raster_files import (
    FORMATS,
    MOON,
    lunar_grid,
    ramp,
    write_format,
    write_gdal,
    write_isis,
    write_pds3,
)

ISIS_SPECIAL = {  # null, low representation, low instrument, high instrument, high representation saturation
    "uint8": [0, 255],
    "int16": [-32768, -32767, -32766, -32765, -32764],
    "uint16": [0, 1, 2, 65534, 65535],
    "float32": np.array([0xFF7FFFFB, 0xFF7FFFFC, 0xFF7FFFFD, 0xFF7FFFFE, 0xFF7FFFFF], np.uint32).view(
        np.float32
    ),
}


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_values_on_the_same_grid(tmp_path, kind, dtype):
    values = ramp().astype(dtype) + np.ones((), dtype)
    raster = read(write_format(kind, tmp_path, values))
    assert raster.values.dtype == np.float32
    np.testing.assert_array_equal(raster.values, values)
    np.testing.assert_allclose(raster.grid.xy(0, 0), (1002.5, 1997.5), atol=1e-6)
    assert raster.grid.gsd_m == pytest.approx(5)
    assert not list(tmp_path.glob("*.aux.xml"))


@pytest.mark.parametrize("dtype", sorted(ISIS_SPECIAL))
def test_special_pixels_of_isis_are_invalid_and_their_neighbours_valid(tmp_path, dtype):
    special = np.asarray(ISIS_SPECIAL[dtype], dtype)
    ordinary = np.asarray([3, 100, 254], dtype)
    values = np.tile(np.concatenate([special, ordinary]), (4, 1))
    raster = read(write_isis(tmp_path / "a.cub", values))
    np.testing.assert_array_equal(raster.valid[0], [False] * len(special) + [True] * 3)
    np.testing.assert_array_equal(raster.values[0, -3:], [3, 100, 254])


def test_lowest_valid_isis_integer_is_a_value(tmp_path):
    values = np.full((2, 2), -32752, np.int16)
    assert (read(write_isis(tmp_path / "a.cub", values)).values == -32752).all()


def test_pds3_scale_offset_and_missing_constant(tmp_path):
    values = ramp()
    values[0, 0] = -9999
    path = write_pds3(tmp_path / "a.lbl", values, SCALING_FACTOR=0.5, OFFSET=100.0, MISSING_CONSTANT=-9999)
    raster = read(path)
    assert np.isnan(raster.values[0, 0])
    np.testing.assert_array_equal(raster.values[1:], 0.5 * values[1:] + 100)
    assert raster.tags["PRODUCT_ID"].strip('"') == "a"


def test_pds3_missing_constant_of_floats_in_hexadecimal(tmp_path):
    values = ramp().astype(np.float32)
    values[2, 3] = np.array(0xFF7FFFFB, np.uint32).view(np.float32)
    raster = read(write_pds3(tmp_path / "a.lbl", values, MISSING_CONSTANT="16#FF7FFFFB#"))
    assert np.argwhere(~raster.valid).tolist() == [[2, 3]]


@pytest.mark.parametrize("reference_m", [1_737_400.0, 1_738_000.0])
def test_radii_become_heights_above_the_sphere_without_losing_centimetres(tmp_path, reference_m):
    values = np.array([[-12345, 1], [2, 21007]], np.int16)
    path = write_pds3(tmp_path / "a.lbl", values, SCALING_FACTOR=0.01, OFFSET=reference_m)
    np.testing.assert_allclose(
        read(path).values, values * 0.01 + (reference_m - 1_737_400), rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("nodata", [-32768.0, -1e6, -3.4028226550889045e38, float("nan"), float("-inf"), 7.0])
def test_nodata_of_any_kind_is_nan(tmp_path, nodata):
    values = 10.0 + ramp().astype(np.float64)
    values[3, 4] = nodata
    raster = read(write_gdal(tmp_path / "a.tif", values, nodata=nodata))
    assert np.argwhere(~raster.valid).tolist() == [[3, 4]]


def test_untagged_infinities_and_lowest_floats_are_nan(tmp_path):
    values = np.ones((2, 4))
    values[0] = [np.inf, -np.inf, -3.4028234e38, 1e300]
    assert read(write_gdal(tmp_path / "a.tif", values)).valid.tolist() == [[False] * 4, [True] * 4]


def test_a_mask_inside_the_file_counts(tmp_path):
    path = tmp_path / "a.tif"
    mask = np.ones((24, 32), np.uint8) * 255
    mask[5:7, 8] = 0
    profile = {
        "driver": "GTiff",
        "crs": MOON,
        "transform": lunar_grid().transform,
        "count": 1,
        "dtype": "int16",
    }
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(path, "w", height=24, width=32, **profile) as file,
    ):
        file.write(ramp(), 1)
        file.write_mask(mask)
    np.testing.assert_array_equal(read(path).valid, mask > 0)


def test_bands_are_counted_from_one_and_others_refused(tmp_path):
    path = tmp_path / "a.tif"
    profile = {"driver": "GTiff", "crs": MOON, "transform": lunar_grid().transform, "dtype": "int16"}
    with rasterio.open(path, "w", height=24, width=32, count=2, **profile) as file:
        file.write(np.stack([ramp(), 7 + ramp()]))
    np.testing.assert_array_equal(read(path, band=2).values, 7 + ramp())
    with pytest.raises(OrreryError, match="has no band 3; give a band from 1 to 2"):
        read(path, band=3)


def test_windows_are_parts_of_the_whole_and_nan_beyond_it(tmp_path):
    path = write_gdal(tmp_path / "a.tif", ramp())
    with open_windows(path) as source:
        part = source.read(-2, 28, 6, 10)
        nowhere = source.read(100, 100, 2, 2)
        assert source.grid == lunar_grid()
    assert np.isnan(part[:2]).all()
    assert np.isnan(part[:, 4:]).all()
    np.testing.assert_array_equal(part[2:, :4], ramp()[:4, 28:])
    assert np.isnan(nowhere).all()
    window = read(path, window=(3, 5, 7, 9))
    np.testing.assert_array_equal(window.values, ramp()[3:10, 5:14])
    assert window.grid == lunar_grid().window(3, 5, 7, 9)


def test_more_pixels_than_one_read_takes(tmp_path, monkeypatch):
    monkeypatch.setattr("orrery.raster.reading.READ_PX", 1000)
    values = (np.arange(1301 * 3) % 3001).reshape(1301, 3).astype(np.int16)
    np.testing.assert_array_equal(read(write_gdal(tmp_path / "a.tif", values)).values, values)


def test_a_raw_camera_image_is_read_when_no_body_is_asked_for(tmp_path):
    path = write_gdal(tmp_path / "a.tif", ramp(), crs=None, transform=Affine.identity())
    assert read(path, body=None).values.shape == (24, 32)
    with pytest.raises(OrreryError, match="has no coordinate system"):
        read(path)


def test_degrees_are_refused_or_brought_to_metres(tmp_path):
    degrees = Grid(CRS.from_string("IAU_2015:30100"), Affine(0.01, 0, 40, 0, -0.01, -20), 100, 120)
    values = (np.arange(100)[:, None] + np.zeros(120)).astype(np.float32)
    path = write_gdal(tmp_path / "a.tif", values, degrees)
    for attempt in (read, _open_and_close):
        with pytest.raises(OrreryError, match=r"a\.tif: lies on a grid of degrees.*gdalwarp"):
            attempt(path)
    raster = read(path, reproject_to_metres=True)
    left, bottom, right, top = raster.grid.bounds
    degree_m = 1_737_400 * np.pi / 180
    assert top - bottom == pytest.approx(1.0 * degree_m, rel=0.02)
    assert right - left == pytest.approx(1.2 * degree_m * np.cos(np.radians(20.5)), rel=0.02)
    row, column = raster.grid.rowcol(0, -20.505 * degree_m)  # the centre of the source's row 50
    assert raster.values[round(float(row)), round(float(column))] == pytest.approx(50, abs=0.6)


def test_degrees_near_a_pole_become_a_polar_map(tmp_path):
    degrees = Grid(CRS.from_string("IAU_2015:30100"), Affine(0.05, 0, 100, 0, -0.05, -84), 40, 200)
    raster = read(write_gdal(tmp_path / "a.tif", ramp(40, 200), degrees), reproject_to_metres=True)
    assert "Stereographic" in raster.grid.crs.to_wkt()
    assert raster.valid.mean() > 0.8
    assert raster.grid.gsd_m < 0.05 * 1_737_400 * np.pi / 180


def _open_and_close(path):
    with open_windows(path):
        pass


def _broken(tmp_path, case):
    good = write_gdal(tmp_path / "good.tif", ramp(300, 300), tiled=True, blockxsize=64, blockysize=64)
    path = tmp_path / "bad.tif"
    match case:
        case "missing":
            return path
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "text":
            path.write_text("no raster\n")
        case "half":
            path.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
        case "last byte":
            path.write_bytes(good.read_bytes()[:-1])
        case "nan":
            write_gdal(path, ramp(), transform=Affine(float("nan"), 0, 0, 0, -5, 0))
        case "flat":
            write_gdal(path, ramp(), transform=Affine(5, 5, 0, 5, 5, 0))
        case "nowhere":
            write_gdal(path, ramp(), transform=Affine.identity())
        case "earth":
            write_gdal(path, ramp(), crs=CRS.from_epsg(32633))
        case "mars":
            write_gdal(path, ramp(), crs=CRS.from_string("IAU_2015:49910"))
        case "no crs":
            write_gdal(path, ramp(), crs=None)
    return path


@pytest.mark.parametrize("attempt", [read, _open_and_close], ids=["whole", "windows"])
@pytest.mark.parametrize(
    ("case", "complaint"),
    [
        ("missing", "does not exist; check the path"),
        ("folder", "is no file; check the path"),
        ("empty", "is empty; fetch"),
        ("text", "is no readable raster .*; fetch"),
        ("half", "is truncated .*; fetch"),
        ("last byte", "is truncated .*; fetch"),
        ("nan", "has no usable geotransform; export"),
        ("flat", "has no usable geotransform; export"),
        ("nowhere", "has no usable geotransform; export"),
        ("earth", "lies on Earth .*; give a raster of Moon"),
        ("mars", "lies on Mars .*; give a raster of Moon"),
        ("no crs", "has no coordinate system; map-project it"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_bad_files_get_one_line_with_file_and_remedy(tmp_path, capfd, attempt, case, complaint):
    path = _broken(tmp_path, case)
    with pytest.raises(OrreryError, match=complaint) as caught:
        attempt(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")  # GDAL adds no lines of its own


def test_more_pixels_than_fit_in_memory_are_refused_whole_but_read_by_windows(tmp_path, monkeypatch):
    monkeypatch.setattr("orrery.raster.reading.LARGEST_WHOLE_PX", 700)
    path = write_gdal(tmp_path / "a.tif", ramp())
    with pytest.raises(OrreryError, match=r"a\.tif: has 24 x 32 pixels, too many to hold at once; crop it"):
        read(path)
    assert read(path, window=(0, 0, 20, 32)).values.shape == (20, 32)


def test_complex_numbers_are_refused(tmp_path):
    path = write_gdal(tmp_path / "a.tif", ramp().astype(np.complex64))
    with pytest.raises(OrreryError, match=r"a\.tif: holds complex numbers"):
        read(path)


def test_all_nodata_is_refused_when_read_whole(tmp_path):
    path = write_gdal(tmp_path / "a.tif", np.full((4, 4), np.nan, np.float32))
    with pytest.raises(OrreryError, match=r"a\.tif: holds no valid pixel; give another band"):
        read(path)
    assert not read(path, window=(0, 0, 2, 2)).valid.any()


@pytest.mark.parametrize("keep", [0.3, 0.99])
@pytest.mark.parametrize(
    "kind", ["pds3 detached", "pds3 attached", "isis", "vicar", "pds4", "cog", "geotiff"]
)
def test_truncation_is_found_on_opening_in_every_format(tmp_path, kind, keep):
    path = write_format(kind, tmp_path, ramp(200, 200))
    with rasterio.open(path) as dataset:
        image = (
            path if len(dataset.files) == 1 else next(p for p in map(type(path), dataset.files) if p != path)
        )
    image.write_bytes(image.read_bytes()[: int(image.stat().st_size * keep)])
    with pytest.raises(OrreryError, match=r"truncated|no readable raster"), open_windows(path):
        pass


def test_a_label_without_its_image(tmp_path):
    path = write_pds3(tmp_path / "a.lbl", ramp())
    (tmp_path / "a.IMG").unlink()
    with pytest.raises(
        OrreryError, match=r"a\.lbl: .*a\.IMG.*; put the image that this label names beside it"
    ):
        read(path)


def test_an_image_without_its_label(tmp_path):
    write_pds3(tmp_path / "a.lbl", ramp())
    with pytest.raises(OrreryError, match=r"a\.IMG: .*; give its label a\.lbl instead"):
        read(tmp_path / "a.IMG")
    shutil.move(tmp_path / "a.IMG", tmp_path / "b.IMG")
    with pytest.raises(OrreryError, match=r"b\.IMG: .*; put its label \(\.lbl\) beside it"):
        read(tmp_path / "b.IMG")


@pytest.mark.parametrize("pointer", ['"a.img"', " 200 <BYTES>"])
def test_a_label_is_never_read_as_pixels(tmp_path, pointer):
    path = write_pds3(tmp_path / "a.img", ramp(), attached=True, pointer=pointer)
    with pytest.raises(OrreryError, match=r"a\.img: .*pointer leads into the label.*; correct the pointer"):
        read(path)


def test_a_constant_image_is_no_label(tmp_path):
    values = np.full((24, 300), ord(" "), np.uint8)
    assert (read(write_pds3(tmp_path / "a.img", values, attached=True)).values == 32).all()
