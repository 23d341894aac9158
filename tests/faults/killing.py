"""Runs that are killed at a chosen step, and folders compared byte by byte."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path

from orrery.files import sha256
from orrery.raster.rows import RowStore

FORK = multiprocessing.get_context("fork")  # a child that shares the imports starts in no time


def killed(step: str, number: int, run: Callable[[], object]) -> bool:
    """Run in a child that is killed at the given step; False when it ended before that."""
    child = FORK.Process(target=_doomed, args=(step, number, run))
    child.start()
    child.join(120)
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def calm(run: Callable[[], object]) -> None:
    """Run in a child to its end: GDAL's threads, which a later fork would leave behind and wait for, stay out of this process."""
    child = FORK.Process(target=run)
    child.start()
    child.join(120)
    assert child.exitcode == 0


def _doomed(step: str, number: int, run: Callable[[], object]) -> None:
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
    run()


def digests(out: Path) -> dict[str, str]:
    """Every file, hidden ones included; links are relative to the folder, so two folders side by side agree."""
    found = {path.relative_to(out).as_posix(): path for path in out.rglob("*") if path.is_file()}
    item = json.loads(found.pop("item.json").read_text())
    item.pop("id")
    return {**{name: sha256(path) for name, path in found.items()}, "item": json.dumps(item, sort_keys=True)}


def product(out: Path) -> dict[str, str]:
    """The rasters and the pictures."""
    return {path.name: sha256(path) for path in sorted(out.glob("*.*")) if path.suffix in (".tif", ".png")}
