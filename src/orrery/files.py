"""Writing without ever leaving half a file: to a temporary name beside the target, then rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orrery.errors import OrreryError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` (same suffix, file or directory); rename it to `path` on success.

    On any exception, an interrupt included, the temporary is removed and `path` keeps its old content.
    A temporary that a killed process left behind is overwritten by the next call.

    Raises:
        OrreryError: the directory cannot be created or written, or the disk is full.
    """
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(temporary)
        yield temporary
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except OSError as error:
        _discard(temporary)
        if isinstance(error, FileNotFoundError) and error.filename not in (str(temporary), None):
            raise
        raise OrreryError(
            f"cannot be written ({error.strerror or error})",
            file=path,
            remedy="free space or choose a writable place",
        ) from error
    except BaseException:
        _discard(temporary)
        raise


def remove(path: Path) -> None:
    """Delete a file or a directory tree; nothing happens where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _discard(path: Path) -> None:
    """Remove a temporary while another error is on its way, without hiding that error."""
    try:
        remove(path)
    except OSError:
        return  # the first error says more


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write sorted, indented JSON atomically: equal content is equal bytes. NaN is refused."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        OrreryError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OrreryError(
            "does not exist", file=path, remedy="run the stage that makes it, or check the path"
        ) from error
    except (ValueError, OSError) as error:
        raise OrreryError(
            f"is not readable JSON ({error})", file=path, remedy="restore or remake the file"
        ) from error


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
