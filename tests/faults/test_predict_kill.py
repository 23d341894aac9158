"""Killing a whole-scene prediction at any moment and running it again gives the bytes of an undisturbed run."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from orrery.files import sha256
from orrery.raster.rows import RowStore
from orrery.systems.lunar_dtm.predict import PredictParams, predict
from tests.unit.systems.lunar_scenes import SUN, BiasedStub, Scene, make_scene, write_sun

pytestmark = pytest.mark.faults
PARAMS = PredictParams(align="off", tile_height_px=64, tile_width_px=64, overlap_px=20)
FORK = multiprocessing.get_context("fork")  # a child that shares the imports starts in no time


def run(images: list[Path], dem: Path, out: Path, **options) -> None:
    predict(
        images, dem, out, model=BiasedStub(), params=PARAMS, tags={"run_id": "1"}, progress=False, **options
    )


def killed(step: str, number: int, images: list[Path], dem: Path, out: Path) -> bool:
    """Run in a child that is killed at the given step; False when it ended before that."""
    child = FORK.Process(target=_doomed, args=(step, number, images, dem, out))
    child.start()
    child.join(120)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def _doomed(step: str, number: int, images: list[Path], dem: Path, out: Path) -> None:
    count = iter(range(1, 10_000))

    def die_at_last() -> None:
        if next(count) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    replace, write = os.replace, RowStore.write

    def replace_or_die(source, target) -> None:
        die_at_last()
        replace(source, target)

    def write_half_or_die(store, row, values) -> None:
        write(store, row, values[:, : values.shape[1] // 2])
        die_at_last()
        write(store, row, values)

    if step == "rename":
        os.replace = replace_or_die
    else:
        RowStore.write = write_half_or_die
    run(images, dem, out)


def digests(out: Path) -> dict[str, str]:
    """Every file, hidden ones included; links are relative to the folder, so two folders side by side agree."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    item = json.loads(found.pop("item.json").read_text())
    item.pop("id")
    return {**{name: sha256(path) for name, path in found.items()}, "item": json.dumps(item, sort_keys=True)}


def product(out: Path) -> dict[str, str]:
    """The rasters and the picture."""
    return {path.name: sha256(path) for path in sorted(out.glob("*.*")) if path.suffix in (".tif", ".png")}


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
    while killed(step, 1 + kills, [scene.image], scene.dem, tmp_path / "killed"):
        kills += 1
    assert kills >= 3
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


@pytest.mark.parametrize(("step", "number"), [("rename", 2), ("rename", 6), ("write", 5), ("rename", 11)])
def test_a_mosaic_killed_once_ends_as_if_undisturbed(step, number, scene, pair, tmp_path):
    run(pair, scene.dem, tmp_path / "calm")
    assert killed(step, number, pair, scene.dem, tmp_path / "killed")
    run(pair, scene.dem, tmp_path / "killed")
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


def test_no_item_stands_beside_a_mixture_of_two_products(scene, tmp_path):
    out = tmp_path / "out"
    run([scene.image], scene.dem, out, sun=(10.0, 40.0))
    old = product(out)
    run([scene.image], scene.dem, tmp_path / "calm")
    new, mixtures, number = product(tmp_path / "calm"), 0, 1
    while killed("rename", number, [scene.image], scene.dem, out):
        number += 1
        if product(out) not in (old, new):
            mixtures += 1
            assert not (out / "item.json").exists()
    assert mixtures >= 2
    assert digests(out) == digests(tmp_path / "calm")


def test_finished_rows_are_not_predicted_again(scene, tmp_path, monkeypatch):
    assert killed("rename", 3, [scene.image], scene.dem, tmp_path / "out")
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
    assert killed("rename", 3, [scene.image], scene.dem, tmp_path / "out")
    run([scene.image], scene.dem, tmp_path / "out", sun=(50.0, 40.0))
    run([scene.image], scene.dem, tmp_path / "calm", sun=(50.0, 40.0))
    assert digests(tmp_path / "out") == digests(tmp_path / "calm")
