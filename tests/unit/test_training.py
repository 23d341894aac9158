"""What a checkpoint may promise: everything up to its step is in the run already."""

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

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
