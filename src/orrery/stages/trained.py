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


def load_network(system: System[Any], section: Section, variant: str, work: Workspace) -> nn.Module:
    """The network of models/<system>/<variant> in evaluation mode.

    Raises:
        OrreryError: the weights are missing, damaged, or of another network than params.yaml describes.
    """
    weights, network = work.model(variant) / "weights.safetensors", system.network(section, variant)
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


def load_recipe(variant: str, work: Workspace) -> dict[str, Any]:
    """What goes with the weights."""
    recipe: dict[str, Any] = read_json(work.model(variant) / "recipe.json")
    return recipe


def load_trained(system: System[Any], section: Section, variant: str, work: Workspace) -> Trained:
    """Network and recipe together."""
    return Trained(load_network(system, section, variant, work), load_recipe(variant, work))
