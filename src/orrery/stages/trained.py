"""Reading what the train stage wrote."""

from __future__ import annotations

from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from orrery.errors import OrreryError
from orrery.files import read_json
from orrery.systems.base import System, Trained, Workspace


def load_trained(system: System[Any], section: Any, variant: str, work: Workspace) -> Trained:
    """The network of models/<system>/<variant> in evaluation mode, with its recipe.

    Raises:
        OrreryError: the weights are missing, damaged, or of another network than params.yaml describes.
    """
    folder = work.model(variant)
    weights, network = folder / "weights.safetensors", system.network(section, variant)
    try:
        network.load_state_dict(load_file(weights))
    except (FileNotFoundError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise OrreryError(
            f"does not hold the weights of {variant} ({problem})", file=weights, remedy="run the train stage again"
        ) from error
    return Trained(network.eval(), read_json(folder / "recipe.json"))
