"""A run moved to another clone: whole, checked, once; and every way in which a bundle can lie."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.tracking import bundle as module
from orrery.tracking.browse import find_run, list_runs
from orrery.tracking.bundle import export_run, import_run
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, make_params


@pytest.fixture
def exported(clone: Path, tmp_path: Path) -> tuple[str, Path]:
    """The id of a run with two curves and two artifacts, and its bundle."""
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(bytes(range(256)))
    (folder / "deep/recipe.json").write_text("{}")
    with training_run(SYSTEM, "ours", make_params(), root=clone) as run:
        for step in range(5):
            run.logger.log_metrics({"loss": 1.0 / (step + 1), "val/rmse": 2.0}, step=step)
        run.log_artifacts(folder, "model")
    out = tmp_path / "run.zip"
    assert export_run(clone, find_run(clone, run.run_id), out) >= 3
    return run.run_id, out


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another clone, without any runs."""
    root = tmp_path / "elsewhere"
    root.mkdir()
    monkeypatch.chdir(root)
    monkeypatch.setenv("DVC_ROOT", str(root))
    return root


def rewritten(path: Path, change: dict[str, bytes | None] | None = None, **manifest: object) -> Path:
    """The bundle with other entries, or with other values in its manifest."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    told = json.loads(entries["manifest.json"]) | manifest
    entries["manifest.json"] = json.dumps(told).encode()
    entries |= change or {}
    out = path.with_name("rewritten.zip")
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            if content is not None:
                archive.writestr(name, content)
    return out


def test_a_run_arrives_whole(exported: tuple[str, Path], clone: Path, elsewhere: Path) -> None:
    there = find_run(clone, exported[0])
    here = import_run(elsewhere, exported[1])
    found = find_run(elsewhere, exported[0][:10])  # by the id that it had
    assert found.info.run_id == here
    assert found.data.params == there.data.params
    assert found.data.metrics == there.data.metrics
    assert (found.info.status, found.info.start_time) == (there.info.status, there.info.start_time)
    curve = connect(elsewhere).get_metric_history(here, "loss")
    assert [(point.step, point.value) for point in curve] == [(step, 1.0 / (step + 1)) for step in range(5)]
    files = connect(elsewhere).download_artifacts(here, "model")
    assert (Path(files) / "weights.safetensors").read_bytes() == bytes(range(256))
    assert (Path(files) / "deep/recipe.json").read_text() == "{}"
    assert found.data.tags["git.commit"] == there.data.tags["git.commit"]


def test_equal_runs_make_equal_files(exported: tuple[str, Path], clone: Path, tmp_path: Path) -> None:
    export_run(clone, find_run(clone, exported[0]), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == exported[1].read_bytes()


def test_a_second_import_says_so(exported: tuple[str, Path], elsewhere: Path) -> None:
    here = import_run(elsewhere, exported[1])
    with pytest.raises(OrreryError, match=f"is here already, as {here}"):
        import_run(elsewhere, exported[1])
    assert len(list_runs(elsewhere)) == 1


def test_a_run_of_this_clone_is_not_taken_in(exported: tuple[str, Path], clone: Path) -> None:
    with pytest.raises(OrreryError, match="is of this clone"):
        import_run(clone, exported[1])


def test_an_import_that_was_cut_short_is_undone_by_the_next(
    exported: tuple[str, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("mlflow.tracking.MlflowClient.log_artifacts", cut)
        with pytest.raises(KeyboardInterrupt):
            import_run(elsewhere, exported[1])
    import_run(elsewhere, exported[1])
    (row,) = list_runs(elsewhere)
    assert row.status == "FINISHED"


def test_an_open_run_is_not_exported(clone: Path, tmp_path: Path) -> None:
    with (
        training_run(SYSTEM, "ours", make_params(), root=clone) as run,
        pytest.raises(OrreryError, match="still open"),
    ):
        export_run(clone, find_run(clone, run.run_id), tmp_path / "open.zip")
    assert not (tmp_path / "open.zip").exists()


WEIGHTS = "artifacts/model/weights.safetensors"


@pytest.mark.parametrize(
    ("change", "manifest", "said"),
    [
        ({WEIGHTS: b"other"}, {}, "is not what was exported"),
        ({WEIGHTS: None}, {}, "other files than its manifest names"),
        ({"artifacts/more.txt": b"more"}, {}, "other files than its manifest names"),
        ({"artifacts/../../escaped.txt": b"x"}, {}, "which leads out of it"),
        ({"/escaped.txt": b"x"}, {}, "which leads out of it"),
        ({"artifacts\\..\\escaped.txt": b"x"}, {}, "which leads out of it"),
        ({"manifest.json": b"not json"}, {}, "is not an exported run"),
        ({"manifest.json": None}, {}, "is not an exported run"),
        ({}, {"schema": 99}, "is of schema 99"),
        ({}, {"metrics": {"loss": [["one", 2, 3]]}}, "manifest.json: could not convert"),
        ({}, {"params": None}, "manifest.json"),
        ({}, {"status": "RUNNING"}, "make no sense"),
        ({}, {"run_id": "../../x"}, "make no sense"),
    ],
)
def test_a_bundle_that_lies_is_refused_before_anything_is_written(
    change, manifest, said, exported: tuple[str, Path], elsewhere: Path
) -> None:
    bad = rewritten(exported[1], change, **manifest)
    with pytest.raises(OrreryError, match=said.replace("(", r"\(")):
        import_run(elsewhere, bad)
    assert not (elsewhere / "mlruns/mlflow.db").exists()
    assert not list(elsewhere.parent.glob("escaped*"))


def test_truncated_and_foreign_files(exported: tuple[str, Path], elsewhere: Path, tmp_path: Path) -> None:
    content = exported[1].read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        cut = tmp_path / "cut.zip"
        cut.write_bytes(content[:size])
        with pytest.raises(OrreryError, match=r"cut\.zip: is not an exported run"):
            import_run(elsewhere, cut)
    with pytest.raises(OrreryError, match=r"nothing\.zip: does not exist"):
        import_run(elsewhere, tmp_path / "nothing.zip")


def test_a_bomb_is_not_unpacked(
    exported: tuple[str, Path], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 100)
    with pytest.raises(OrreryError, match="would unpack to more than"):
        import_run(elsewhere, exported[1])
