"""Runs listed, found, told and compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from orrery.cli import cli
from orrery.errors import OrreryError
from orrery.files import write_json
from orrery.tracking.browse import compare, find_run, list_runs, pictures_beside, weights_of
from orrery.tracking.evaluation import log_evaluation
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, make_params


@pytest.fixture
def both(clone: Path) -> list[str]:
    """The ids of the clone's two runs, the newer one first."""
    return [row.run_id for row in list_runs(clone)]


def test_runs_are_listed_with_what_they_are(clone: Path, both: list[str]) -> None:
    scenes = {"a": {"set": "test", "rmse_m": 1.0}, "b": {"set": "test", "rmse_m": 3.0}}
    log_evaluation(both[0], {"scenes": scenes}, None, root=clone)
    newest, older = list_runs(clone, SYSTEM, {SYSTEM: "rmse_m"})
    assert (newest.system, newest.variant, newest.seed, newest.status) == (SYSTEM, "ours", "0", "FINISHED")
    assert newest.metric == 2.0
    assert older.metric is None
    assert len(newest.commit.rstrip("+")) == 8
    with pytest.raises(OrreryError, match="no runs of 'mars'; choose one of lunar-dtm"):
        list_runs(clone, "mars")


def test_a_run_is_found_by_its_id_its_beginning_and_its_weights(clone: Path, both: list[str]) -> None:
    folder = clone / "models/lunar-dtm/ours"
    folder.mkdir(parents=True)
    write_json(folder / "run.json", {"run_id": both[0]})
    (folder / "weights.safetensors").write_bytes(b"")
    for named in (both[0], both[0][:10], str(folder), str(folder / "weights.safetensors")):
        assert find_run(clone, named).info.run_id == both[0]
    assert weights_of(clone, find_run(clone, both[0])) == ["models/lunar-dtm/ours", "lunar-dtm version 2"]
    assert weights_of(clone, find_run(clone, both[1])) == ["lunar-dtm version 1"]


def test_a_training_under_way_leads_to_its_run(clone: Path, both: list[str]) -> None:
    scratch = clone / "build/lunar-dtm/training/ours/seed-0"
    scratch.mkdir(parents=True)
    write_json(scratch / "training.json", {"attempt": "a" * 32, "key": "k"})
    connect(clone).set_tag(both[1], "attempt", "a" * 32)
    assert find_run(clone, str(scratch)).info.run_id == both[1]


def test_what_leads_to_no_run_or_to_several_is_told(clone: Path, both: list[str]) -> None:
    with pytest.raises(OrreryError, match="no run 'xyz'; see `orrery runs`"):
        find_run(clone, "xyz")
    with pytest.raises(OrreryError, match="is the beginning of 2 runs"):
        find_run(clone, "")
    with pytest.raises(OrreryError, match=r"data\.dvc: was written by no training"):
        find_run(clone, "data.dvc")


def test_runs_beside_each_other(clone: Path) -> None:
    for rate, loss in ((1e-3, 1.0), (2e-3, 0.5)):
        with training_run(SYSTEM, "ours", make_params(learning_rate=rate), root=clone) as run:
            run.logger.log_metrics({"loss": loss}, step=1)
    newer, older = (find_run(clone, row.run_id) for row in list_runs(clone)[:2])
    beside = compare(older, newer)
    assert beside.params == {"variant.lr": ("0.001", "0.002")}
    assert beside.metrics == {"loss": (1.0, 0.5)}


def test_pictures_of_both_in_one_file(clone: Path, both: list[str], tmp_path: Path) -> None:
    for number, run_id in enumerate(both):
        folder = tmp_path / f"report-{number}"
        folder.mkdir()
        Image.new("RGB", (60, 40), (255 * number, 0, 0)).save(folder / "flat.png")
        Image.new("RGB", (60, 40)).save(folder / f"only-{number}.png")
        log_evaluation(run_id, {"scenes": {}}, folder, root=clone)
    assert (
        pictures_beside(clone, find_run(clone, both[0]), find_run(clone, both[1]), tmp_path / "beside") == 1
    )
    with Image.open(tmp_path / "beside/flat.png") as picture:
        colours = {colour for _, colour in picture.convert("RGB").getcolors(2**20)}
    assert {(255, 0, 0), (0, 0, 0)} <= colours


def test_the_commands(clone: Path, both: list[str], repository: Path) -> None:
    for name in ("params.yaml", "params.full.yaml"):
        (clone / name).write_text((repository / name).read_text())
    run = CliRunner().invoke
    table = run(cli, ["runs"]).output
    assert table.splitlines()[0].split() == [
        "run",
        "system",
        "variant",
        "seed",
        "started,",
        "UTC",
        "commit",
        "state",
    ]
    assert both[0][:8] in table
    lines = [json.loads(line) for line in run(cli, ["runs", SYSTEM, "--json"]).output.splitlines()]
    assert [line["run_id"] for line in lines] == both
    assert "weights  lunar-dtm version 2" in run(cli, ["runs", "--of", both[0][:12]]).output
    told = run(cli, ["compare", both[1], both[0]]).output
    assert "loss" in told
    assert "-50.0%" in told
    assert connect(clone).get_run(both[0]).info.status == "FINISHED"
