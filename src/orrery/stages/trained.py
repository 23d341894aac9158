"""Reading what the train stage wrote."""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.params import Section
from orrery.systems.base import System, Trained, Workspace


def load_network(
    system: System[Any], section: Section, variant: str, work: Workspace, replica: int = 0
) -> nn.Module:
    """The network of models/<system>/<variant> in evaluation mode.

    Raises:
        OrreryError: the weights are missing, damaged, or of another network than params.yaml describes.
    """
    weights, network = work.model(variant, replica) / "weights.safetensors", system.network(section, variant)
    try:
        network.load_state_dict(load_file(weights))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise OrreryError(
            f"does not hold the weights of {variant} ({problem})",
            file=weights,
            remedy="run the train stage again",
        ) from error
    return network.eval()


def load_recipe(variant: str, work: Workspace, replica: int = 0) -> dict[str, Any]:
    """What goes with the weights."""
    recipe: dict[str, Any] = read_json(work.model(variant, replica) / "recipe.json")
    return recipe


def load_trained(
    system: System[Any], section: Section, variant: str, work: Workspace, replica: int = 0
) -> Trained:
    """Network and recipe together."""
    network = load_network(system, section, variant, work, replica)
    return Trained(network, load_recipe(variant, work, replica))


def replicas(variant: str, work: Workspace) -> list[int]:
    """Numbers of the seeds that the variant was trained with."""
    further = [int(folder.name.removeprefix("seed-")) for folder in work.model(variant).glob("seed-*")]
    return [0, *sorted(further)]
