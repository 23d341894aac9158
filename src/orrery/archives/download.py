"""Files of products onto the disk: resumed by range, checked, and renamed only when they are whole."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from tqdm import tqdm

from orrery.archives.http import Http
from orrery.errors import OrreryError
from orrery.files import read_as, write_json

CHUNK_BYTES = 2**20
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,199}")
CHECKSUM = re.compile(r"md5:[0-9a-fA-F]{32}|sha256:[0-9a-fA-F]{64}")
HTML_START = re.compile(rb"\s*(<!doctype html|<html|<head)", re.IGNORECASE)
CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
# ODE tells sizes in whole KB without saying of 1000 or 1024 bytes, nor how it rounds.
KB_BYTES = (1000, 1024)


@dataclass(frozen=True)
class RemoteFile:
    """One file of a product.

    Attributes:
        url: where it is.
        name: what to call it here.
        size_kb: as the archive tells it, rounded; None where it does not.
        checksum: "md5:…" or "sha256:…", hexadecimal; None where the archive gives none.

    Raises:
        OrreryError: the check sum is of another kind.
    """

    url: str
    name: str
    size_kb: float | None = None
    checksum: str | None = None

    def __post_init__(self) -> None:
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            problem = f"comes with {self.checksum[:80]!r}, which is no check sum"
            raise OrreryError(problem, file=self.url, remedy="fetch it by hand, and tell the archive")


def fetch(file: RemoteFile, folder: Path, http: Http, *, quiet: bool = False) -> Path:
    """Bring a file into a folder; nothing is fetched when it is there already and right.

    What arrived before a failure or a kill is kept as `.NAME.part` and continued by range at the next call, if the
    archive still has the same file. A server that ignores ranges is taken from the start.

    Args:
        file: what to fetch.
        folder: where to.
        http: the session.
        quiet: no progress bar.

    Returns:
        Path of the whole file.

    Raises:
        OrreryError: as `Http.get`; or an unsafe name, a web page instead of data, a wrong size or checksum, an
            archive that breaks off again and again, a disk that is full.
    """
    target = folder / safe_name(file.name)
    if target.is_file() and _wrong(file, target, None) is None:
        return target
    part = Part(folder / f".{target.name}.part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _receive_all(file, part, http, quiet)
        _check(file, part)
        os.replace(part.path, target)
    except OSError as error:
        problem = f"cannot be written ({error.strerror or error})"
        raise OrreryError(problem, file=target, remedy="free space or choose a writable place") from error
    part.forget()
    return target


def safe_name(name: str) -> str:
    """The name, if it is one of a file and nothing else.

    Raises:
        OrreryError: it leads out of the folder, hides, or holds characters that no product has.
    """
    if not SAFE_NAME.fullmatch(name):
        problem = f"an archive calls a file {name[:80]!r}, which is no safe name"
        raise OrreryError(problem, remedy="fetch this product by hand, and tell the archive")
    return name


@dataclass(frozen=True)
class Part:
    """A file on its way, and beside it what it is a part of."""

    path: Path

    @property
    def _note(self) -> Path:
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def size(self) -> int:
        """Bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def validator(self, url: str) -> str | None:
        """ETag or date of what the bytes belong to; None when they cannot be continued."""
        if not self.size or not self._note.is_file():
            return None
        note = self._noted()
        return note["validator"] if note.get("url") == url and note.get("validator") else None

    def _noted(self) -> dict[str, str]:
        """What was noted of the file; nothing where the note is damaged: then it is fetched from its start."""
        try:
            return read_as(self._note, dict[str, str], "a note of a download")
        except OrreryError:
            return {}

    def begin(self, url: str, response: requests.Response) -> None:
        """Start from nothing, with what this answer says of the file."""
        self.path.write_bytes(b"")
        validator = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        weak = validator.startswith("W/")  # holds for equal meaning, not for equal bytes
        write_json(self._note, {"url": url, "validator": "" if weak else validator,
                                "md5": response.headers.get("Content-MD5", "")})  # fmt: skip

    def md5(self) -> str | None:
        """What the server says of the whole file (Content-MD5), hexadecimal."""
        told = self._noted().get("md5")
        try:
            return base64.b64decode(told, validate=True).hex() if told else None
        except ValueError:  # a server that does not keep to the standard, or a damaged note
            return None

    def forget(self) -> None:
        """Remove both."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)


def _receive_all(file: RemoteFile, part: Part, http: Http, quiet: bool) -> None:
    """Ask again until all is there; an archive that breaks off without getting on is given up."""
    failures, before = 0, part.size
    while not _receive(file, part, http, quiet):
        failures = 0 if part.size >= before + CHUNK_BYTES else failures + 1
        before = part.size
        if failures > http.retries:
            remedy = "try again later; what was fetched is kept and continued"
            raise OrreryError(f"broke off {failures} times", file=file.url, remedy=remedy)
        time.sleep(http.backoff_s * 2 ** max(failures - 1, 0))


def _receive(file: RemoteFile, part: Part, http: Http, quiet: bool) -> bool:
    """Ask for what is missing and append it; whether the body came to its end."""
    validator = part.validator(file.url)
    headers = {"Range": f"bytes={part.size}-", "If-Range": validator} if validator else {}
    with http.get(file.url, headers=headers) as response:
        partial = response.status_code == requests.codes.partial
        if response.status_code == requests.codes.range_not_satisfiable or (
            partial and not _continues(response, part.size)
        ):
            part.forget()  # another file now, or one that was whole already, or not the range that was asked for
            return False
        if not partial:
            part.begin(file.url, response)
        total = part.size + int(response.headers.get("Content-Length") or 0)
        bar = tqdm(total=total or None, initial=part.size, unit="B", unit_scale=True, desc=file.name,
                   disable=True if quiet else None, leave=False)  # fmt: skip
        return _append(response, part, file, bar)


def _continues(response: requests.Response, have: int) -> bool:
    """Whether a partial answer starts where the part ends."""
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == have


def _append(response: requests.Response, part: Part, file: RemoteFile, bar: tqdm[Any]) -> bool:
    """Write the body; false when it broke off before the length that was promised."""
    with bar, part.path.open("ab") as stream:
        try:
            for chunk in response.iter_content(CHUNK_BYTES):
                if stream.tell() == 0:
                    _refuse_web_page(chunk, response, file)
                stream.write(chunk)
                bar.update(len(chunk))
                if file.size_kb is not None and stream.tell() > _most_bytes(file.size_kb):
                    return True  # more than is listed, perhaps without end; the check says so
        except requests.RequestException:
            return False  # the caller tries again, and says so in the end
    return True


def _refuse_web_page(first: bytes, response: requests.Response, file: RemoteFile) -> None:
    """Archives answer some mistakes with status 200 and a page about it."""
    page = "html" in response.headers.get("Content-Type", "") or HTML_START.match(first)
    if page and not file.name.lower().endswith((".html", ".htm")):
        remedy = "open the address in a browser: it may be down, moved, or ask for a login"
        raise OrreryError("is answered by a web page, not by data", file=file.url, remedy=remedy)


def _check(file: RemoteFile, part: Part) -> None:
    """Refuse what is not the file that the archive lists; it is removed, since continuing would not mend it."""
    wrong = _wrong(file, part.path, part.md5())
    if wrong:
        part.forget()
        raise OrreryError(
            f"came {wrong}", file=file.url, remedy="fetch it again; if it stays, tell the archive"
        )


def _wrong(file: RemoteFile, path: Path, md5: str | None) -> str | None:
    """How a file differs from what the archive lists; None when it does not."""
    size = path.stat().st_size
    if size == 0:
        return "empty"
    if file.size_kb is not None and size > _most_bytes(file.size_kb):
        return f"with {size} bytes or more where the archive lists {file.size_kb:g} KB"
    if file.size_kb is not None and size < (file.size_kb - 1) * KB_BYTES[0]:
        return f"with {size} bytes where the archive lists {file.size_kb:g} KB"
    for told in filter(None, (file.checksum, f"md5:{md5}" if md5 else None)):
        method, _, expected = told.partition(":")
        with path.open("rb") as stream:
            found = hashlib.file_digest(stream, method).hexdigest()
        if found != expected.lower():
            return f"with {method} {found} where the archive lists {expected}"
    return None


def _most_bytes(size_kb: float) -> float:
    """The largest file that a listed size may mean."""
    return (size_kb + 1) * KB_BYTES[1]
