"""Where networks compute: the GPU where there is one, else the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


def best_device(accelerator: str = "auto") -> torch.device:
    """The GPU where there is one, unless `train.accelerator` asks for the processor."""
    return torch.device("cuda" if accelerator != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def lent(network: nn.Module, device: torch.device) -> Iterator[nn.Module]:
    """The network on a device for as long as this lasts; its callers go on giving and getting tensors of the processor.

    Args:
        network: of one input and one output.
        device: where it computes.
    """

    def bring(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(each.to(device) for each in inputs)

    def take_back(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        return output.cpu()

    hooks = [network.register_forward_pre_hook(bring), network.register_forward_hook(take_back)]
    try:
        yield network.to(device)
    finally:
        for hook in hooks:
            hook.remove()
        network.cpu()
