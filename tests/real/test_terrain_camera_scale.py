"""What one count is worth in real products, measured."""

from pathlib import Path

import numpy as np
import pytest

from orrery.instruments.terrain_camera import DN_PER_COUNT

pytestmark = pytest.mark.real
EDGE_PX = 400  # left of it the flat field of a full swath stretches the counts by up to a sixth


@pytest.mark.parametrize(
    ("name", "width"), [("TC1S2B0_01_05186N225E0040_mini", 3208), ("TC1S2B0_01_00811N526E0443_mini", 1744)]
)
def test_differences_between_lines_are_whole_counts(shared_data: Path, name: str, width: int) -> None:
    """The period at which they pile up; both products are of the exposure mode MIDDLE. 1 % is what columns differ by."""
    path = shared_data / "moon" / "isis_fixtures" / f"{name}.img"
    numbers = np.fromfile(path, ">i2").reshape(-1, width)[:, EDGE_PX:].astype(float)
    differences = np.diff(numbers, axis=0)
    differences = differences[(differences != 0) & (np.abs(differences) < 100)]
    periods = np.arange(4, 10, 0.01)
    piled = np.cos(2 * np.pi * differences[:, None] / periods).mean(0)
    assert piled.max() > 0.7
    assert periods[piled.argmax()] == pytest.approx(DN_PER_COUNT["MIDDLE"], rel=0.015)
