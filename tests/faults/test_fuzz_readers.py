"""No damaged file is a crash, a hang, a traceback, or half of what it was: it is refused by name, or read. None is executed."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.faults import readers_made, readers_models, readers_raw
from tests.faults.fuzzing import Reader, Tally, fuzz

READERS = [*readers_raw.READERS, *readers_made.READERS, *readers_models.READERS]
pytestmark = [
    pytest.mark.faults,
    # rasterio logs GDAL's message of a damaged label from C, where text that is no UTF-8 cannot be raised
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FEW = 4  # drawn ones of each file, in `make test`
MANY = 80


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture(scope="module")
def exploded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is there once a bomb was unpickled."""
    return tmp_path_factory.mktemp("bomb") / "exploded"


@pytest.fixture(scope="module")
def others(exploded: Path) -> Mapping[str, bytes]:
    """Files of other kinds: harmless ones, and each kind of file that may hold pickled objects."""
    bomb = Bomb(exploded)
    arrays, checkpoint = io.BytesIO(), io.BytesIO()
    np.savez(
        arrays,
        finished=np.array([bomb], dtype=object),
        sums=np.array([bomb], dtype=object),
        allow_pickle=True,
    )
    torch.save({"global_step": 3, "state_dict": bomb}, checkpoint)
    return {
        "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "JSON": b'{"a": [1, 2, {"b": null}]}\n',
        "a number": b"42\n",
        "an archive": b"PK\x05\x06" + bytes(18),
        "a pickle": pickle.dumps(bomb),
        "arrays with a pickle": arrays.getvalue(),
        "a checkpoint with a pickle": checkpoint.getvalue(),
        "YAML with an object": f"!!python/object/apply:builtins.open ['{exploded}', w]\n".encode(),
    }


def test_the_bombs_explode(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded"))).close()
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize("reader", [each for each in READERS if not each.heavy], ids=lambda each: each.name)
def test_some_mutants(reader: Reader, tmp_path: Path, others: Mapping[str, bytes], exploded: Path) -> None:
    assert fuzz(reader, tmp_path, FEW, others).wrong == []
    assert not exploded.exists()


@pytest.mark.fuzz
def test_thousands_of_mutants(
    tmp_path: Path, others: Mapping[str, bytes], exploded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = Tally()
    for number, reader in enumerate(READERS):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = fuzz(reader, folder, MANY, others)
        whole.counts += found.counts
        whole.wrong += found.wrong
        assert not exploded.exists(), reader.name
        with capsys.disabled():
            print(f"\n{reader.name}: {found}", end="")
    with capsys.disabled():
        print(f"\nall {len(READERS)} formats: {whole}")
    assert whole.wrong == []
    assert whole.counts.total() >= 5000


def _plain(read):
    def make(folder: Path):
        (folder / "a.txt").write_text("sound\n" * 40)
        return lambda: read(folder / "a.txt")

    return make


def _careless(path: Path) -> dict[str, str]:
    return {"sound": path.read_text().splitlines()[39]}


def _dying(path: Path) -> str:
    if not path.is_file() or path.read_bytes() != b"sound\n" * 40:
        os.abort()
    return "sound"


def _hanging(path: Path) -> str:
    while not path.is_file() or path.read_bytes() != b"sound\n" * 40:
        pass
    return "sound"


def _littering(path: Path) -> str:
    path.with_name("left").touch()
    return path.name


@pytest.mark.parametrize(
    ("read", "told"),
    [
        (_careless, "traceback"),
        (_dying, "crash: exit code -6"),
        (_hanging, "hang"),
        (_littering, "left or lost"),
        (lambda path: path.exists() and path.is_file() and len(path.read_bytes()), "partial"),
        (lambda path: path.is_file() and len(path.read_bytes()), "what is not there"),
    ],
)
def test_what_goes_wrong_is_seen(read, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.fuzzing.LIMIT_S", 0.2)
    found = fuzz(Reader("a text", _plain(read), ["a.txt"], cut_is_seen=True), tmp_path, 12, {})
    assert any(told in each for each in found.wrong)
