"""Stereo scenes of the twin: files as the archive has them, equal bytes for an equal seed, and a golden value."""

import hashlib
from pathlib import Path

import numpy as np

from orrery.raster.io import read
from orrery.raster.scene import read_scene
from orrery.raster.terrain_camera_product import read_product
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems.kaguya_scenes import scene_params, world


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_a_scene_is_two_products_and_its_truth(tmp_path: Path) -> None:
    assert stereo_scenes.make(tmp_path, world(train_a=scene_params(mean_count=300.0)), 7) == ["train-a"]
    scene = read_scene(tmp_path / "train-a")
    left, right = (read_product(scene.asset(name)) for name in ("tc1", "tc2"))
    assert (left.camera, right.camera) == ("TC1", "TC2")
    assert left.counts.shape == right.counts.shape == (208, 176)
    assert abs(left.counts.mean() - 300) < 3
    assert not left.compressed
    assert left.grid is not None
    assert abs(left.grid.gsd_m - 10) < 0.01
    truth = read(scene.asset("disparity"), body=None).values
    assert truth.shape == (208, 176)
    assert scene.item.properties["orrery:mean_count"] == 300.0


def test_equal_seeds_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    scenes = world(train_a=scene_params("highland"))
    for name, seed in (("one", 7), ("two", 7), ("three", 8)):
        stereo_scenes.make(tmp_path / name, scenes, seed)
    one, two, three = (_digests(tmp_path / name / "train-a") for name in ("one", "two", "three"))
    assert one == two
    assert one["tc1.igz"] != three["tc1.igz"]


def test_noise_is_of_the_stated_size() -> None:
    flat = np.full((300, 300), 200.0, np.float32)
    noisy = stereo_scenes.exposed(flat, np.random.default_rng(0))
    expected = np.sqrt(200 / 150 + 0.25 + 1 / 12)  # photons, reading, rounding
    assert abs(noisy.std() / expected - 1) < 0.02


def test_drawn_scenes_serve_all_sets_and_both_kinds() -> None:
    drawn = dict(stereo_scenes.drawn_scene(number, 7) for number in range(40))
    assert len(drawn) == 40
    assert {name.split("-")[0] for name in drawn} == {"train", "val", "test"}
    assert {scene.kind for scene in drawn.values()} == {"flat", "highland"}
    assert stereo_scenes.drawn_scene(3, 7) == stereo_scenes.drawn_scene(3, 7)
