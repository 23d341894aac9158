from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
import torch

from orrery.errors import OrreryError
from orrery.tracking.registry import load
from orrery.tracking.relocate import relocate, ui_command
from orrery.tracking.root import DATABASE
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, make_params


def locations(root: Path) -> list[str]:
    with sqlite3.connect(root / DATABASE) as connection:
        queries = (
            "SELECT artifact_location FROM experiments",
            "SELECT artifact_uri FROM runs",
            "SELECT artifact_location FROM logged_models",
            "SELECT storage_location FROM model_versions",
            "SELECT source FROM model_versions",
        )
        return [str(row[0]) for query in queries for row in connection.execute(query)]


def test_a_moved_clone_finds_its_artifacts_again(clone: Path) -> None:
    target = clone.parent / "moved to a folder with spaces, 50 % and ümlaut"
    shutil.move(clone, target)
    assert any("clone/mlruns" in place or "template/mlruns" in place for place in locations(target))
    model = load(SYSTEM, "2", root=target)  # repairs by itself
    assert model.network(torch.zeros(1, 4, 64, 64)).shape == (1, 2, 64, 64)
    files = [place for place in locations(target) if place.startswith("file:")]
    assert len(files) == 8  # two experiments, two runs, two models, two versions
    assert all(place.startswith((target / "mlruns/artifacts").as_uri() + "/") for place in files)
    assert "scale: demo" in mlflow.artifacts.load_text(f"runs:/{model.run_id}/params.yaml")
    assert relocate(target) == 0


def test_relocate_counts_what_it_rewrites_and_leaves_object_stores_alone(clone: Path) -> None:
    elsewhere = "s3://bucket/mlruns/artifacts/9"
    with sqlite3.connect(clone / DATABASE) as connection:
        connection.execute(
            "INSERT INTO experiments (name, artifact_location, lifecycle_stage, workspace)"
            " VALUES ('remote', ?, 'active', 'default')",
            (elsewhere,),
        )
    assert relocate(clone) == 8
    assert relocate(clone) == 0
    assert elsewhere in locations(clone)
    assert sum(place.startswith("models:/") for place in locations(clone)) == 2


def test_a_training_in_a_moved_clone_writes_into_it(clone: Path, template: Path) -> None:
    before = sorted(template.rglob("*"))
    with training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        pass
    assert (clone / "mlruns/artifacts" / SYSTEM / tracked.run_id / "artifacts/params.yaml").exists()
    assert sorted(template.rglob("*")) == before


@pytest.mark.faults
def test_a_damaged_database_is_named(clone: Path) -> None:
    (clone / DATABASE).write_bytes(b"no database")
    with pytest.raises(OrreryError, match=r"mlflow\.db: artifact paths cannot be brought up to date"):
        connect(clone)


def test_there_is_nothing_to_relocate_or_show_in_a_fresh_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert relocate(tmp_path) == 0
    assert not (tmp_path / "mlruns").exists()
    with pytest.raises(OrreryError, match=r"mlflow\.db: does not exist yet; run `make repro` first"):
        ui_command(tmp_path)


def test_the_command_of_the_browser(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = ui_command(clone, 5001)
    assert command[1:4] == ["-m", "mlflow", "ui"]
    assert f"sqlite:///{clone}/mlruns/mlflow.db" in command
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--port") + 1] == "5001"
    assert all(str(clone) in place for place in locations(clone) if place.startswith("file:"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.org")
    with pytest.raises(OrreryError, match=r"runs are on https://mlflow\.example\.org; open that address"):
        ui_command(clone)
