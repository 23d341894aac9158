"""What a checkpoint may promise: everything up to its step is in the run already."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from orrery.checkpoints import BestWeights
from orrery.params import load_params
from orrery.systems.base import Schedule
from orrery.training import make_trainer

STEPS = 12


class Line(pl.LightningModule):
    """A line through noise; notes at each step which checkpoint there is, and how far the log was then."""

    def __init__(self, logged, checkpoint):
        super().__init__()
        self.net, self.logged, self.checkpoint, self.notes = torch.nn.Linear(1, 1), logged, checkpoint, {}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)

    def training_step(self, batch, index):
        self.note()
        loss = (self.net(batch[0]) - batch[0]).square().mean()
        self.log("train/loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("val/loss", (self.net(batch[0]) - batch[0]).square().mean())

    def note(self):
        if self.checkpoint.exists():
            step = torch.load(self.checkpoint, weights_only=True)["global_step"]
            self.notes.setdefault(step, {name: max(steps) for name, steps in self.logged.items()})


class Noting(CSVLogger):
    """Metric -> steps."""

    def __init__(self, folder):
        super().__init__(folder)
        self.steps = {}

    def log_metrics(self, metrics, step=None):
        for name in metrics:
            self.steps.setdefault(name, []).append(step)


@pytest.mark.parametrize("every", [1, 3])
def test_a_checkpoint_comes_after_what_its_steps_logged(tmp_path: Path, every: int):
    train = load_params().train.model_copy(
        update={"accelerator": "cpu", "checkpoint_every_steps": every, "log_every_steps": 1}
    )
    logger = Noting(tmp_path)
    task = Line(logger.steps, tmp_path / "last.ckpt")
    data = DataLoader(TensorDataset(torch.randn(STEPS, 1)), batch_size=1)
    make_trainer(Schedule(STEPS, 0.0, 1.0, 1), train, logger, tmp_path).fit(task, data, data)
    task.note()
    assert list(task.notes) == list(range(every, STEPS + 1, every))
    for step, logged in task.notes.items():
        assert logged["train/loss"] == step - 1
        assert logged.get("val/loss", -1) == step // 3 * 3 - 1  # validated after every third step
    assert not (tmp_path / "pending.ckpt").exists()


class Course(pl.LightningModule):
    """A weight that gains one a step, judged by its distance from a goal."""

    monitor = "val/loss"

    def __init__(self, goal):
        super().__init__()
        self.net, self.goal = torch.nn.Linear(1, 1, bias=False), goal
        torch.nn.init.zeros_(self.net.weight)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 1.0)

    def training_step(self, batch, index):
        return -self.net.weight.sum()

    def validation_step(self, batch, index):
        self.log(self.monitor, (self.net.weight - self.goal).abs().sum())


def train(folder, goal, steps, decay=0.0, every=1):
    """A course's callback of best weights, after so many of twelve steps, from where it was left."""
    options = load_params().train.model_copy(
        update={
            "accelerator": "cpu",
            "checkpoint_every_steps": every,
            "validations": 6,
            "precision": "32-true",
        }
    )
    best, last = BestWeights(folder), folder / "last.ckpt"
    trainer = make_trainer(Schedule(STEPS, decay, 0.0, 1), options, False, folder, [best])
    trainer.fit_loop.epoch_loop.max_steps = steps
    data = DataLoader(TensorDataset(torch.zeros(STEPS, 1)), batch_size=1)
    trainer.fit(Course(goal), data, data, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    return best


def restored(best):
    network = torch.nn.Linear(1, 1, bias=False)
    best.restore(network)
    return float(network.weight)


@pytest.mark.parametrize(("goal", "kept"), [(100, 12), (4, 4), (-5, 2)])
def test_the_weights_of_the_best_validation_are_kept(tmp_path: Path, goal: int, kept: int):
    assert restored(train(tmp_path, goal, STEPS)) == kept  # validated after every second step


def test_they_outlive_a_kill(tmp_path: Path):
    train(tmp_path, 4, 7)
    assert restored(train(tmp_path, 4, STEPS)) == 4


def test_a_checkpoint_of_a_validated_step_does_not_forget_it(tmp_path: Path):
    train(tmp_path, 4.4, 5, every=2)
    assert restored(train(tmp_path, 4.4, STEPS, every=2)) == 4
    assert restored(train(tmp_path, 4.4, STEPS, every=2)) == 4  # all was done, and is asked for again


def test_the_weights_kept_are_the_averaged_ones(tmp_path: Path):
    assert restored(train(tmp_path, 100, STEPS, decay=0.5)) == pytest.approx(11, abs=0.01)
