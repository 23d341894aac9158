"""The folder of a prediction under way, and the last step that makes it a product; a kill at any moment does no harm."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orrery.errors import OrreryError
from orrery.files import remove

WORK, DROPPED = ".work", ".dropped"


def workspace(out: Path, identity: object) -> Path:
    """The folder of what is under way for exactly these inputs; what other inputs left is dropped."""
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    with writing(out):
        work = out / WORK / key
        (work / "product").mkdir(parents=True, exist_ok=True)
        remove(out / DROPPED)
        for other in sorted((out / WORK).iterdir()):
            if other != work:
                _drop(other, out)
    return work


def _drop(folder: Path, out: Path) -> None:
    """Remove a folder so that a kill cannot leave a part of it where it would be taken for the whole."""
    os.replace(folder, out / DROPPED)
    remove(out / DROPPED)


def publish(made: Path, out: Path, names: Sequence[str], unused: Sequence[str] = ()) -> None:
    """Move finished files to their place; the item goes first and comes last, so that it never describes a mixture.

    Args:
        made: folder of the finished files.
        out: their place.
        names: of the files, the item last.
        unused: files that another run may have left and this product does not have.
    """
    remove(out / names[-1])
    for name in unused:
        remove(out / name)
    for name in names:
        os.replace(made / name, out / name)
    _drop(out / WORK, out)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into one clear error."""
    try:
        yield
    except OSError as error:
        raise OrreryError(
            f"cannot be written ({error.strerror or error})",
            file=out,
            remedy="free space or choose a writable folder",
        ) from error
