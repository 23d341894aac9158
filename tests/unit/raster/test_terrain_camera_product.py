"""Labels with images of Kaguya's Terrain Camera: written and read again, and everything that may be wrong with them."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.raster.terrain_camera_product import read_product, write_product

COUNTS = np.arange(6 * 9, dtype=np.float32).reshape(6, 9) + 100
KEYS: dict[str, Any] = {
    "PRODUCT_ID": '"TC1-TEST"',
    "INSTRUMENT_ID": "TC1",
    "EXPOSURE_MODE_ID": "MIDDLE",
    "START_TIME": "2008-12-07T05:04:34",
    "INCIDENCE_ANGLE": (55.0, "deg"),
    "SOLAR_AZIMUTH_ANGLE": (102.5, "deg"),
    "Q_TABLE_ID": "N/A",
    "UPPER_LEFT_LATITUDE": (10.0, "deg"),
    "UPPER_LEFT_LONGITUDE": (20.0, "deg"),
    "UPPER_RIGHT_LATITUDE": (10.0, "deg"),
    "UPPER_RIGHT_LONGITUDE": (20.0030134, "deg"),
    "LOWER_RIGHT_LATITUDE": (9.9980213, "deg"),
    "LOWER_RIGHT_LONGITUDE": (20.0030134, "deg"),
    "LOWER_LEFT_LATITUDE": (9.9980213, "deg"),
    "LOWER_LEFT_LONGITUDE": (20.0, "deg"),
}


@pytest.fixture
def label(tmp_path: Path) -> Path:
    path = tmp_path / "tc1.lbl"
    write_product(path, COUNTS, KEYS, {"COMPRESSION_TYPE": "N/A"})
    return path


def test_counts_come_back_to_half_a_number(label: Path) -> None:
    product = read_product(label)
    assert np.abs(product.counts - COUNTS).max() < 0.1
    assert (product.name, product.camera, product.table, product.compressed) == (
        "TC1-TEST",
        "TC1",
        None,
        False,
    )
    assert product.sun_true_north == (102.5, 35.0)
    assert product.taken is not None
    assert product.taken.startswith("2008-12-07T05:04:34")


def test_the_label_tells_where_it_lies(label: Path) -> None:
    grid = read_product(label).grid
    assert grid is not None
    assert grid.gsd_m == pytest.approx(10.0, rel=0.02)
    assert grid.footprint()["coordinates"][0][0] == pytest.approx([20.0, 10.0], abs=1e-3)


def test_image_and_label_may_both_be_given_and_packed_or_not(label: Path) -> None:
    packed = label.with_suffix(".igz")
    assert np.array_equal(read_product(packed).counts, read_product(label).counts)
    label.with_suffix(".img").write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    assert np.abs(read_product(label).counts - COUNTS).max() < 0.1


def test_equal_content_is_equal_bytes(label: Path, tmp_path: Path) -> None:
    before = label.with_suffix(".igz").read_bytes(), label.read_bytes()
    write_product(label, COUNTS, KEYS, {"COMPRESSION_TYPE": "N/A"})
    assert (label.with_suffix(".igz").read_bytes(), label.read_bytes()) == before


def test_invalid_pixels_stay_invalid(label: Path) -> None:
    holed = np.where(COUNTS == 105, np.nan, COUNTS).astype(np.float32)
    write_product(label, holed, KEYS, {"COMPRESSION_TYPE": "N/A"})
    assert np.array_equal(np.isnan(read_product(label).counts), np.isnan(holed))


def test_compressed_products_tell_their_table(label: Path) -> None:
    write_product(label, COUNTS, {**KEYS, "Q_TABLE_ID": "SF008S.A"}, {"COMPRESSION_TYPE": "DCT_DECOMPRESSED"})
    product = read_product(label)
    assert (product.table, product.compressed) == ("SF008S.A", True)


def _rewritten(old: str, new: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(path.read_text().replace(old, new)) and None


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda p: p.with_suffix(".igz").unlink(), "has no image"),
        (lambda p: p.with_suffix(".igz").write_bytes(p.with_suffix(".igz").read_bytes()[:40]), "cannot be read"),
        (lambda p: p.with_suffix(".igz").write_bytes(b"no gzip"), "cannot be read"),
        (lambda p: p.with_suffix(".igz").write_bytes(gzip.compress(b"\0" * 60)), "60 bytes of the 108"),
        (lambda p: p.with_suffix(".igz").write_bytes(gzip.compress(b"\x80\0" * 54)), "no valid pixel"),
        (_rewritten("TC1\n", "MI-VIS\n"), "MI-VIS"),
        (_rewritten("LINES = 6", "LINES = 0"), "samples"),
        (_rewritten("LINES = 6", "LINES = 99999999999"), "samples"),
        (_rewritten("LINES = 6", "LINES = six"), "does not tell LINES"),
        (_rewritten("SAMPLE_BITS = 16", "SAMPLE_BITS = 8"), "8 bits"),
        (_rewritten("MSB_INTEGER", "VAX_REAL"), "SAMPLE_TYPE"),
        (_rewritten("MIDDLE", "TWILIGHT"), "EXPOSURE_MODE_ID"),
        (lambda p: p.write_bytes(b"\xff\xfe\0"), "no PDS3 label"),
        (lambda p: p.write_text("nothing"), "label|instrument"),
        (lambda p: p.write_text(""), "label|instrument"),
    ],
)  # fmt: skip
def test_broken_products_are_named(label: Path, spoil: Callable[[Path], Any], said: str) -> None:
    spoil(label)
    with pytest.raises(OrreryError, match=said) as caught:
        read_product(label)
    assert "tc1" in str(caught.value)


def test_an_image_without_label_and_a_raster_without_scale_are_refused(label: Path, tmp_path: Path) -> None:
    label.unlink()
    with pytest.raises(OrreryError, match="no label"):
        read_product(label.with_suffix(".igz"))
    with pytest.raises(OrreryError, match="does not exist"):
        read_product(label)
    raster = tmp_path / "image.tif"
    raster.write_bytes(b"")
    with pytest.raises(OrreryError, match="--count-scale"):
        read_product(raster)
