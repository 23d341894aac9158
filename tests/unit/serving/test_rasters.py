"""What a request for rasters may name, and what it may not."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from orrery.cli import cli
from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.serving.rasters import ROOTS, RasterRequest, confined, parsed, served_roots


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (tmp_path / "secret.tif").write_bytes(b"not yours")
    return folder.resolve()


def test_a_record_is_a_request_of_predict(served):
    record = {
        "image": f"{served}/a.tif",
        "dem": f"{served}/d.tif",
        "out": f"{served}/new",
        "stride": math.nan,
    }
    request, out = parsed({**record, "sun_azimuth": 10.0, "align": False}, [served])
    assert out == served / "new"
    assert request["images"] == [served / "a.tif"]
    assert (request["dem"], request["sun"], request["align"]) == (served / "d.tif", (10.0, None), False)
    assert request["stride"] is None
    several = parsed({**record, "image": [f"{served}/a.tif", f"{served}/b.tif"]}, [served])[0]
    assert several["images"] == [served / "a.tif", served / "b.tif"]


def test_every_option_of_predict_can_be_asked_for():
    options = {
        option.opts[0].removeprefix("--").replace("-", "_") for option in cli.commands["predict"].params
    }
    options = {option.split("/")[0] for option in options} - {"system", "model", "workers", "scheduler"}
    assert set(RasterRequest.model_fields) == options


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"stride": 4}, "stride: input should be less than or equal to 3"),
        ({"cube": "x"}, "cube: extra inputs are not permitted"),
        ({"out": None}, "out: field required"),
        ({"scale": 0}, "scale: input should be greater than 0"),
    ],
)
def test_an_option_without_sense_is_named(served, changed, text):
    with pytest.raises(OrreryError, match=text):
        parsed({"out": f"{served}/new", **changed}, [served])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("relative.tif", "not an absolute path"),
        ("{served}/../secret.tif", "not an absolute path without `..`"),
        ("{served}/sub/../a.tif", "not an absolute path without `..`"),
        ("{outside}/secret.tif", "outside the folders that are served"),
        ("{served}-neighbour/a.tif", "outside the folders that are served"),
        ("/vsicurl/http://example.org/a.tif", "outside the folders that are served"),
        ("{served}/a\0.tif", "is no path"),
        ("{served}/" + "long" * 2000, "is no path"),
        ("{served}/link.tif", "outside the folders that are served"),
        ("{served}/linked/secret.tif", "outside the folders that are served"),
    ],
)
@pytest.mark.parametrize("option", ["image", "dem", "out", "left", "right"])
def test_a_path_that_leads_out_is_refused(served, option, name, text):
    (served / "link.tif").symlink_to(served.parent / "secret.tif")
    (served / "linked").symlink_to(served.parent)
    path = name.format(served=served, outside=served.parent)
    with pytest.raises(OrreryError, match=text):
        parsed({"out": f"{served}/new", option: path}, [served])


def test_samples_beside_a_label_may_not_lead_out_either(served):
    (served / "tc1.lbl").write_text("a label")
    (served / "tc1.img").symlink_to(served.parent / "secret.tif")
    with pytest.raises(OrreryError, match=r"tc1\.img: is outside the folders"):
        parsed({"left": f"{served}/tc1.lbl", "out": f"{served}/new"}, [served])


def test_a_link_inside_is_followed(served):
    (served / "a.tif").write_bytes(b"")
    (served / "link.tif").symlink_to(served / "a.tif")
    assert confined(served / "link.tif", [served]) == served / "a.tif"


def test_a_product_overwrites_nothing_but_a_product(served):
    for name in ("empty", "raw", "file", "product", "under-way/.work"):
        (served / name).mkdir(parents=True)
    (served / "raw/image.tif").write_bytes(b"")
    write_json(served / "raw/item.json", {"properties": {"gsd": 1.0}})
    write_json(served / "product/item.json", {"properties": {"orrery_model": "lunar-dtm"}})
    for name in ("new", "empty", "product", "under-way"):
        assert parsed({"out": str(served / name)}, [served])[1] == served / name
    for name in ("raw", "raw/image.tif"):
        with pytest.raises(OrreryError, match="holds something else than a product"):
            parsed({"out": str(served / name)}, [served])


def test_the_folders_that_are_served(served, monkeypatch):
    monkeypatch.delenv(ROOTS, raising=False)
    (served / ".git").mkdir()
    monkeypatch.chdir(served)
    assert served_roots() == (served,)
    monkeypatch.setenv(ROOTS, f"{served}:{served.parent}")
    assert served_roots() == (served, served.parent)
    assert served_roots([served.parent]) == (served.parent,)
    with pytest.raises(OrreryError, match="is no folder that could be served"):
        served_roots([served / "missing"])
