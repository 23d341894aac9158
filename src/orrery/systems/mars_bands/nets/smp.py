"""Six architectures and seven encoders of segmentation_models_pytorch, with weights from a local file or none.

Everything is the library's own, as in the paper, its flaw included: the attention block of its MAnet reshapes (places,
channels) to (channels, height, width) without transposing, which scatters features over the deepest map and ties the
result to the tile size. The paper reports large artefacts from MAnet alone of the six.
"""

from __future__ import annotations

from pathlib import Path

import segmentation_models_pytorch
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from orrery.errors import OrreryError
from orrery.systems.mars_bands.nets.params import Encoder, SmpParams

# The library's names where they differ: timm's encoders are marked so.
LIBRARY_NAMES: dict[Encoder, str] = {
    name: f"tu-{name}" for name in ("gernet_s", "regnetx_002", "regnety_002")
}
CLASSIFIERS = (
    "fc.",
    "_fc.",
    "classifier.",
    "head.",
    "final_conv.",
)  # of ImageNet networks; no encoder has them


def build_smp(params: SmpParams, inputs: int, outputs: int) -> nn.Module:
    """The network with the library's own defaults, hence with the parameter counts of the paper's Tables 2 and 3.

    H and W must be multiples of 32.

    Raises:
        OrreryError: `params.pretrained` is missing or holds other weights than the encoder's.
    """
    network: nn.Module = segmentation_models_pytorch.create_model(
        params.architecture,
        encoder_name=LIBRARY_NAMES.get(params.encoder, params.encoder),
        encoder_weights=None,  # anything else would be downloaded
        in_channels=inputs,
        classes=outputs,
    )
    if params.pretrained is not None:
        _load_encoder(network.get_submodule("encoder"), Path(params.pretrained), params.encoder)
    return network


def stem_kernels(kernels: Tensor, inputs: int) -> Tensor:
    """First kernels (O, stored, h, w) for another number of input planes, (O, inputs, h, w).

    To one plane: the sum, so that a grey image gives what it gave as RGB. From one plane: the further ones, i.e. the DEM,
    begin without effect. Else the library's rule: repeated in turn and rescaled, so that the sum stays what it was.
    """
    stored = kernels.shape[1]
    if inputs == stored:
        return kernels
    if inputs == 1:
        return kernels.sum(1, keepdim=True)
    if stored == 1:
        return torch.cat([kernels, kernels.new_zeros(len(kernels), inputs - 1, *kernels.shape[2:])], 1)
    return kernels[:, [plane % stored for plane in range(inputs)]] * (stored / inputs)


def _load_encoder(encoder: nn.Module, file: Path, name: str) -> None:
    """Fill an encoder with weights under its own names or timm's, the classifier's left out."""
    stem, convolution = next((n, m) for n, m in encoder.named_modules() if isinstance(m, nn.Conv2d))
    stored = {key: value for key, value in _read(file).items() if not key.startswith(CLASSIFIERS)}
    try:
        key = next(key for key in stored if _bare(key) == f"{_bare(stem)}.weight")
        stored[key] = stem_kernels(stored[key], convolution.in_channels)
        encoder.load_state_dict(stored)
    except (StopIteration, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200] or "without its first layer"
        raise OrreryError(
            f"holds no weights of the encoder {name} ({problem})",
            file=file,
            remedy="give the state of that ImageNet network, or pretrained: null",
        ) from error


def _bare(key: str) -> str:
    """A parameter's name without the wrapper that the library puts round timm's networks."""
    return key.removeprefix("model.")


def _read(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise OrreryError(
            f"cannot be read as safetensors ({error})",
            file=file,
            remedy="put the encoder's weights there, or set pretrained: null",
        ) from error
