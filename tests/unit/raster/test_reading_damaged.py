"""Files with random damage are read or refused, never crashed on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orrery.errors import OrreryError
from orrery.raster.grid import Body
from orrery.raster.io import Raster, read
from orrery.seeds import stream
from tests.unit.raster.raster_files import FORMATS, ramp, write_format

MUTANTS = 60
HEAD_BYTES = 4096  # labels and directories, where damage does most

# rasterio logs GDAL's message of a damaged label from C, where text that is no UTF-8 cannot be raised.
pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def _damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Up to eight bytes replaced, most of them in the head; one in ten is cut short."""
    damaged = bytearray(content)
    reach = min(len(content), HEAD_BYTES) if rng.random() < 0.8 else len(content)
    for place in rng.integers(reach, size=rng.integers(1, 9)):
        damaged[place] = rng.choice([0, 255, rng.integers(256), rng.integers(ord("0"), ord("9") + 1)])
    return bytes(damaged[: rng.integers(len(damaged))] if rng.random() < 0.1 else damaged)


def _outcome(path: Path, body: Body | None) -> Raster | OrreryError:
    try:
        return read(path, body=body)
    except OrreryError as error:
        return error


@pytest.mark.parametrize("kind", FORMATS)
def test_damaged_files_give_a_raster_or_one_line(tmp_path, kind):
    path = write_format(kind, tmp_path, ramp())
    files = sorted(tmp_path.iterdir())
    intact = {file: file.read_bytes() for file in files}
    rng = stream(1, "damage", kind)
    rasters = 0
    for _ in range(MUTANTS):
        file = files[rng.integers(len(files))]
        file.write_bytes(_damaged(intact[file], rng))
        outcome = _outcome(path, body="moon" if rng.random() < 0.7 else None)
        file.write_bytes(intact[file])
        if isinstance(outcome, Raster):
            rasters += 1
            assert outcome.values.shape == outcome.grid.shape
            assert not np.isinf(outcome.values).any()
        else:
            assert str(outcome).startswith(f"{path}: ")
            assert "\n" not in str(outcome)
    assert 0 < rasters < MUTANTS  # the damage is neither harmless nor always deadly
    assert read(path).values[3, 4] == 304
