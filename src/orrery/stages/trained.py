"""Reading what the train stage wrote."""

from __future__ import annotations

from typing import Any

from safetensors.torch import load_file
from torch import nn

from orrery.files import read_as, reading
from orrery.params import Section
from orrery.systems.base import RECIPE, RETRAIN, System, Workspace


def load_network(
    system: System[Any], section: Section, variant: str, work: Workspace, replica: int = 0
) -> nn.Module:
    """The network of models/<system>/<variant> in evaluation mode.

    Raises:
        OrreryError: the weights are missing, damaged, or of another network than params.yaml describes.
    """
    weights, network = work.model(variant, replica) / "weights.safetensors", system.network(section, variant)
    with reading(weights, f"a file with the weights of {variant}", RETRAIN):
        network.load_state_dict(load_file(weights))
    return network.eval()


def load_recipe(variant: str, work: Workspace, replica: int = 0) -> dict[str, Any]:
    """What goes with the weights."""
    return read_as(work.model(variant, replica) / RECIPE, dict[str, Any], "a recipe", RETRAIN)


def replicas(variant: str, work: Workspace) -> list[int]:
    """Numbers of the seeds that the variant was trained with."""
    further = [int(folder.name.removeprefix("seed-")) for folder in work.model(variant).glob("seed-*")]
    return [0, *sorted(further)]
