"""Scenes as STAC items that come back, and items that are refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pystac
import pytest

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.raster.grid import AffineMap
from orrery.raster.scene import ITEM, list_scenes, read_scene, write_scene
from tests.unit.raster.raster_files import lunar_grid

WHEN = datetime(2012, 3, 4, 5, 6, 7, tzinfo=UTC)
TRUTH = AffineMap(((1.0, 1e-4), (-1e-4, 1.0)), (120.5, -33.25), (1000.0, 2000.0))


def _write(folder, identifier="wall-s0", sun=(95.5, 42.0), **properties):
    assets = {"image_l": "image_l.tif", "sldem": "sldem.tif"}
    write_scene(folder, identifier, assets, lunar_grid(), sun, properties, WHEN)
    return folder


def test_a_scene_comes_back(tmp_path):
    truth = {"sldem": TRUTH.to_dict()}
    folder = _write(tmp_path / "a", **{"orrery:site": "wall", "orrery:kind": "wall", "orrery:truth": truth})
    scene = read_scene(folder)
    assert (scene.id, scene.site, scene.kind) == ("wall-s0", "wall", "wall")
    assert scene.sun_true_north == (95.5, 42.0)
    assert scene.asset("image_l") == (folder / "image_l.tif").resolve()
    assert scene.asset("nac_dtm") is None
    assert AffineMap.from_dict(scene.item.properties["orrery:truth"]["sldem"]) == TRUTH
    assert scene.item.datetime == WHEN


def test_a_scene_without_site_is_a_site_of_its_own(tmp_path):
    assert read_scene(_write(tmp_path / "a", "nac-1")).site == "nac-1"


def test_the_item_says_where_and_on_which_body(tmp_path):
    item = json.loads((_write(tmp_path / "a") / ITEM).read_text())
    grid = lunar_grid()
    assert item["properties"]["ssys:targets"] == ["Moon"]
    assert item["properties"]["gsd"] == 5
    assert item["properties"]["proj:shape"] == [24, 32]
    assert item["properties"]["proj:transform"] == list(grid.transform[:6])
    assert item["properties"]["proj:wkt2"].startswith("PROJCRS[")
    assert item["geometry"] == grid.footprint()
    west, south, east, north = item["bbox"]
    assert west < east
    assert south < north
    assert {asset["href"] for asset in item["assets"].values()} == {"image_l.tif", "sldem.tif"}
    assert "links" not in item or not item["links"]


def test_the_item_is_valid_stac_as_pystac_sees_it(tmp_path):
    item = pystac.Item.from_file(str(_write(tmp_path / "a") / ITEM))
    assert item.bbox is not None
    assert item.properties["datetime"] == "2012-03-04T05:06:07Z"


def test_equal_scenes_are_equal_bytes(tmp_path):
    assert sha256(_write(tmp_path / "a") / ITEM) == sha256(_write(tmp_path / "b") / ITEM)


def test_azimuths_are_stored_between_0_and_360(tmp_path):
    assert read_scene(_write(tmp_path / "a", sun=(-5.43, 6.55))).sun_true_north == (354.57, 6.55)


def test_scenes_are_listed_by_folder(tmp_path):
    for name in ("b", "a", "c"):
        _write(tmp_path / name, name)
    (tmp_path / "d").mkdir()
    assert [scene.id for scene in list_scenes(tmp_path)] == ["a", "b", "c"]


def test_no_scenes_no_item_and_broken_items_are_told(tmp_path):
    with pytest.raises(OrreryError, match="holds no scene; run `dvc pull` or `orrery ingest`"):
        list_scenes(tmp_path)
    with pytest.raises(OrreryError, match=r"item\.json: does not exist"):
        read_scene(tmp_path)
    for text in ("{", "[]", "{}", '{"type": "Feature", "id": "a"}', '"text"'):
        (tmp_path / ITEM).write_text(text)
        with pytest.raises(OrreryError, match=r"item\.json: is no"):
            read_scene(tmp_path)


def _edited(folder, **properties):
    item = json.loads((folder / ITEM).read_text())
    item["properties"].update(properties)
    (folder / ITEM).write_text(json.dumps(item))
    return read_scene(folder)


@pytest.mark.parametrize(
    ("azimuth", "elevation", "complaint"),
    [
        (None, 40, "tells no sun direction; add view:sun_azimuth"),
        ("east", 40, "tells no sun direction"),
        ("nan", 40, "sun at azimuth nan"),
        (90, "nan", "elevation nan degrees; give"),
        (90, -3, "elevation -3.0 degrees; give a finite azimuth and an elevation above the horizon"),
        (90, 0, "elevation 0.0"),
        (90, 91, "elevation 91.0"),
    ],
)
def test_impossible_suns_name_the_item(tmp_path, azimuth, elevation, complaint):
    scene = _edited(_write(tmp_path / "a"), **{"view:sun_azimuth": azimuth, "view:sun_elevation": elevation})
    with pytest.raises(OrreryError, match=complaint) as caught:
        _ = scene.sun_true_north
    assert str(caught.value).startswith(str(tmp_path / "a" / ITEM))


@pytest.mark.parametrize(
    "href", ["../b.tif", "/etc/passwd", "a/../../b.tif", "file:///etc/passwd", "https://example.org/b.tif"]
)
def test_assets_stay_in_their_folder(tmp_path, href):
    write_scene(tmp_path / "a", "a", {"image_l": href}, lunar_grid(), (1, 1), {}, WHEN)
    with pytest.raises(OrreryError, match="'image_l' lies outside its folder; use relative hrefs"):
        read_scene(tmp_path / "a").asset("image_l")
