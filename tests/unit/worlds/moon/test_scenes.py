"""Scenes on disk: what is written agrees with its truth, and equal seeds write equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.files import sha256
from orrery.instruments import nac
from orrery.params import validate
from orrery.raster import io
from orrery.raster.grid import AffineMap, check_body
from orrery.raster.scene import Scene, read_scene
from orrery.world_params import MoonParams
from orrery.worlds.moon import make
from orrery.worlds.moon.places import drawn_site

SUN = {"azimuth_deg": 120.0, "elevation_deg": 35.0}
OTHER = {"azimuth_deg": 275.5, "elevation_deg": 20.0}
TREE: dict[str, Any] = {
    "gsd_m": 5.0,
    "strip_width_px": 90,
    "height_px": 100,
    "overlap_px": 40,
    "pair_overlap_px": 20,
    "sldem": {"margin_m": 300.0, "max_offset_postings": 2.0},
    "sites": {
        "train-mountain-0": {"kind": "mountain", "suns": [SUN, OTHER]},
        "test-flat": {"kind": "flat", "suns": [SUN]},
        "suns-flat": {"kind": "flat", "suns": [OTHER, SUN], "ground": "test-flat"},
        "adjacent-wall": {"kind": "wall", "suns": [SUN, OTHER], "adjacent_pairs": 2},
    },
}


def parameters(**changes: Any) -> MoonParams:
    return validate(MoonParams, {**TREE, **changes}, file=Path("params.yaml"), at="ingest.moon")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("twin")
    assert make(out, parameters(), 7) == sorted(path.name for path in out.iterdir())
    return out


def raster(scene: Scene, name: str) -> io.Raster:
    path = scene.asset(name)
    assert path is not None
    return io.read(path)


def test_names_follow_suns_and_pairs(data: Path) -> None:
    assert sorted(path.name for path in data.iterdir()) == [
        "adjacent-wall-p0", "adjacent-wall-p1", "suns-flat-s0", "suns-flat-s1", "test-flat",
        "train-mountain-0-s0", "train-mountain-0-s1",
    ]  # fmt: skip


def test_items_tell_sun_kind_place_and_truth(data: Path) -> None:
    scene = read_scene(data / "suns-flat-s0")
    assert scene.sun_true_north == (275.5, 20.0)
    assert (scene.kind, scene.site) == (
        "flat",
        "test-flat",
    )  # the place, for splits, is the ground that it shows
    assert scene.item.properties["ssys:targets"] == ["Moon"]
    assert scene.item.properties["orrery:twin"] is True
    assert set(scene.item.properties["orrery:truth"]) == {"sldem", "image_r"}
    assert read_scene(data / "adjacent-wall-p1").sun_true_north == (275.5, 20.0)


def test_rasters_lie_on_the_moon_where_they_should(data: Path) -> None:
    scene = read_scene(data / "train-mountain-0-s0")
    left, right, truth, coarse = (raster(scene, name) for name in ("image_l", "image_r", "truth", "sldem"))
    check_body(left.grid.crs, "moon", "image_l.tif")
    assert left.grid.shape == right.grid.shape == (100, 90)
    assert truth.grid.shape == (100, 140)
    assert truth.grid.transform == left.grid.transform
    assert truth.grid.rowcol(*right.grid.xy(0, 0)) == pytest.approx((0, 50))
    assert coarse.grid.gsd_m == 60
    west, south, east, north = coarse.grid.bounds
    edges = truth.grid.bounds
    assert min(edges[0] - west, edges[1] - south, east - edges[2], north - edges[3]) >= 300
    assert raster(scene, "nac_dtm").grid.gsd_m == 15
    assert all(r.valid.all() for r in (left, right, truth, coarse))


def test_scenes_of_one_place_share_truth_and_stereo_model(data: Path) -> None:
    for name in ("truth.tif", "nac_dtm.tif"):
        assert sha256(data / "train-mountain-0-s0" / name) == sha256(data / "train-mountain-0-s1" / name)
        assert sha256(data / "test-flat" / name) == sha256(data / "suns-flat-s1" / name)
    assert sha256(data / "train-mountain-0-s0/sldem.tif") != sha256(data / "train-mountain-0-s1/sldem.tif")


def test_truth_map_leads_the_coarse_model_home(data: Path) -> None:
    """Heights written at p agree with the truth at map(p), and not with the truth at p."""
    scene = read_scene(data / "train-mountain-0-s0")
    coarse, truth = raster(scene, "sldem"), raster(scene, "truth")
    displacement = AffineMap.from_dict(scene.item.properties["orrery:truth"]["sldem"])
    assert 5 < np.hypot(*displacement.shift_m) <= 120

    def disagreement(mapping: AffineMap) -> float:
        moved = io.Raster(coarse.values, mapping.moved(coarse.grid), {})
        difference = io.upsample(moved, truth.grid) - truth.values
        return float(np.std(difference))

    assert disagreement(displacement) < 0.6 * disagreement(AffineMap.identity())


def test_truth_map_leads_the_right_strip_home(data: Path) -> None:
    """In the overlap the right strip, placed by its map, is the left one but for noise and a factor."""
    scene = read_scene(data / "train-mountain-0-s1")
    left, right = raster(scene, "image_l"), raster(scene, "image_r")
    numbers = np.asarray(nac.decompand(right.values.astype(np.uint8)), np.float32)
    displacement = AffineMap.from_dict(scene.item.properties["orrery:truth"]["image_r"])
    overlap = left.grid.window(5, 58, 90, 27)
    reference = nac.decompand(left.values.astype(np.uint8))[5:95, 58:85]

    def correlation(mapping: AffineMap) -> float:
        placed = io.resample(
            io.Raster(numbers, mapping.moved(right.grid), {}), overlap, method="bilinear"
        ).values
        return float(np.corrcoef(placed.ravel(), reference.ravel())[0, 1])

    assert correlation(displacement) > 0.97
    assert correlation(displacement) > correlation(AffineMap.identity())


def test_adjacent_pairs_show_one_ground(data: Path) -> None:
    first, second = (raster(read_scene(data / f"adjacent-wall-p{n}"), "truth") for n in (0, 1))
    assert second.grid.rowcol(*first.grid.xy(0, 120)) == pytest.approx((0, 0))
    assert np.array_equal(first.values[:, 120:], second.values[:, :20])


def test_images_of_one_place_differ_with_the_sun(data: Path) -> None:
    first, second = (raster(read_scene(data / f"train-mountain-0-s{n}"), "image_l").values for n in (0, 1))
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.5


def test_equal_seeds_write_equal_bytes_and_other_seeds_others(data: Path, tmp_path: Path) -> None:
    only = {"test-flat": TREE["sites"]["test-flat"]}
    make(tmp_path / "again", parameters(sites=only), 7)
    make(tmp_path / "other", parameters(sites=only), 8)
    for name in ("image_l.tif", "image_r.tif", "sldem.tif", "nac_dtm.tif", "truth.tif", "item.json"):
        assert sha256(tmp_path / "again/test-flat" / name) == sha256(data / "test-flat" / name)
    assert sha256(tmp_path / "other/test-flat/truth.tif") != sha256(data / "test-flat/truth.tif")


def test_golden_means(data: Path) -> None:
    """Means of seed 7 through terrain, light, camera and models: they change only when the twin is meant to change."""
    scene = read_scene(data / "test-flat")
    means = [float(raster(scene, name).values.mean()) for name in ("image_l", "image_r", "sldem", "nac_dtm")]
    assert means == pytest.approx([76.685, 74.226, -2249.735, -2251.413], abs=5e-3)


def test_nothing_else_is_left_in_the_folder(data: Path) -> None:
    names = {path.name for path in (data / "test-flat").iterdir()}
    assert names == {"item.json", "image_l.tif", "image_r.tif", "sldem.tif", "nac_dtm.tif", "truth.tif"}


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OrreryError, match="cannot be written"):
        make(tmp_path / "file", parameters(sites={"test-flat": TREE["sites"]["test-flat"]}), 7)


def test_drawn_sites_cover_kinds_uses_and_suns() -> None:
    sites = dict(drawn_site(number, 7) for number in range(60))
    assert len(sites) == 60
    uses = [name.split("-")[0] for name in sites]
    assert (uses.count("train"), uses.count("val"), uses.count("test")) == (48, 6, 6)
    assert {site.kind for site in sites.values()} == {"flat", "mountain", "wall"}
    incidences = [90 - sun.elevation_deg for site in sites.values() for sun in site.suns]
    assert min(incidences) >= 40
    assert max(incidences) <= 84
    for site in sites.values():
        first, second = (sun.azimuth_deg for sun in site.suns)
        assert 59 < abs((first - second + 180) % 360 - 180) <= 180
    assert drawn_site(3, 7) == drawn_site(3, 7)
    assert drawn_site(3, 7)[1] != drawn_site(3, 8)[1]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"overlap_px": 90}, "overlap_px must be less"),
        ({"sites": {"a": {"kind": "flat", "suns": [SUN], "ground": "b"}}}, "no site 'b'"),
        (
            {"sites": {"a": {"kind": "flat", "suns": [SUN] * 3, "adjacent_pairs": 2}}},
            "one sun in all or one each",
        ),
        ({"sites": {"a": {"kind": "flat", "suns": []}}}, r"ingest\.moon\.sites\.a\.suns"),
        ({"gsd_m": -1.0}, r"ingest\.moon\.gsd_m"),
    ],
)
def test_wrong_sites_are_refused_by_name(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(OrreryError, match=complaint):
        parameters(**change)
