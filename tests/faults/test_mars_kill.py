"""Killing a whole-strip prediction at any moment and running it again gives the bytes of an undisturbed run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orrery.systems.mars_bands.predict import PredictParams, predict
from tests.faults.killing import calm, digests, killed, product
from tests.unit.systems.mars_strips import BiasedStub, PointStub, Strip, make_strip
from tests.unit.systems.test_mars_restore import faulty, make_pair
from tests.unit.systems.test_mars_restore import run as restore_pair

pytestmark = pytest.mark.faults
PARAMS = PredictParams(tile_px=48)
STUB = BiasedStub(uses_dem=True)


def run(strip: Strip, out: Path, **options) -> None:
    options = {"model": STUB, "params": PARAMS, **options}
    predict([strip.image], out, tags={"run_id": "1"}, dem=strip.dem, progress=False, **options)


@pytest.fixture(autouse=True)
def no_quicklook(monkeypatch):
    """It takes most of the time of a small product."""
    monkeypatch.setattr("orrery.systems.mars_bands.product.save", lambda figure, path: path.touch())


@pytest.fixture(scope="module")
def strip(tmp_path_factory) -> Strip:
    return make_strip(tmp_path_factory.mktemp("kill"), 100, 70)


@pytest.mark.parametrize("step", ["rename", "write"])
def test_a_run_killed_again_and_again_ends_as_if_undisturbed(step, strip, tmp_path):
    calm(lambda: run(strip, tmp_path / "calm"))
    kills = 0
    while killed(step, 1 + kills, lambda: run(strip, tmp_path / "killed")):
        kills += 1
    assert kills >= 3
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("number", [2, 3, 5])
def test_any_stride_killed_once_ends_as_if_undisturbed(stride, number, strip, tmp_path):
    calm(lambda: run(strip, tmp_path / "calm", stride=stride))
    assert killed("rename", number, lambda: run(strip, tmp_path / "killed", stride=stride))
    calm(lambda: run(strip, tmp_path / "killed", stride=stride))
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")


def test_no_item_stands_beside_a_mixture_of_two_products(strip, tmp_path):
    """The new product lacks files of the old one."""
    plain = PointStub(with_spread=False)
    calm(lambda: run(strip, tmp_path / "before"))
    old = product(tmp_path / "before")
    calm(lambda: run(strip, tmp_path / "calm", model=plain))
    new, mixtures, number = product(tmp_path / "calm"), 0, 1
    while killed("rename", number, lambda number=number: run(strip, _copy(tmp_path, number), model=plain)):
        out, number = tmp_path / f"out-{number}", number + 1
        if product(out) not in (old, new):
            mixtures += 1
            assert not (out / "item.json").exists()
        calm(lambda out=out: run(strip, out, model=plain))
        assert digests(out) == digests(tmp_path / "calm")
    assert mixtures >= 2


def _copy(folder: Path, number: int) -> Path:
    """The old product once more."""
    return shutil.copytree(folder / "before", folder / f"out-{number}")


def test_finished_rows_are_not_predicted_again(strip, tmp_path, monkeypatch):
    assert killed("rename", 3, lambda: run(strip, tmp_path / "out"))
    seen, plain = [], BiasedStub.predict
    monkeypatch.setattr(
        BiasedStub, "predict", lambda stub, tiles: (seen.extend(tiles), plain(stub, tiles))[1]
    )
    run(strip, tmp_path / "out")
    resumed = len(seen)
    run(strip, tmp_path / "again")
    assert 0 < resumed < len(seen) - resumed


def test_other_parameters_begin_anew(strip, tmp_path):
    assert killed("rename", 3, lambda: run(strip, tmp_path / "out"))
    calm(lambda: run(strip, tmp_path / "out", stride=1))
    calm(lambda: run(strip, tmp_path / "calm", stride=1))
    assert digests(tmp_path / "out") == digests(tmp_path / "calm")


@pytest.mark.parametrize("step", ["rename", "write"])
def test_a_restoration_killed_again_and_again_ends_as_if_undisturbed(step, tmp_path, monkeypatch):
    monkeypatch.setattr("orrery.systems.mars_bands.restored.save", lambda figure, path: path.touch())
    pair = make_pair(tmp_path, spoil=faulty)
    restore_pair(pair, tmp_path / "calm", align=True)
    kills = 0
    while killed(step, 1 + kills, lambda: restore_pair(pair, tmp_path / "killed", align=True)):
        kills += 1
    assert kills >= 3
    assert digests(tmp_path / "killed") == digests(tmp_path / "calm")
