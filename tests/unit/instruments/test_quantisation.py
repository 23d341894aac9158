"""Tables: what is refused, and tables from files."""

from pathlib import Path

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.instruments.quantisation import QuantisationTable, annex_k, read_table
from orrery.instruments.terrain_camera import PAPER_METRES_PER_PX, SF008S_A, metres_per_px


@pytest.mark.parametrize(
    "steps",
    [((1,) * 8,) * 7, ((1,) * 7,) * 8, ((0,) * 8,) * 8, ((-1,) * 8,) * 8, ((float("nan"),) * 8,) * 8],
    ids=["rows", "columns", "zero", "negative", "nan"],
)
def test_wrong_tables_are_refused(steps: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(OrreryError, match="8"):
        QuantisationTable("wrong", steps)


def test_a_table_is_read_from_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    lines = [" ".join(str(int(step)) for step in row) for row in SF008S_A.steps]
    path.write_text("# mine\n" + "\n".join(lines[:4]) + "\n\n" + "\n".join(lines[4:]) + "  # last\n")
    table = read_table(path)
    assert table.name == "mine"
    assert np.array_equal(table.array, SF008S_A.array)


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c", "0 " * 64, ("1 " * 8 + "\n") * 9])
def test_files_without_a_table_are_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.txt"
    path.write_text(text)
    with pytest.raises(OrreryError, match=r"broken\.txt"):
        read_table(path)
    with pytest.raises(OrreryError, match=r"missing\.txt"):
        read_table(tmp_path / "missing.txt")


def test_scaling_of_annex_k_follows_the_published_rule() -> None:
    assert annex_k(50).steps[0][:3] == (16, 11, 10)
    assert annex_k(100).array.max() == 1
    assert annex_k(25).steps[0][0] == 32


def test_metres_of_a_pixel() -> None:
    assert metres_per_px(10.0) == pytest.approx(18.66, abs=0.01)
    assert pytest.approx(18.17, abs=0.01) == PAPER_METRES_PER_PX
