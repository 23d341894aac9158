from __future__ import annotations

import csv
from pathlib import Path

import mlflow
import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from mlflow.entities import Run
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor, nn

from orrery.errors import OrreryError
from orrery.tracking.provenance import content_md5
from orrery.tracking.root import locked
from orrery.tracking.runs import training_run
from orrery.tracking.store import connect
from tests.tracking_helpers import SYSTEM, in_processes, make_params, train_and_die


def get_run(root: Path, run_id: str) -> Run:
    return connect(root).get_run(run_id)


def all_runs(root: Path) -> list[Run]:
    client = connect(root)
    experiment = client.get_experiment_by_name(SYSTEM)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def steps(root: Path, run_id: str, name: str) -> list[tuple[int, float]]:
    return [(value.step, value.value) for value in connect(root).get_metric_history(run_id, name)]


def test_a_run_says_what_it_was_made_from(clone: Path) -> None:
    patches = clone / "build/patches"
    patches.mkdir(parents=True)
    (patches / "shard.npz").write_bytes(b"pixels")
    with training_run(SYSTEM, "ours", make_params(), data=patches, root=clone) as tracked:
        assert get_run(clone, tracked.run_id).info.status == "RUNNING"
        tracked.log_artifacts(patches, "model")
    run = get_run(clone, tracked.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "lunar-dtm-ours"
    assert run.data.tags["params.sha256"] == make_params().digest()
    assert run.data.tags["git.dirty"] == "false"
    assert run.data.params["variant.lr"] == "0.001"
    assert run.data.params["variant.losses.l1"] == "1.0"
    assert run.data.params["train.checkpoint_every_steps"] == "5"
    digests = {item.dataset.name: item.dataset.digest for item in run.inputs.dataset_inputs}
    assert digests == {"data": "0123456789abcdef0123456789abcdef.dir", "patches": content_md5(patches)}
    assert mlflow.artifacts.load_text(f"runs:/{tracked.run_id}/model/shard.npz") == "pixels"
    assert "learning" not in mlflow.artifacts.load_text(f"runs:/{tracked.run_id}/params.yaml")


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("broken"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED")],
)
def test_the_end_of_a_run_is_told_as_it_was(clone: Path, error: BaseException, status: str) -> None:
    with pytest.raises(type(error)), training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        raise error
    assert get_run(clone, tracked.run_id).info.status == status
    assert mlflow.active_run() is None


def test_a_resumed_run_is_the_same_and_repeats_nothing(clone: Path) -> None:
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as first:
        for step in (1, 2, 3):
            first.logger.log_metrics({"loss": 1 / step}, step)
    changed = make_params(learning_rate=5e-4)
    with training_run(SYSTEM, "ours", changed, attempt="one", root=clone) as again:
        assert get_run(clone, again.run_id).info.status == "RUNNING"
        for step in (2, 3, 4):  # from the checkpoint of step 1
            again.logger.log_metrics({"loss": 1 / step}, step)
        again.logger.log_metrics({"val_loss": 0.5}, 2)
    assert again.run_id == first.run_id
    assert steps(clone, first.run_id, "loss") == [(1, 1.0), (2, 0.5), (3, 1 / 3), (4, 0.25)]
    assert steps(clone, first.run_id, "val_loss") == [(2, 0.5)]
    assert get_run(clone, first.run_id).info.status == "FINISHED"


def test_a_run_that_is_gone_is_not_resumed(clone: Path) -> None:
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as tracked:
        pass
    connect(clone).delete_run(tracked.run_id)
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as new:
        assert new.run_id != tracked.run_id


@pytest.mark.faults
def test_a_run_killed_outright_is_ended_by_the_next_one_or_continued(clone: Path) -> None:
    before = {run.info.run_id for run in all_runs(clone)}
    assert in_processes(train_and_die, [(clone,)]) == [-9]
    (dead,) = [run for run in all_runs(clone) if run.info.run_id not in before]
    assert dead.info.status == "RUNNING"
    with training_run(SYSTEM, "other", make_params(), root=clone) as living:
        assert get_run(clone, dead.info.run_id).info.status == "KILLED"
        with (
            pytest.raises(Exception, match="already active"),
            training_run(SYSTEM, "ours", make_params(), root=clone),
        ):
            pass
        assert get_run(clone, living.run_id).info.status == "RUNNING"  # it is held, so it was not swept
    with training_run(SYSTEM, "ours", make_params(), attempt="dying", root=clone) as resumed:
        assert resumed.run_id == dead.info.run_id
    assert get_run(clone, dead.info.run_id).info.status == "FINISHED"
    assert steps(clone, dead.info.run_id, "loss") == [(3, 0.5)]


def test_a_run_that_another_process_continues_is_left_to_it(clone: Path) -> None:
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as tracked:
        pass
    with (
        locked(clone, f"run-{tracked.run_id}"),
        pytest.raises(OrreryError, match="training of lunar-dtm-ours is running in another process"),
        training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone),
    ):
        pass


