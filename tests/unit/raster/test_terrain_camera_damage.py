"""Labels and images of Kaguya's Terrain Camera that were cut or altered: each ends in one error, and soon."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orrery.errors import OrreryError
from orrery.raster.terrain_camera_product import read_product, write_product

COUNTS = np.random.default_rng(0).normal(200, 30, (64, 48)).astype(np.float32)
KEYS: dict[str, Any] = {
    "PRODUCT_ID": '"TC1-TEST"',
    "INSTRUMENT_ID": "TC1",
    "EXPOSURE_MODE_ID": "MIDDLE",
    "START_TIME": "2008-12-07T05:04:34",
    "INCIDENCE_ANGLE": (55.0, "deg"),
    "DETECTOR_STATUS": "(TC1:ON, TC2:OFF)",
    "Q_TABLE_ID": "N/A",
}


@pytest.fixture(scope="module")
def label(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("product") / "tc1.lbl"
    write_product(path, COUNTS, KEYS, {"COMPRESSION_TYPE": "N/A"})
    return path


@given(cut=st.floats(0, 1), stray=st.sampled_from("=()\"'{}<>,;/*#\0é"), where=st.floats(0, 1))
@example(cut=1, stray="=", where=0.5)
def test_a_damaged_label_is_read_or_refused(label: Path, cut: float, stray: str, where: float) -> None:
    text = label.read_text()
    text = text[: round(cut * len(text))]
    place = round(where * len(text))
    damaged = label.with_name("damaged.lbl")
    damaged.write_text(text[:place] + stray + text[place:], "utf-8")
    damaged.with_suffix(".igz").write_bytes(label.with_suffix(".igz").read_bytes())
    try:
        told = str(read_product(damaged).path)
    except OrreryError as error:
        told = str(error)
    assert "damaged" in told


@pytest.mark.parametrize(
    "line", ["OBJECT = PROCESSING=", "SWATH_MODE_ID = FULL=", "A = B = C", "A =", "OBJECT ="]
)
def test_a_stray_equals_sign_ends_in_an_error(label: Path, line: str) -> None:
    """pvl's permissive parser never comes back from some of these."""
    damaged = label.with_name("stray.lbl")
    damaged.write_text(label.read_text().replace("\nOBJECT = IMAGE", f"\n{line}\nOBJECT = IMAGE"))
    damaged.with_suffix(".igz").write_bytes(label.with_suffix(".igz").read_bytes())
    with pytest.raises(OrreryError, match=r"stray\.lbl: is no PDS3 label"):
        read_product(damaged)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("OBJECT = IMAGE", "OBJECT = PICTURE", "has no object IMAGE"),
        ("INCIDENCE_ANGLE = 55.0", f"INCIDENCE_ANGLE = {'9' * 400}", ""),
        ("LINES = 64", f"LINES = {'9' * 400}", "does not tell LINES"),
    ],
)
def test_what_a_label_lacks_is_told(label: Path, old: str, new: str, said: str) -> None:
    damaged = label.with_name("lacking.lbl")
    damaged.write_text(label.read_text().replace(old, new))
    damaged.with_suffix(".igz").write_bytes(label.with_suffix(".igz").read_bytes())
    if said:
        with pytest.raises(OrreryError, match=rf"lacking\.lbl: {said}"):
            read_product(damaged)
    else:
        assert read_product(damaged).sun_true_north is None


@pytest.mark.parametrize("lost", [1, 4, 8, 9, 500])
def test_a_gzip_without_its_end_is_refused(label: Path, lost: int, tmp_path: Path) -> None:
    """Also when only the check sum behind the pixels is missing."""
    (tmp_path / "a.lbl").write_bytes(label.read_bytes())
    (tmp_path / "a.igz").write_bytes(label.with_suffix(".igz").read_bytes()[:-lost])
    with pytest.raises(OrreryError, match=r"a\.igz: cannot be read"):
        read_product(tmp_path / "a.lbl")


def test_pixels_that_do_not_fit_their_check_sum_are_refused(label: Path, tmp_path: Path) -> None:
    (tmp_path / "a.lbl").write_bytes(label.read_bytes())
    stored = bytearray(gzip.compress(gzip.decompress(label.with_suffix(".igz").read_bytes()), 0))
    stored[100] ^= 1  # stored without packing: one bit of one pixel, and nothing else
    (tmp_path / "a.igz").write_bytes(stored)
    with pytest.raises(OrreryError, match=r"a\.igz: cannot be read \(CRC check failed"):
        read_product(tmp_path / "a.lbl")


def test_names_that_look_like_patterns(label: Path, tmp_path: Path) -> None:
    for suffix in (".lbl", ".igz"):
        (tmp_path / f"a[1]{suffix}").write_bytes(label.with_suffix(suffix).read_bytes())
    assert read_product(tmp_path / "a[1].lbl").counts.shape == COUNTS.shape
