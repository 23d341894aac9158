"""One training in several processes that ends as it would in one: a batch is shared out, its loss is taken of the whole.

Losses are means over valid pixels, so the mean of the processes' losses is not the loss of the batch. Each process
therefore gathers what all networks gave (`whole`) and takes the one loss of the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_map
from torch.utils.data import Sampler

T = TypeVar("T")
Tree = TypeVar("Tree")


def rank() -> int:
    """This process's number among those of the training, 0 for the first; known before they have met."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def processes() -> int:
    """How many share a batch: those of the training while gradients are taken; a validation each does for itself."""
    return distributed.get_world_size() if distributed.is_initialized() and torch.is_grad_enabled() else 1


def whole(tree: Tree) -> Tree:
    """Tensors of this process's rows as those of the whole batch, (N, ...) -> (N * processes, ...), in the batch's order.

    Gradients flow into the own rows alone, times the number of processes: their mean over the processes, which DDP
    takes, is then the gradient of the whole batch's loss.

    Args:
        tree: a tensor, or tuples, lists and mappings of tensors.
    """
    return tree if processes() == 1 else tree_map(_whole, tree)


def own(rows: Tensor) -> Tensor:
    """This process's share of what was drawn for a whole batch, (N * processes, ...) -> (N, ...)."""
    return rows if processes() == 1 else rows.chunk(processes())[rank()]


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process of a training goes through the block alone, then the others."""
    together = distributed.is_initialized()
    if together and rank() > 0:
        distributed.barrier()
    yield
    if together and rank() == 0:
        distributed.barrier()


def _whole(rows: Tensor) -> Tensor:
    sent = rows.detach().contiguous()
    sent = sent.to(torch.uint8) if sent.dtype == torch.bool else sent
    parts = [torch.empty_like(sent) for _ in range(processes())]
    distributed.all_gather(parts, sent)
    if rows.requires_grad:
        scaled = rows.view_as(rows)
        scaled.register_hook(lambda gradient: gradient * len(parts))  # type: ignore[no-untyped-call]
        parts[rank()] = scaled
    return torch.cat(parts).to(rows.dtype)


class BatchNormTogether(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, on any device; torch's `SyncBatchNorm` refuses processors.

    Parameters and state are those of the layer that it stands for.

    Args:
        layer: that one.
    """

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        super().__init__(
            layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats
        )
        self._parameters, self._buffers = layer._parameters, layer._buffers
        self.train(layer.training)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if processes() == 1 or not self.training:
            return super().forward(x)
        mean = _mean_over_processes(x.float().mean((0, 2, 3)))
        centred = x.float() - mean[:, None, None]
        variance = _mean_over_processes(centred.square().mean((0, 2, 3)))
        self._follow(mean, variance, processes() * x.numel() // x.shape[1])
        y = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        return (y * self.weight[:, None, None] + self.bias[:, None, None] if self.affine else y).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Running statistics as torch keeps them: the variance is the unbiased one."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance * count / (count - 1), share)


def normalise_together(module: nn.Module) -> bool:
    """Let plain batch normalisations see the whole batch; whether there is none of another kind in training mode."""
    known = True
    for name, part in module.named_children():
        if type(part) is nn.BatchNorm2d:
            setattr(module, name, BatchNormTogether(part))
        elif isinstance(part, _BatchNorm) and part.training:
            known = False
        known &= normalise_together(part)
    return known


def _mean_over_processes(own: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(own)
    return total / processes()


class _Sum(torch.autograd.Function):
    """Sum over the processes; each one's gradient is the sum of what all make of it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        distributed.all_reduce(total)
        return total


class Share(Sampler[list[T]]):
    """This process's part of each batch: the first gets the first rows, and so on.

    Args:
        batches: of the whole training, the same in every process; their size is a multiple of the processes.
    """

    def __init__(self, batches: Sampler[list[T]]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[list[T]]:
        share = distributed.get_world_size() if distributed.is_initialized() else 1
        for batch in self.batches:
            size = len(batch) // share
            yield batch[rank() * size : (rank() + 1) * size] if share > 1 else batch
