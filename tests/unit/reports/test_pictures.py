from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orrery.errors import OrreryError
from orrery.figures import bare, levels
from orrery.reports.pictures import comparisons, embedded


def drawn(source: str) -> np.ndarray:
    kind, _, data = source.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(BytesIO(base64.b64decode(data))).convert("RGBA"), int)


def test_a_picture_keeps_its_pixels_its_gaps_and_its_title(tmp_path: Path) -> None:
    plane = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (48, 1))
    plane[:16] = np.nan
    bare(levels(plane, (0.0, 1.0)), "a ramp, 1", tmp_path / "ramp.png")
    found = embedded(tmp_path / "ramp.png")
    pixels = drawn(found.source)
    assert (found.title, found.width_px, found.height_px) == ("a ramp, 1", 64, 48)
    assert abs(pixels[20:, :, 0] - np.rint(plane[20:] * 255)).max() < 12
    assert pixels[:12, :, 3].max() == 0
    assert pixels[20:, :, 3].min() == 255


def test_a_scene_with_one_picture_has_nothing_to_compare(tmp_path: Path) -> None:
    pixels = levels(np.eye(8, dtype=np.float32))
    for name in ("compared/b/1.png", "compared/b/0.png", "compared/a/0.png"):
        bare(pixels, name, tmp_path / name)
    (found,) = comparisons(tmp_path)
    assert found.scene == "b"
    assert [picture.title for picture in found.pictures] == ["compared/b/0.png", "compared/b/1.png"]


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    bare(levels(np.eye(64, dtype=np.float32)), "", tmp_path / "whole.png")
    path = tmp_path / "half.png"
    path.write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    with pytest.raises(OrreryError, match=r"half\.png: is not a readable picture"):
        embedded(path)
