"""How any system's network is optimised: the order of its batches, and the course of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
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
