"""A disk that is full at any moment, and one that may only be read: one line, nothing half written, and later all as undisturbed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.small_clone import COMMANDS, begin, finish, log_of, make_clone, orphans, results, tracked

pytestmark = [pytest.mark.faults, pytest.mark.slow]
SHARES = (0.0, 0.3, 0.8)  # of what a stage writes, that there is room for


def _mount(*options: str) -> bool:
    return subprocess.run(["mount", *options], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    if not _mount("-t", "tmpfs", "-o", "size=256m", "tmpfs", str(folder)):
        pytest.skip("mounting a disk takes root's rights")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def refused(stage: str, root: Path, told: str) -> bool:
    """Run a stage that has no room: it says so in its last line, or had enough; True when it was refused."""
    child, _ = begin(stage, root)
    child.join(300)
    said = log_of(root).read_text()
    assert child.exitcode in (0, 2), (stage, said[-3000:])
    if child.exitcode == 0:
        return False
    last = said.strip().splitlines()[-1]
    assert last.startswith("orrery: "), (stage, said[-3000:])
    assert told in last.lower(), (stage, last)
    return True


@contextmanager
def filled(disk: Path, room_bytes: int) -> Iterator[None]:
    """A file that leaves only so much room."""
    state = os.statvfs(disk)
    ballast = disk / ".ballast"
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(state.f_bavail * state.f_frsize - room_bytes, 1))
    try:
        yield
    finally:
        ballast.unlink()


def used(root: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in root.rglob("*") if path.is_file())


def test_a_full_disk_loses_nothing(tmp_path: Path, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    calm, struck = make_clone(tmp_path / "calm"), make_clone(disk)
    refusals = dict.fromkeys(COMMANDS, 0)
    for stage in COMMANDS:
        before = used(calm)
        finish(stage, calm)
        writes = max(used(calm) - before, 1)
        for share in SHARES:
            with filled(disk, int(share * writes)):
                refusals[stage] += refused(stage, struck, "free space")
        finish(stage, struck)
    with capsys.disabled():
        print(f"\n{sum(refusals.values())} refusals for want of room: {refusals}")
    assert all(refusals.values())
    wanted, found = tracked(calm), tracked(struck)
    assert found == wanted
    assert results(struck) == results(calm)
    assert orphans(struck) == []


def test_a_read_only_tree_is_told(disk: Path) -> None:
    root = make_clone(disk)
    for stage in COMMANDS:
        assert _mount("-o", "remount,ro", str(disk))
        assert refused(stage, root, "read-only")
        assert _mount("-o", "remount,rw", str(disk))
        finish(stage, root)
    assert orphans(root) == []
