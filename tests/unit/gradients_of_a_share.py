"""Gradients of one step of real variants, alone and by one of two processes: `python gradients_of_a_share.py FOLDER RANK`.

Not a test: `test_distributed.py` runs it twice at once, and compares what the first one writes.
"""

import os
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import distributed

from orrery.distributed import normalise_together
from orrery.params import load_params
from orrery.systems.base import get_section, get_system

ROWS = 4
# One of each way to learn: with a 1-sigma, by drawn noise, by a sequence of iterates.
CASES = [
    ("lunar-dtm", "orrery-dtm"),
    ("mars-bands", "orrery-bands"),
    ("kaguya-disparity", "orrery-disparity"),
    ("kaguya-disparity", "palette"),
    ("kaguya-disparity", "subpixel-igev"),
]


def batch_of(system, inputs, targets):
    """Random rows of which each has another number of valid pixels, so that a mean of means is no mean."""
    height, width = inputs.shape[-2:]
    one = (ROWS, 1, height, width)
    share = torch.linspace(0.1, 1, ROWS).view(-1, 1, 1, 1)
    valid = torch.rand(one) < share
    batch = {
        "inputs": torch.randn(inputs.shape),
        "target": torch.randn(ROWS, targets, height, width),
        "valid": valid,
    }
    if system == "lunar-dtm":
        batch["base"] = torch.randn(one)
    if system == "kaguya-disparity":
        batch |= {"valid": valid.double(), "scale": torch.full((ROWS, 1, 1, 1), 0.1)}
    return batch


def gradients(system, variant, processes, rank):
    """The gradient of each weight, as DDP would hand it to the optimiser, and the running statistics after the step."""
    owner, section = get_system(system), get_section(load_params(), system)
    torch.manual_seed(1)
    task = owner.task(section, variant).double().train()
    if processes > 1:
        assert normalise_together(task)
    example = owner.example(section, variant)
    targets = section.variants[variant].targets if system == "mars-bands" else 1
    planes = example.shape[1] - (
        2 if variant == "palette" else 0
    )  # it adds the noised residual and its gamma
    batch = batch_of(system, torch.empty(ROWS, planes, 32, 32), targets)
    share = ROWS // processes
    own = {name: rows[rank * share : (rank + 1) * share] for name, rows in batch.items()}
    task.training_step(own, 0).backward()
    found = {name: part.grad for name, part in task.net.named_parameters() if part.grad is not None}
    for part in found.values():
        if processes > 1:
            distributed.all_reduce(part)
            part /= processes
    assert found
    return found | {name: part for name, part in task.net.named_buffers() if "running" in name}


def of_all_cases(processes, rank):
    """Gradients by case and name."""
    return {
        f"{system} {variant} {name}": part.contiguous()
        for system, variant in CASES
        for name, part in gradients(system, variant, processes, rank).items()
    }


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    # In double precision throughout, also where tasks ask for float32: then what differs is wrong, not rounded.
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double
    if rank == 0:
        save_file(of_all_cases(1, 0), folder / "alone.safetensors")
    os.environ["LOCAL_RANK"] = str(rank)
    store = f"file://{folder / 'store'}"
    distributed.init_process_group("gloo", init_method=store, world_size=2, rank=rank)
    found = of_all_cases(2, rank)
    if rank == 0:
        save_file(found, folder / "together.safetensors")
