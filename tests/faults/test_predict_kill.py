"""Killing a whole-scene prediction at any moment and running it again gives the bytes of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.systems.lunar_dtm.predict import PredictParams, predict
from tests.faults.killing import digests, killed, product
from tests.unit.systems.lunar_scenes import SUN, BiasedStub, Scene, make_scene, write_sun

pytestmark = pytest.mark.faults
PARAMS = PredictParams(align="off", tile_height_px=64, tile_width_px=64, overlap_px=20)


def run(images: list[Path], dem: Path, out: Path, **options) -> None:
    predict(
        images, dem, out, model=BiasedStub(), params=PARAMS, tags={"run_id": "1"}, progress=False, **options
    )


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("kill"), 150, 140)


@pytest.fixture(scope="module")
def pair(scene) -> list[Path]:
    """Two copies of the image, which overlap wholly."""
    other = scene.image.with_name("other.tif")
    other.write_bytes(scene.image.read_bytes())
    write_sun(other.with_suffix(".json"), *SUN)
    return [scene.image, other]


@pytest.mark.parametrize("step", ["rename", "write"])
def test_a_run_killed_again_and_again_ends_as_if_undisturbed(step, scene, tmp_path):
    run([scene.image], scene.dem, tmp_path / "calm")
    kills = 0
    while killed(step, 1 + kills, lambda: run([scene.image], scene.dem, tmp_path / "killed")):
        kills += 1
    assert kills >= 3
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


@pytest.mark.parametrize(("step", "number"), [("rename", 2), ("rename", 6), ("write", 5), ("rename", 11)])
def test_a_mosaic_killed_once_ends_as_if_undisturbed(step, number, scene, pair, tmp_path):
    run(pair, scene.dem, tmp_path / "calm")
    assert killed(step, number, lambda: run(pair, scene.dem, tmp_path / "killed"))
    run(pair, scene.dem, tmp_path / "killed")
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


def test_no_item_stands_beside_a_mixture_of_two_products(scene, tmp_path):
    out = tmp_path / "out"
    run([scene.image], scene.dem, out, sun=(10.0, 40.0))
    old = product(out)
    run([scene.image], scene.dem, tmp_path / "calm")
    new, mixtures, number = product(tmp_path / "calm"), 0, 1
    while killed("rename", number, lambda: run([scene.image], scene.dem, out)):
        number += 1
        if product(out) not in (old, new):
            mixtures += 1
            assert not (out / "item.json").exists()
    assert mixtures >= 2
    assert digests(out) == digests(tmp_path / "calm")


def test_finished_rows_are_not_predicted_again(scene, tmp_path, monkeypatch):
    assert killed("rename", 3, lambda: run([scene.image], scene.dem, tmp_path / "out"))
    seen = []
    plain = BiasedStub.predict
    monkeypatch.setattr(
        BiasedStub, "predict", lambda stub, tiles: (seen.extend(tiles), plain(stub, tiles))[1]
    )
    run([scene.image], scene.dem, tmp_path / "out")
    resumed = len(seen)
    run([scene.image], scene.dem, tmp_path / "again")
    assert 0 < resumed < len(seen) - resumed


def test_other_parameters_begin_anew(scene, tmp_path):
    assert killed("rename", 3, lambda: run([scene.image], scene.dem, tmp_path / "out"))
    run([scene.image], scene.dem, tmp_path / "out", sun=(50.0, 40.0))
    run([scene.image], scene.dem, tmp_path / "calm", sun=(50.0, 40.0))
    assert digests(tmp_path / "out") == digests(tmp_path / "calm")
