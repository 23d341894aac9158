from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.tracking.provenance import (
    UNKNOWN,
    content_md5,
    flatten,
    git_commit,
    git_dirty,
    remembered_md5,
    run_tags,
    tracked_md5,
    versions,
)
from tests.tracking_helpers import git


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "src").mkdir()
    for name in ("src/code.py", "dvc.lock", "params.yaml"):
        (tmp_path / name).write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "start")
    return tmp_path


def test_a_clean_checkout(repository: Path) -> None:
    head = subprocess.run(
        ["git", "-C", repository, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    )
    assert git_commit(repository) == head.stdout.strip()
    assert git_dirty(repository) == "false"
    assert git_dirty(repository / "src") == "false"


@pytest.mark.parametrize(
    ("name", "dirty"),
    [("params.yaml", "true"), ("src/new.py", "true"), ("dvc.lock", "false"), ("notes.txt", "false")],
)
def test_what_makes_a_checkout_dirty(repository: Path, name: str, dirty: str) -> None:
    """Changed or new code does; what the pipeline itself writes, and files beside the code, do not."""
    (repository / name).write_text("2\n")
    assert git_dirty(repository) == dirty
    assert git_dirty(repository / "src") == dirty


def test_an_image_without_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_COMMIT", raising=False)
    assert (git_commit(tmp_path), git_dirty(tmp_path)) == (UNKNOWN, UNKNOWN)
    monkeypatch.setenv("GIT_COMMIT", "a" * 40)
    assert (git_commit(tmp_path), git_dirty(tmp_path)) == ("a" * 40, UNKNOWN)
    monkeypatch.setenv("PATH", "")
    assert git_commit(tmp_path) == "a" * 40


def test_the_digest_of_data_is_the_one_that_dvc_records(tmp_path: Path) -> None:
    folder = tmp_path / "patches"
    (folder / "b").mkdir(parents=True)
    (folder / "b/two.npz").write_bytes(b"two")
    (folder / "b.json").write_text("{}")
    (folder / "a file").write_bytes(b"")
    dvc = [sys.executable, "-m", "dvc"]
    for command in (["init", "--no-scm", "-q"], ["add", "-q", "patches", "--no-commit"]):
        subprocess.run([*dvc, *command], cwd=tmp_path, check=True, capture_output=True)
    assert content_md5(folder) == tracked_md5(tmp_path / "patches.dvc")
    assert len(content_md5(folder)) == 36  # all that MLflow takes
    assert content_md5(folder / "b/two.npz") == "b8a9f715dbb64fd5c56e7783c6820a61"  # md5sum


def test_pointers_that_are_absent_or_damaged(tmp_path: Path) -> None:
    assert tracked_md5(tmp_path / "data.dvc") == UNKNOWN
    (tmp_path / "data.dvc").write_text("outs: []\n")
    with pytest.raises(OrreryError, match=r"data\.dvc: is not a \.dvc file .*; restore it from git"):
        tracked_md5(tmp_path / "data.dvc")


def test_tags_of_a_run(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_STAGE", "train@lunar-dtm-ours")
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    (repository / "requirements.lock").write_text("torch==2\n")
    tags = run_tags("lunar-dtm", "ours", "digest", repository)
    assert tags["dvc.stage"] == "train@lunar-dtm-ours"
    assert "dvc.experiment" not in tags
    assert (
        tags["lock.sha256"] == "c49345c98c684410a2c0b2cb96c5408c3593ef84b18d67055b373ea4a37d557d"
    )  # sha256sum
    assert tags["git.dirty"] == "false"
    assert tags["params.sha256"] == "digest"


def test_versions_name_what_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orrery.tracking.provenance.PACKAGES", ("numpy", "no-such-package"))
    found = versions()
    assert found["no-such-package"] == "absent"
    assert found["numpy"].startswith("2.")


def test_flatten() -> None:
    tree = {"a": {"b": 1e-3, "c": [1, 2]}, "d": "text", "e": None, "f": {}, "g": True}
    assert flatten(tree) == {"a.b": "0.001", "a.c": "[1, 2]", "d": "text", "e": "null", "g": "true"}


def test_a_digest_is_remembered_until_a_file_changes(tmp_path, monkeypatch):
    folder, table = tmp_path / "patches", tmp_path / "mlruns" / "digests.json"
    (folder / "b").mkdir(parents=True)
    (folder / "b" / "one").write_text("one")
    first = remembered_md5(folder, table)
    assert first == content_md5(folder)
    with monkeypatch.context() as patched:
        patched.setattr("orrery.tracking.provenance.content_md5", None)  # is not asked again
        assert remembered_md5(folder, table) == first
    (folder / "b" / "one").write_text("two")
    assert remembered_md5(folder, table) == content_md5(folder) != first
    (folder / "b" / "two").write_text("")
    assert remembered_md5(folder, table) == content_md5(folder)
    for damaged in ("{", "[]", json.dumps({str(folder): []})):
        table.write_text(damaged)
        assert remembered_md5(folder, table) == content_md5(folder)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr("orrery.tracking.provenance.content_md5", None)
        assert remembered_md5(Path("patches"), table)  # by whatever name
    assert remembered_md5(folder, table) == content_md5(folder)
