"""A section of params.yaml at full scale made short, and a training step of it, on whatever there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orrery.params import TrainParams, load_params, overlaid, validate
from orrery.systems.base import System, SystemSection, Workspace
from orrery.training import fit


def short_section(system: System[Any], repository: Path, changes: dict[str, Any]) -> Any:
    """The system's section at full scale with some values changed."""
    whole = load_params(repository / "params.yaml", "full").systems[system.name]
    return validate(system.section_type, overlaid(whole, changes), file=repository)


def short_trainings(variants: tuple[str, ...], batch_size: int) -> dict[str, Any]:
    """Changes of a section that let its variants take one step."""
    one = {"steps": 1, "batch_size": batch_size, "warmup_steps": 0}
    return {name: {"optimiser": one} for name in variants}


def check_step(
    system: System[Any], section: SystemSection, variant: str, work: Workspace, repository: Path
) -> None:
    """One step is taken, and leaves finite weights of the shapes that it found."""
    options = TrainParams(accelerator="cpu", precision="32-true", threads=2)
    project = load_params(repository / "params.yaml").model_copy(update={"train": options})
    before = {name: tensor.shape for name, tensor in system.network(section, variant).state_dict().items()}
    task = fit(system, section, variant, project, work, logger=False)
    after = task.net.state_dict()
    assert before == {name: tensor.shape for name, tensor in after.items()}
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert task.global_step == 1
