from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.tracking.root import (
    DATABASE,
    checkout_root,
    is_local,
    is_locked,
    locked,
    project_root,
    tracking_uri,
)
from orrery.tracking.store import bootstrap, connect
from tests.tracking_helpers import SYSTEM, bootstrap_here, hold_lock_and_die, in_processes


def test_dvc_root_names_the_clone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = project / ".dvc/tmp/exps/one"
    (copy / ".git").mkdir(parents=True)
    monkeypatch.chdir(copy)
    assert project_root() == project.resolve()
    assert checkout_root() == copy.resolve()
    monkeypatch.delenv("DVC_ROOT")
    assert project_root() == copy.resolve()


def test_a_folder_inside_a_clone_and_one_outside(project: Path) -> None:
    (project / ".git").touch()  # a file in a worktree
    (project / "deep/er").mkdir(parents=True)
    assert checkout_root(project / "deep/er") == project.resolve()
    with pytest.raises(OrreryError, match=r"not inside a clone.*DVC_ROOT"):
        checkout_root(Path("/"))


def test_only_a_server_takes_the_place_of_the_database(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/mlflow.db")
    assert tracking_uri(project) == f"sqlite:///{project}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    assert tracking_uri(project) == "https://mlflow.example.org"
    assert not is_local(project)


def test_a_lock_dies_with_its_process(project: Path) -> None:
    assert not is_locked(project, "test")
    with locked(project, "test"):
        assert is_locked(project, "test")
        assert not is_locked(project, "another")
    assert not is_locked(project, "test")
    assert in_processes(hold_lock_and_die, [(project,)]) == [-9]
    assert not is_locked(project, "test")


def test_four_processes_start_at_once(project: Path) -> None:
    (project / DATABASE).parent.mkdir()
    (project / "mlruns/.mlflow.partial.db").write_bytes(b"left by a process killed while it made the tables")
    assert in_processes(bootstrap_here, [(project,)] * 4) == [0] * 4
    with sqlite3.connect(project / DATABASE) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM experiments ORDER BY experiment_id")]
    assert names == ["Default", SYSTEM]
    assert sorted(path.name for path in (project / "mlruns").iterdir()) == ["locks", "mlflow.db"]


def test_a_deleted_experiment_is_restored(clone: Path) -> None:
    client = connect(clone)
    before = bootstrap(clone, SYSTEM)
    client.delete_experiment(before)
    assert bootstrap(clone, SYSTEM) == before
    assert client.get_experiment(before).lifecycle_stage == "active"


def test_without_a_database_nothing_is_made_up(project: Path) -> None:
    with pytest.raises(OrreryError, match=r"mlflow\.db: does not exist.*make repro"):
        connect(project)
    assert not (project / "mlruns").exists()


@pytest.mark.faults
def test_a_folder_that_cannot_be_written_is_named(project: Path) -> None:
    (project / "mlruns").write_text("a file in the way")
    with pytest.raises(
        OrreryError, match=r"bootstrap\.lock: cannot be written .*make the folder mlruns writable"
    ):
        bootstrap(project, SYSTEM)
