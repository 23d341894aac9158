"""Real products of Kaguya's Terrain Camera: three lines each of an uncompressed and of a compressed one."""

from pathlib import Path

import numpy as np
import pytest

from orrery.instruments.terrain_camera import DN_PER_COUNT
from orrery.raster.terrain_camera_product import read_product

pytestmark = pytest.mark.real


@pytest.fixture
def fixtures(shared_data: Path) -> Path:
    return shared_data / "moon" / "isis_fixtures"


def test_an_uncompressed_product(fixtures: Path) -> None:
    product = read_product(fixtures / "TC1S2B0_01_05186N225E0040_mini.lbl")
    assert product.counts.shape == (3, 3208)
    assert (product.camera, product.table, product.compressed) == ("TC1", None, False)
    assert product.sun_true_north == (102.71, pytest.approx(24.988))
    assert product.counts.mean() == pytest.approx(821.3 / 6.21, abs=0.1)


def test_a_compressed_product(fixtures: Path) -> None:
    product = read_product(fixtures / "TC1S2B0_01_00811N526E0443_mini.lbl")
    assert product.counts.shape == (3, 1744)
    assert (product.table, product.compressed) == ("SP_SPT_A", True)
    assert product.told["HUFFMAN_TABLE_ID"] == "DCTSPT_A"


def test_neighbouring_lines_differ_by_whole_counts(fixtures: Path) -> None:
    """The scale of counts: gains of detector elements smear it by a few per cent, so small differences show it best."""
    product = read_product(fixtures / "TC1S2B0_01_05186N225E0040_mini.lbl")
    numbers = np.rint(product.counts * DN_PER_COUNT["MIDDLE"])
    steps = np.abs(np.diff(numbers, axis=0))
    single = steps[(steps > 0) & (steps < 10)]
    assert single.mean() == pytest.approx(DN_PER_COUNT["MIDDLE"], rel=0.05)
    assert np.isin(steps[steps < 10], [0, 6, 7, 8]).all()
