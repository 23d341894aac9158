"""How any system's network is optimised: the order of its batches, the course of its learning rate, and what that takes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import Sampler

from orrery.params import OptimiserParams
from orrery.seeds import stream

STEP_DECAYS = 4  # Chen et al. 2022 divide their rate by ten every five of twenty epochs


def configured(parameters: Iterable[torch.nn.Parameter], options: OptimiserParams) -> dict[str, Any]:
    """AdamW with warm-up, then cosine to zero, steps or a constant rate; as Lightning's `configure_optimizers` returns it."""
    optimiser = torch.optim.AdamW(parameters, options.learning_rate, weight_decay=options.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_factor(step, options))
    return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def rate_factor(step: int, options: OptimiserParams) -> float:
    """Share of the full learning rate at a step."""
    if step < options.warmup_steps:
        return (step + 1) / options.warmup_steps
    done = min(1.0, (step - options.warmup_steps) / max(1, options.steps - options.warmup_steps))
    if options.schedule == "constant":
        return 1.0
    if options.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return float(0.1 ** math.floor(done * STEP_DECAYS))


class Costs(pl.Callback):
    """What a training takes, for the tables: time of a step, peak memory, loss at the end."""

    def __init__(self) -> None:
        self.steps_s: list[float] = []
        self.losses: list[torch.Tensor] = []
        self.last_s: float | None = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time since the last step, loading included, and the loss."""
        now = time.perf_counter()
        if self.last_s is not None:
            self.steps_s.append(now - self.last_s)
        self.last_s = now
        self.losses.append(outputs["loss"].detach())

    def report(self, network: nn.Module, steps: int, epoch_steps: float) -> dict[str, Any]:
        """Plain data, empty without two steps; times and memory are of this machine, and since it was resumed, if it was.

        Args:
            network: the trained one.
            steps: of the whole training.
            epoch_steps: steps in which as many samples are seen as there are.
        """
        if not self.steps_s:
            return {}
        step_s = float(np.median(self.steps_s))
        last = torch.stack(self.losses[-max(1, round(epoch_steps)) :])
        device, memory_mib = _device()
        return {
            "parameters": sum(part.numel() for part in network.parameters() if part.requires_grad),
            "training_s": step_s * steps,
            "epoch_s": step_s * epoch_steps,
            "train_loss": float(last.mean()),
            "memory_mib": memory_mib,
            "device": device,
        }


def _device() -> tuple[str, float | None]:
    """Its name, and the most memory in use: what tensors took on a GPU, else all of this process."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name(), torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return "CPU", None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return f"CPU, {torch.get_num_threads()} threads", int(line.split()[1]) / 2**10


class SeededBatches(Sampler[list[int]]):
    """`steps` batches in a random order that depends on the seed and the step alone.

    A training resumed at any step sees the very batches that it would have seen undisturbed.
    """

    def __init__(self, size: int, batch_size: int, steps: int, seed: int, first_step: int = 0) -> None:
        self.size, self.batch_size, self.steps, self.seed, self.first_step = (
            size,
            batch_size,
            steps,
            seed,
            first_step,
        )

    def __len__(self) -> int:
        return (
            self.steps
        )  # of the whole training: Lightning counts the batches before `first_step` as fetched

    def __iter__(self) -> Iterator[list[int]]:
        epoch, order = -1, np.empty(0, int)
        for step in range(self.first_step, self.steps):
            picks = []
            for draw in range(step * self.batch_size, (step + 1) * self.batch_size):
                if draw // self.size != epoch:
                    epoch = draw // self.size
                    order = stream(self.seed, "batches", epoch).permutation(self.size)
                picks.append(int(order[draw % self.size]))
            yield picks