def test_only_the_first_of_several_processes_logs(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(all_runs(clone))
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as tracked:
        tracked.lightning_logger().log_metrics({"loss": 1.0}, 1)
        tracked.log_artifacts(clone, "model")
    assert len(all_runs(clone)) == count


class Line(pl.LightningModule):
    """Fits y = 2 x, logging the Lightning way and MLflow's global way."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters({"ignored": 1})
        self.net = nn.Linear(1, 1)

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        loss = (self.net(batch) - 2 * batch).square().mean()
        self.log("train/loss", loss)
        if self.global_step == 2:
            mlflow.log_metric("from_a_callback", 1.0)
            self.logger.log_image("picture", [np.zeros((8, 8, 3), np.uint8)], 2)  # type: ignore[union-attr]
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(logger: object, task: pl.LightningModule | None = None) -> None:
    data = torch.utils.data.DataLoader(torch.ones(12, 1), batch_size=2)
    trainer = pl.Trainer(
        logger=logger,  # type: ignore[arg-type]
        accelerator="cpu",
        max_epochs=1,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(task or Line(), data)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_everything_that_a_trainer_logs_lands_in_one_run(
    clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    count = len(all_runs(clone))
    with training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        fit(tracked.lightning_logger())
        assert get_run(clone, tracked.run_id).info.status == "RUNNING"  # the trainer does not end it
    assert len(all_runs(clone)) == count + 1
    run = get_run(clone, tracked.run_id)
    assert len(steps(clone, tracked.run_id, "train/loss")) == 6
    assert run.data.metrics["from_a_callback"] == 1.0
    assert "system/cpu_utilization_percentage" in run.data.metrics
    assert "ignored" not in run.data.params
    pictures = [item.path for item in connect(clone).list_artifacts(tracked.run_id, "images")]
    assert any(path.startswith("images/picture") and path.endswith(".png") for path in pictures)


class Interrupted(Line):
    """Somebody presses Ctrl-C at the third step."""

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        if index == 2:
            raise KeyboardInterrupt
        return super().training_step(batch, index)


@pytest.mark.faults
@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_an_interrupt_inside_the_trainer_is_told_as_killed(clone: Path) -> None:
    with pytest.raises(SystemExit), training_run(SYSTEM, "ours", make_params(), root=clone) as tracked:
        fit(tracked.lightning_logger(), Interrupted())
    assert get_run(clone, tracked.run_id).info.status == "KILLED"
    assert len(steps(clone, tracked.run_id, "train/loss")) == 2


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_a_machine_without_mlflow_trains_all_the_same(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("orrery.tracking.runs.find_spec", lambda name: None)
    monkeypatch.setattr(mlflow, "log_metric", lambda *arguments: None)
    count = len(all_runs(clone))
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as tracked:
        fit(tracked.lightning_logger())
        tracked.log_artifacts(clone / "mlruns/evidence-1", "model")
    with training_run(SYSTEM, "ours", make_params(), attempt="one", root=clone) as again:
        fit(again.lightning_logger())
    assert (
        capsys.readouterr()
        .err.splitlines()[0]
        .startswith("MLflow is not installed: this training is logged to ")
    )
    folder = clone / "mlruns/untracked" / tracked.run_id
    assert again.run_id == tracked.run_id
    with (folder / "start-0/metrics.csv").open() as table:
        assert len([row for row in csv.DictReader(table) if row["train/loss"]]) == 6
    assert (folder / "start-1/metrics.csv").exists()
    assert (folder / "start-0/picture-0-step2.png").exists()
    assert '"variant": "ours"' in (folder / "tags.json").read_text()
    assert len(all_runs(clone)) == count
