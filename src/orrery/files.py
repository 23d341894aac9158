"""Files that are whole or named: written to a temporary name and renamed, read with one clear error where they are damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from zipfile import BadZipFile

from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.numpy import save

from orrery.errors import OrreryError

T = TypeVar("T")
REMAKE = "restore or remake the file"
ABSENT, MAKE_IT = "does not exist", "run the stage that makes it, or check the path"
# What parsers raise on content that is not what they expect. Mistakes of ours look the same: only parsing is enclosed.
DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,
    BadZipFile,
    SafetensorError,
    struct.error,
    zlib.error,
)


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


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as safetensors, inside a `replacing`.

    The library's own writing maps the file into memory, and on a full disk the process dies of a signal.
    """
    path.write_bytes(save(dict(tensors)))


@contextmanager
def reading(path: Path, what: str, remedy: str = REMAKE) -> Iterator[None]:
    """Name the file in whatever a parser says about it.

    Args:
        path: what is parsed inside, and nothing else is done there.
        what: it should be, with its article, e.g. "a table of pairs".
        remedy: for the user.

    Raises:
        OrreryError: the file is missing, or its content is not that.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise OrreryError(ABSENT, file=path, remedy=MAKE_IT) from error
    except DAMAGE as error:
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise OrreryError(f"is not {what} ({told})", file=path, remedy=remedy) from error


def existing(path: Path) -> Path:
    """A file or folder that an earlier stage makes.

    Raises:
        OrreryError: it is not there.
    """
    if not path.exists():
        raise OrreryError(ABSENT, file=path, remedy=MAKE_IT)
    return path


def read_json(path: Path) -> Any:
    """Read JSON; numbers that JSON does not have (NaN, Infinity) are refused, as `write_json` does.

    Raises:
        OrreryError: the file is missing or is not JSON.
    """
    with reading(path, "readable JSON"):
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def read_as(path: Path, kind: type[T], what: str, remedy: str = REMAKE) -> T:
    """Read JSON that describes a `kind`: a dataclass or a mapping, whose every field is of its type.

    Raises:
        OrreryError: the file is missing, is not JSON, or describes something else.
    """
    content = read_json(path)
    with reading(path, what, remedy):
        return TypeAdapter(kind).validate_python(content)


def read_text_of(path: Path, key: str) -> str:
    """The text that a JSON object holds under a key.

    Raises:
        OrreryError: the file is missing, is not JSON, or holds no such text.
    """
    content = read_json(path)
    with reading(path, f"an object with {key}"):
        if not isinstance(content[key], str):
            raise TypeError(f"{key} is no text")
        return str(content[key])


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
