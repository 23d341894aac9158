"""A network as a graph that needs neither our code nor pickle: torch.export to a .pt2 archive, checked, and back."""

from __future__ import annotations

import copy
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.pytorch
import numpy as np
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import Tensor, nn
from torch.export.passes import move_to_device_pass

from orrery.errors import OrreryError
from orrery.files import reading
from orrery.params import parse_yaml
from orrery.seeds import stream

ARCHIVE, MLMODEL = "data/model.pt2", "MLmodel"
TILES = "tiles"  # what a network takes and gives, in the metadata of its MLmodel
SERVED_BY = "orrery.serving.model"  # imported by MLflow's scoring server
REMEDY = "register the model again"
TOLERANCE = 1e-4  # of the largest output: the exported graph may sum in another order
STRIDE_PX = 32  # networks may halve the resolution five times


@dataclass(frozen=True)
class ExportedNetwork:
    """A loaded graph: (N, channels, H, W) float32 on any device to (N, C, H, W) on the same.

    Attributes:
        module: the graph with its weights.
        channels: of the input.
        device: where it computes.
        folder: that it was loaded from.
    """

    module: Any
    channels: int
    device: torch.device
    folder: Path

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process loads it from its folder, once."""
        return _loaded_once, (self.folder, str(self.device))

    def __call__(self, inputs: Tensor) -> Tensor:
        """Apply the network, without gradients.

        Raises:
            OrreryError: the input is not of (N, channels, H, W), or too small for the network.
        """
        if inputs.ndim != 4 or inputs.shape[1] != self.channels:
            shape = tuple(inputs.shape)
            raise OrreryError(
                f"input {shape} for a network of {self.channels} channels", remedy="give (N, channels, H, W)"
            )
        try:
            with torch.inference_mode():
                output: Tensor = self.module(inputs.to(self.device))
                return output.to(inputs.device)
        except AssertionError as error:  # what the guards of an exported graph raise
            size = f"{inputs.shape[2]} x {inputs.shape[3]} px"
            raise OrreryError(
                f"the exported network takes no {size} ({error})",
                remedy=f"use tiles of at least {2 * STRIDE_PX} px",
            ) from error


def export(network: nn.Module, example: Tensor, folder: Path) -> None:
    """Write a copy of `network`, on the CPU and in evaluation mode, as an MLflow model; then check what was written.

    The first size of a dimension that torch.export sees as 1 would be frozen, hence the demands on `example`.

    Args:
        network: (N, C, H, W) to (N, D, H, W), with H and W free.
        example: input with a batch of two or more and H != W, both at least 64.
        folder: must not exist.

    Raises:
        OrreryError: the example will not do, the network cannot be exported, or the export differs from it.
    """
    if (
        example.ndim != 4
        or example.shape[0] < 2
        or example.shape[2] == example.shape[3]
        or min(example.shape[2:]) < 64
    ):
        raise OrreryError(
            f"an example of shape {tuple(example.shape)} would freeze the sizes of the exported network",
            remedy="give (N >= 2, C, H, W) with H != W, both at least 64",
        )
    network, example = copy.deepcopy(network).cpu().eval(), example.detach().cpu().float()
    try:
        with torch.inference_mode():
            signature = _signature(example.shape[1], network(example).shape[1])
        mlflow.pytorch.save_model(
            network,
            str(folder),
            serialization_format="pt2",
            input_example=example,
            signature=signature,
            pip_requirements=[f"torch=={version('torch').split('+')[0]}"],
        )
    except (MlflowException, RuntimeError, AssertionError) as error:
        problem = " ".join(str(error).split())[:300]
        raise OrreryError(
            f"the network cannot be exported ({problem})",
            remedy="keep Python branches on sizes or values out of forward",
        ) from error
    _make_servable(folder)
    _check(network, example.shape, folder)


def _make_servable(folder: Path) -> None:
    """Add the flavour for which `mlflow models serve` looks: a module of ours that is imported, so nothing is unpickled.

    MLflow would hold every request against a signature, and rasters by path are no tensors: it moves to the metadata.
    """
    description = Model.load(folder / MLMODEL)
    description.metadata = {TILES: description.signature.to_dict()}
    description.signature = None
    mlflow.pyfunc.add_to_model(description, SERVED_BY, conda_env="conda.yaml", python_env="python_env.yaml")
    description.save(folder / MLMODEL)


def _signature(inputs: int, outputs: int) -> ModelSignature:
    def tensor(channels: int) -> Schema:
        return Schema([TensorSpec(np.dtype(np.float32), (-1, channels, -1, -1))])

    return ModelSignature(tensor(inputs), tensor(outputs))


def _check(network: nn.Module, shape: torch.Size, folder: Path) -> None:
    """The archive must do for one tile, for five and for another tile size what the network does.

    The other size is made of the example's own, as only those are known to suit the network.
    """
    loaded = load_export(folder, torch.device("cpu"))
    channels, height, width = shape[1:]
    for size in ((1, height, width), (5, height, width), (1, width, 2 * height)):
        noise = stream(0, "export", *size).standard_normal((size[0], channels, *size[1:]), np.float32)
        inputs = torch.from_numpy(noise)
        with torch.inference_mode():
            wanted, got = network(inputs), loaded(inputs)
        if not torch.allclose(got, wanted, rtol=TOLERANCE, atol=TOLERANCE * float(wanted.abs().max())):
            raise OrreryError(
                f"the exported network differs from the trained one at {tuple(inputs.shape)}",
                remedy="look for random or size-dependent steps in forward",
            )


def load_export(folder: Path, device: torch.device) -> ExportedNetwork:
    """Load what `export` wrote.

    Raises:
        OrreryError: there is no such archive, or it (or another model beside it) holds pickled objects.
    """
    archive = folder / ARCHIVE
    if not archive.exists() or (folder / "data" / "model.pth").exists():
        raise OrreryError("is not a .pt2 model; pickled models are not loaded", file=folder, remedy=REMEDY)
    with reading(folder / MLMODEL, "the description of a model", REMEDY):
        channels = _channels(folder)
    with reading(archive, "a sound .pt2 model", REMEDY):
        with zipfile.ZipFile(archive) as whole:
            if damaged := whole.testzip():  # torch compares no check sums
                raise ValueError(f"{damaged} does not fit its check sum")
        return ExportedNetwork(_graph(folder, device), channels, device, folder)


@lru_cache(maxsize=1)
def _loaded_once(folder: Path, device: str) -> ExportedNetwork:
    return load_export(folder, torch.device(device))


def _channels(folder: Path) -> int:
    """Of the input, as the metadata tell; versions from before models were served have a signature of their own."""
    told = parse_yaml((folder / MLMODEL).read_text(encoding="utf-8"))
    try:
        signature = ModelSignature.from_dict(told.get("signature") or told["metadata"][TILES])
    except MlflowException as error:
        raise ValueError(str(error)) from error
    return int(signature.inputs.inputs[0].shape[1])


def _graph(folder: Path, device: torch.device) -> Any:
    """The graph on a device."""
    try:
        module = mlflow.pytorch.load_model(str(folder))  # refuses pickled objects; see tracking/__init__.py
        if device.type != "cpu":
            module = move_to_device_pass(torch.export.load(folder / ARCHIVE), device).module()
    except (MlflowException, AssertionError) as error:
        raise ValueError(str(error)) from error
    return module
