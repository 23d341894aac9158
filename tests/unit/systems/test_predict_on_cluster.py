"""Tiles shared out over two workers give the product of one process, to the byte."""

import pytest

from orrery.cluster import using
from orrery.systems.lunar_dtm import predict as lunar
from orrery.systems.mars_bands import predict as mars
from tests.faults.killing import digests
from tests.unit.systems import lunar_scenes, mars_strips

pytestmark = pytest.mark.slow


def _lunar(folder, out):
    scene = lunar_scenes.make_scene(folder, 150, 140)
    params = lunar.PredictParams(align="off", tile_height_px=64, tile_width_px=64, overlap_px=20)
    options = {"model": lunar_scenes.BiasedStub(), "params": params, "tags": {}, "progress": False}
    lunar.predict([scene.image], scene.dem, out, **options)


def _mars(folder, out):
    strip = mars_strips.make_strip(folder)
    params = mars.PredictParams(tile_px=64, batch_tiles=3)
    mars.predict([strip.image], out, model=mars_strips.BiasedStub(), params=params, tags={}, progress=False)


@pytest.mark.parametrize("predict", [_lunar, _mars])
def test_predict(predict, tmp_path):
    for workers in (1, 2):
        with using(workers=workers):
            predict(tmp_path / "raw", tmp_path / str(workers))
    one, two = (digests(tmp_path / name) for name in ("1", "2"))
    assert len(one) > 3
    assert one == two
