"""What a GPU does to the networks, beside one core: the forward pass over a megapixel, and a step of training.

Champions at demo and at full scale, and the papers' networks at full scale. Prediction is in float32, whose convolutions the tensor cores
round to ten bits; training in bf16. Noise stands for patches, which lie on the GPU already: what is measured is the network.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor, nn

from benchmarks.row import Row
from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.systems.base import System, get_section, get_system
from orrery.training import channels_last

TILE_PX, TILES = 512, 8
CORE_TILE_PX = 256  # of one core, where small tiles cost as much a pixel
REPEATS, WARM = 10, 3
SCALES: tuple[Literal["demo", "full"], ...] = ("demo", "full")
PAPERS = {"lunar-dtm": "dlunardtmnet", "mars-bands": "unet-efficientnet-b0", "kaguya-disparity": "palette"}


def rows() -> list[Row]:
    if not torch.cuda.is_available():
        raise OrreryError("there is no GPU", remedy="run it where `nvidia-smi` shows one")
    torch.set_num_threads(1)
    found = []
    for scale in SCALES:
        params = load_params(scale=scale)
        for system, paper in PAPERS.items():
            section = get_section(params, system)
            variants = [section.champion_variant] + [paper] * (scale == "full")
            found += [
                row for variant in variants for row in (forward(system, section, variant, scale), step(system, section, variant, scale))
            ]  # fmt: skip
    return found


def forward(system: str, section: Any, variant: str, scale: str) -> Row:
    """Seconds a megapixel of one call of the network."""
    owner = get_system(system)
    torch.manual_seed(1)
    network = owner.network(section, variant).eval()
    channels = owner.example(section, variant).shape[1]
    with torch.inference_mode():
        core = seconds(network, torch.randn(1, channels, CORE_TILE_PX, CORE_TILE_PX), 1)
        tiles = torch.randn(TILES, channels, TILE_PX, TILE_PX, device="cuda")
        gpu = seconds(network.cuda(), tiles, REPEATS)
    return Row(
        f"{system}, {variant}, {scale}: forward", gpu, "s/Mpx",
        f"{torch.cuda.get_device_name()}, {TILES} tiles of {TILE_PX} px, {parameters(network):.1f} M parameters",
        "one core", core,
    )  # fmt: skip


def seconds(network: nn.Module, inputs: Tensor, repeats: int) -> float:
    """Seconds a megapixel, the median of some calls."""
    mpx = inputs.shape[0] * inputs.shape[2] * inputs.shape[3] / 1e6
    return timed(lambda: network(inputs), repeats) / mpx


def timed(work: Callable[[], object], repeats: int) -> float:
    """Median of repeated calls, s, after some that do not count; what a GPU was given is waited for."""
    found = []
    for _ in range(repeats + (WARM if repeats > 1 else 1)):
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return median(found[-repeats:])


def step(system: str, section: Any, variant: str, scale: str) -> Row:
    """Seconds of a training step at the variant's own batch and patch."""
    owner = get_system(system)
    size = owner.schedule(section, variant).batch_size
    height, width = patch_size(section)
    torch.manual_seed(1)
    task = owner.task(section, variant).train()
    core = timed(lambda: learn(task, batch_of(owner, section, variant, 1, height, width)), 1) * size
    task.cuda()
    channels_last(task)
    batch = {
        name: rows.cuda() for name, rows in batch_of(owner, section, variant, size, height, width).items()
    }
    torch.cuda.reset_peak_memory_stats()

    with torch.autocast("cuda", torch.bfloat16):
        gpu = timed(lambda: learn(task, batch), REPEATS)
    memory = torch.cuda.max_memory_allocated() / 2**30
    return Row(
        f"{system}, {variant}, {scale}: training step", gpu, "s",
        f"{torch.cuda.get_device_name()}, bf16, batch of {size}, {height} x {width} px, {memory:.1f} GiB, without the optimiser",
        "one core, a sample times the batch", core,
    )  # fmt: skip


def learn(task: Any, batch: dict[str, Tensor]) -> None:
    """Gradients of a batch."""
    task.training_step(batch, 0).backward()


def patch_size(section: Any) -> tuple[int, int]:
    """Of a section's patches, px."""
    patch = section.patch
    return (
        (patch.height_px, patch.width_px) if hasattr(patch, "height_px") else (patch.size_px, patch.size_px)
    )


def batch_of(
    owner: System[Any], section: Any, variant: str, count: int, height: int, width: int
) -> dict[str, Tensor]:
    """Noise in the shape of patches."""
    planes = owner.example(section, variant).shape[1]
    if owner.name == "kaguya-disparity":
        planes -= 2 * (variant == "palette")  # which adds the noised residual and its level
    targets = section.variants[variant].targets if owner.name == "mars-bands" else 1
    one = (count, 1, height, width)
    return {
        "inputs": torch.randn(count, planes, height, width),
        "target": torch.randn(count, targets, height, width),
        "valid": torch.ones(one, dtype=torch.float32 if owner.name == "kaguya-disparity" else torch.bool),
        "base": torch.randn(one),
        "scale": torch.full((count, 1, 1, 1), 0.1),
    }


def parameters(network: nn.Module) -> float:
    """Millions of them."""
    return sum(part.numel() for part in network.parameters()) / 1e6
