from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import orrery.tracking.evaluation as module
from orrery.tracking.evaluation import log_evaluation, metrics_by_name
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, make_params

EVALUATION = {
    "scenes": {
        "test-a": {"set": "test", "region": "gale", "rmse": 0.5, "rmse@true": 0.25, "pcc": float("nan")},
        "test-b": {"set": "test", "rmse": 1.5, "pixels": 7},
        "far-c": {"set": "extra", "rmse": 9.0},
    }
}
METRICS = {"test/test-a/rmse": 0.5, "test/test-a/rmse_at_true": 0.25, "test/test-b/rmse": 1.5}


def test_finite_figures_of_test_scenes_have_names_that_mlflow_allows() -> None:
    assert metrics_by_name(EVALUATION) == METRICS
    assert metrics_by_name({"scenes": {"a": {"set": "test", "r2": np.float64(0.5)}}}) == {"test/a/r2": 0.5}
    assert metrics_by_name({"scenes": {}}) == {}


def test_a_finished_run_gets_metrics_and_pictures(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        pass
    folder = clone / "reports"
    (folder / "more").mkdir(parents=True)
    (folder / "metrics.json").write_text("{}")
    (folder / "more" / "test-a.png").write_bytes(b"picture")
    log_evaluation(tracked.run_id, EVALUATION, folder, root=clone)
    client = connect(clone)
    run = client.get_run(tracked.run_id)
    assert {name: value for name, value in run.data.metrics.items() if name.startswith("test/")} == METRICS
    assert run.info.status == "FINISHED"
    files = {item.path for item in client.list_artifacts(tracked.run_id, "evaluation")}
    assert files == {"evaluation/metrics.json", "evaluation/more"}
    local = client.download_artifacts(tracked.run_id, "evaluation/more/test-a.png", str(folder))
    assert Path(local).read_bytes() == b"picture"
    assert "not in this clone" not in capsys.readouterr().out


def test_a_further_seed_gets_metrics_alone(clone: Path) -> None:
    with training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        pass
    log_evaluation(tracked.run_id, EVALUATION, None)  # the current project
    client = connect(clone)
    assert client.get_run(tracked.run_id).data.metrics["test/test-b/rmse"] == 1.5
    assert client.list_artifacts(tracked.run_id, "evaluation") == []


def test_a_run_of_another_clone_is_told_in_one_line(
    clone: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = "0123456789abcdef0123456789abcdef"
    log_evaluation(unknown, EVALUATION, tmp_path, root=clone)
    said = capsys.readouterr().out
    assert said.splitlines() == [
        f"run {unknown} is not in this clone's database: the evaluation stands in reports/ alone"
    ]


def test_a_clone_without_a_database_is_told_in_one_line(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log_evaluation("0123456789abcdef0123456789abcdef", EVALUATION, None, root=project)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_without_mlflow_nothing_happens(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    log_evaluation("0123", EVALUATION, None, root=project)
    assert capsys.readouterr().out == ""
    assert list(project.iterdir()) == []
