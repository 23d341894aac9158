"""Damaged files given to readers, in processes that may crash or hang, and what came of each."""

from __future__ import annotations

import faulthandler
import os
import resource
import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from orrery.errors import OrreryError
from tests.faults.killing import FORK
from tests.faults.mutants import Mutant, mutants

LIMIT_S = 30.0  # of one mutant; the slowest reader needs less than a tenth
MEMORY_BYTES = 3 * 2**30  # more than the process has: a size that a damaged file tells must not be believed
RIGHT = ("refused", "same", "other")


@dataclass(frozen=True)
class Reader:
    """One way in for files.

    Attributes:
        name: of the format.
        make: writes sound files into an empty folder and gives what reads them: it returns plain data, arrays or tensors.
        damaged: names of the files to damage, relative to the folder.
        about: names of files that an error may be about instead, as they belong together.
        cut_is_seen: whether a file that was cut short must be refused, or read as if it was not.
        heavy: whether it takes seconds, too long for `make test`.
        optional: whether something stands in for what cannot be read.
    """

    name: str
    make: Callable[[Path], Callable[[], Any]]
    damaged: Sequence[str]
    about: Sequence[str] = ()
    cut_is_seen: bool = False
    optional: bool = False
    heavy: bool = False


@dataclass
class Tally:
    """Counts by outcome, and the wrong ones in words."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{self.counts[name]} {name}" for name in RIGHT)
        return f"{self.counts.total()} mutants: {told}, {len(self.wrong)} wrong"


def fuzz(reader: Reader, folder: Path, count: int, others: Mapping[str, bytes]) -> Tally:
    """Give a reader `count` drawn mutants of each of its files, and the fixed ones."""
    read = reader.make(folder)
    files, sound, tally = _listing(folder), fingerprint(read()), Tally()
    for name in reader.damaged:
        path = folder / name
        content = path.read_bytes()
        drawn = list(mutants(content, others, f"{reader.name}/{name}", count))
        judged = _judged_in_children(
            drawn, lambda mutant, path=path: _outcome(reader, read, path, mutant, sound)
        )
        _restore(path, content)
        for mutant, (outcome, told) in zip(drawn, judged, strict=True):
            tally.counts[outcome] += 1
            if outcome not in RIGHT:
                tally.wrong.append(f"{reader.name}: {name} {mutant.name}: {outcome}: {told}")
        left = set(_listing(folder)) ^ set(files)
        if left:
            tally.wrong.append(f"{reader.name}: {name}: left or lost {sorted(left)}")
    assert fingerprint(read()) == sound, "the undamaged files no longer read the same"
    return tally


def _outcome(
    reader: Reader, read: Callable[[], Any], path: Path, mutant: Mutant, sound: Any
) -> tuple[str, str]:
    _damage(path, mutant)
    try:
        found = fingerprint(read())
    except OrreryError as error:
        return _judged_refusal(reader, path, str(error))
    except Exception:  # noqa: BLE001  any other error is what is looked for
        return "traceback", traceback.format_exc(limit=-3)
    if found == sound:
        return "same", ""
    if not mutant.content and not reader.optional:
        return "read", "what is not there"
    if reader.cut_is_seen and mutant.name.startswith("truncated"):
        return "partial", "a part was taken for the whole"
    return "other", ""


def _judged_refusal(reader: Reader, path: Path, told: str) -> tuple[str, str]:
    if not any(name in told for name in (path.name, *reader.about)):
        return "unnamed", told
    return ("refused", told) if "\n" not in told else ("lines", told)


def _damage(path: Path, mutant: Mutant) -> None:
    _restore(path, mutant.content or b"")
    if mutant.content is None:
        path.unlink()
        path.mkdir()


def _restore(path: Path, content: bytes) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.write_bytes(content)


def _listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def fingerprint(value: Any) -> Any:
    """Something that is equal for equal values, NaN included."""
    match value:
        case torch.Tensor():
            return fingerprint(value.detach().float().numpy())
        case np.ndarray():
            return value.dtype.str, value.shape, value.tobytes()
        case dict():
            return {str(key): fingerprint(each) for key, each in value.items()}
        case list() | tuple():
            return [fingerprint(each) for each in value]
        case _:
            return repr(value)


def _judged_in_children(
    drawn: Sequence[Mutant], judge: Callable[[Mutant], tuple[str, str]]
) -> list[tuple[str, str]]:
    """One child judges until it dies or takes too long; the next goes on behind the mutant at fault."""
    found: list[tuple[str, str]] = []
    while len(found) < len(drawn):
        receiving, sending = FORK.Pipe(duplex=False)
        child = FORK.Process(target=_judge_all, args=(drawn[len(found) :], judge, sending))
        child.start()
        sending.close()
        fault = None
        while fault is None and len(found) < len(drawn):
            if not receiving.poll(LIMIT_S):
                fault = ("hang", f"more than {LIMIT_S:g} s")
            else:
                try:
                    found.append(receiving.recv())
                except EOFError:
                    child.join()
                    fault = ("crash", f"exit code {child.exitcode}")
        if fault is not None:
            found.append(fault)
        child.kill()
        child.join()
        receiving.close()
    return found


def _judge_all(
    drawn: Sequence[Mutant], judge: Callable[[Mutant], tuple[str, str]], sending: Connection
) -> None:
    faulthandler.disable()
    _silence()
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES, held + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for mutant in drawn:
        sending.send(judge(mutant))
    sending.close()


def _silence() -> None:
    """GDAL and others write of damage to the error stream, from C."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.dup2(nowhere, 1)
