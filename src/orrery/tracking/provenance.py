"""What a run was made from: code, data, parameters, versions. Needs neither DVC nor MLflow."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import orrery
from orrery.errors import OrreryError
from orrery.files import read_as, reading, sha256, write_json
from orrery.params import parse_yaml

UNKNOWN = "unknown"
MD5 = re.compile(r"[0-9a-f]{32}(\.dir)?")
PACKAGES = ("torch", "pytorch-lightning", "mlflow", "numpy", "rasterio", "dvc")
DVC_VARIABLES = {"DVC_STAGE": "dvc.stage", "DVC_EXP_NAME": "dvc.experiment"}


def git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command in `folder`, without surrounding space; None where it fails or git is absent."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def git_commit(folder: Path) -> str:
    """The checked-out commit, else the build argument GIT_COMMIT of an image without .git, else "unknown"."""
    return git(folder, "rev-parse", "--verify", "HEAD") or os.environ.get("GIT_COMMIT") or UNKNOWN


def git_dirty(folder: Path) -> str:
    """Whether code differs from the commit: "true", "false", or "unknown" without git.

    dvc.lock does not count, for the pipeline itself rewrites it; nor do new files outside src.
    """
    status = git(folder, "status", "--porcelain", "--", ":/", ":(top,exclude)dvc.lock")
    if status is None or git(folder, "rev-parse", "--verify", "HEAD") is None:
        return UNKNOWN
    changed = [
        line for line in status.splitlines() if not line.startswith("??") or line[3:].startswith("src/")
    ]
    return str(bool(changed)).lower()


def tracked_md5(pointer: Path) -> str:
    """The md5 that a .dvc file records (``<32 hex>.dir`` for a folder); "unknown" where there is no such file.

    Raises:
        OrreryError: the file is not one of DVC's.
    """
    if not pointer.exists():
        return UNKNOWN
    with reading(pointer, "a .dvc file", "restore it from git"):
        text = pointer.read_text(encoding="utf-8")
    return parse_pointer(text, pointer)


def parse_pointer(text: str, file: Path) -> str:
    """The md5 in the text of a .dvc file.

    Raises:
        OrreryError: the text is not that of a .dvc file.
    """
    with reading(file, "a .dvc file", "restore it from git"):
        md5 = str(parse_yaml(text)["outs"][0]["md5"])
        if not MD5.fullmatch(md5):
            raise ValueError(f"{md5[:80]!r} is no md5")
        return md5


def content_md5(path: Path) -> str:
    """The md5 that DVC would give to a file or folder as it is now (``<32 hex>.dir`` for a folder).

    A folder's is that of the JSON list of its files' md5 and relative paths, sorted by path.
    """
    if path.is_file():
        return _md5(path)
    names = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    listing = [{"md5": _md5(path / name), "relpath": name} for name in names]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode()).hexdigest() + ".dir"


def remembered_md5(path: Path, table: Path) -> str:
    """`content_md5`, from a table of what was computed before where no file has changed since, as DVC has it.

    Args:
        path: a file or folder.
        table: a JSON file that is made, and made again where it is damaged.
    """
    known: dict[str, dict[str, str]] = {}
    with suppress(OrreryError):
        known = read_as(table, dict[str, dict[str, str]], "a table of digests")
    name, stamp = str(path.resolve()), _stamp(path.resolve())
    md5 = known.get(name, {}).get(stamp)
    if md5 is None:
        md5 = content_md5(path)
        with suppress(OSError):  # another training may write it just now: it is computed again then
            write_json(table, {**known, name: {stamp: md5}})
    return md5


def _stamp(path: Path) -> str:
    """Changes with any file: names, sizes, times and inodes."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    states = [(file, file.stat()) for file in files]
    told = [[str(file), state.st_size, state.st_mtime_ns, state.st_ino] for file, state in states]
    return hashlib.md5(json.dumps(told).encode()).hexdigest()


def _md5(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def versions() -> dict[str, str]:
    """Installed versions of what decides a result, and of Python."""
    found = {"python": platform.python_version(), "orrery": orrery.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def run_tags(system: str, variant: str, params_digest: str, checkout: Path) -> dict[str, str]:
    """Everything that leads from a run back to what made it, as MLflow tags."""
    lock = checkout / "requirements.lock"
    tags = {
        "system": system,
        "variant": variant,
        "git.commit": git_commit(checkout),
        "git.dirty": git_dirty(checkout),
        "data.md5": tracked_md5(checkout / "data.dvc"),
        "params.sha256": params_digest,
        "lock.sha256": sha256(lock) if lock.exists() else UNKNOWN,
    }
    tags |= {f"version.{name}": number for name, number in versions().items()}
    return tags | {tag: os.environ[name] for name, tag in DVC_VARIABLES.items() if os.environ.get(name)}


def flatten(tree: object, prefix: str = "") -> dict[str, str]:
    """The leaves of nested mappings as dotted keys and text; lists are JSON."""
    if not isinstance(tree, dict):
        return {prefix: tree if isinstance(tree, str) else json.dumps(tree)}
    leaves: dict[str, str] = {}
    for key, value in tree.items():
        leaves |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return leaves
