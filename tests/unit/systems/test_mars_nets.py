import socket
from typing import get_args

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file
from torch import nn

from orrery.errors import OrreryError
from orrery.systems.mars_bands.nets import (
    ConditionalGanUNetParams,
    HalfResolutionParams,
    MedicalUNetParams,
    NetworkParams,
    SmpParams,
    build,
    input_size,
)
from orrery.systems.mars_bands.nets.padding import reflected
from orrery.systems.mars_bands.nets.params import Encoder
from orrery.systems.mars_bands.nets.smp import stem_kernels

MEDICAL = MedicalUNetParams(name="medical-unet")
GAN = ConditionalGanUNetParams(name="conditional-gan-unet")
DEMO = HalfResolutionParams(name="half-resolution-unet", widths=[8, 12, 16])


def smp(architecture="unet", encoder="resnet18", **options):
    return SmpParams(name="smp", architecture=architecture, encoder=encoder, **options)


TABLE_2 = [
    (smp("fpn"), 13_041_219),
    (smp("linknet"), 11_657_571),
    (smp("manet"), 21_669_491),
    (smp("pspnet"), 11_332_771),
    (GAN, 54_411_907),
    (MEDICAL, 7_762_531),
    (smp("unet"), 14_322_227),
    (smp("unetplusplus"), 15_964_467),
]
TABLE_3 = {
    "densenet121": 13_601_651,
    "efficientnet-b0": 6_251_183,
    "gernet_s": 12_827_394,
    "regnetx_002": 4_780_611,
    "regnety_002": 5_258_815,
    "resnet18": 14_322_227,
    "vgg11": 18_253_171,
}


def parameters(params, inputs=1, outputs=3):
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in build(params, inputs, outputs).parameters())


@pytest.mark.parametrize(("params", "count"), TABLE_2)
def test_architectures_have_the_parameters_of_table_2(params, count):
    assert parameters(params) == count


@pytest.mark.parametrize("encoder", get_args(Encoder))
def test_encoders_have_the_parameters_of_table_3(encoder):
    assert parameters(smp("unet", encoder)) == TABLE_3[encoder]


@pytest.mark.parametrize(
    "params",
    [*(params for params, _ in TABLE_2), DEMO, *(smp("unet", e) for e in ("efficientnet-b0", "regnety_002"))],
)
def test_smallest_input_and_wider_ones_with_a_dem_give_planes_of_their_size(params):
    network = build(params, 2, 5).eval()
    smallest, step = input_size(params).smallest, input_size(params).multiple
    with torch.inference_mode():
        out = network(torch.randn(1, 2, smallest, smallest + step))
    assert out.shape == (1, 5, smallest, smallest + step)
    assert torch.isfinite(out).all()


@pytest.mark.parametrize("params", [MEDICAL, GAN, DEMO])
def test_our_networks_learn_everywhere_and_end_without_a_bound(params):
    torch.manual_seed(0)
    network = build(params, 1, 2)
    size = input_size(params).smallest
    network(torch.randn(2, 1, size, size)).square().mean().backward()
    dead = [n for n, tensor in network.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert not dead, dead
    list(network.parameters())[-1].data += 9  # the bias of the last layer
    with torch.inference_mode():
        assert network.eval()(torch.randn(1, 1, size, size)).mean() > 6


@pytest.mark.parametrize(
    "params", [smp("fpn"), smp("pspnet"), smp("unet", "efficientnet-b0"), smp("unetplusplus", "gernet_s")]
)
def test_reflection_leaves_no_trace_of_the_border(params):
    """A flat image has no edge, so a flat map must come out; zeros beyond the border would be one."""
    flat = torch.full((1, 1, 96, 96), 0.7)

    def unevenness(padding):
        torch.manual_seed(0)
        network = build(params.model_copy(update={"padding": padding}), 1, 3).eval()
        with torch.inference_mode():
            out = network(flat)
        return float((out.amax((2, 3)) - out.amin((2, 3))).max() / out.abs().max())

    assert unevenness("reflect") < 1e-4
    assert unevenness("zeros") > 0.01


def test_reflection_is_that_of_numpy():
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Conv2d(1, 2, 5, padding=2))
    image = torch.randn(1, 1, 9, 8)
    mirrored = torch.from_numpy(np.pad(image.numpy(), [(0, 0)] * 2 + [(2, 2)] * 2, "reflect"))
    wanted = nn.functional.conv2d(mirrored, layer[0].weight, layer[0].bias)
    assert torch.allclose(reflected(layer)(image), wanted, atol=1e-6)


def test_kernels_for_another_number_of_planes():
    rgb = torch.randn(4, 3, 3, 3)
    grey = torch.randn(1, 1, 8, 8)
    wanted = nn.functional.conv2d(grey.expand(1, 3, 8, 8), rgb)
    assert torch.allclose(nn.functional.conv2d(grey, stem_kernels(rgb, 1)), wanted, atol=1e-5)
    pair = stem_kernels(rgb, 2)
    assert torch.allclose(pair, rgb[:, :2] * 1.5)
    assert stem_kernels(rgb, 3) is rgb


def encoder_state(encoder, inputs, tmp_path, prefix="", seed=1):
    torch.manual_seed(seed)
    network = build(smp("unet", encoder), inputs, 3)
    state = {prefix + n.removeprefix("model."): t.clone() for n, t in network.encoder.state_dict().items()}
    file = tmp_path / "weights.safetensors"
    save_file(state | {"fc.weight": torch.zeros(9, 9)}, file)
    return network, file


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("encoder", ["resnet18", "regnetx_002", "efficientnet-b0", "densenet121"])
def test_pretrained_weights_come_from_the_file_alone(offline, tmp_path, encoder):
    source, file = encoder_state(encoder, 1, tmp_path)
    torch.manual_seed(2)
    loaded = build(smp("unet", encoder, pretrained=str(file)), 1, 3)
    for name, tensor in source.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[name], tensor), name
    assert not torch.equal(
        loaded.decoder.state_dict()["blocks.0.conv1.0.weight"], _first_decoder_weight(source)
    )


def _first_decoder_weight(network):
    return network.decoder.state_dict()["blocks.0.conv1.0.weight"]


def test_a_dem_joins_weights_of_one_plane_without_effect_at_first(tmp_path):
    source, file = encoder_state("resnet18", 1, tmp_path)
    joined = build(smp(pretrained=str(file)), 2, 3)
    image, dem = torch.randn(1, 1, 64, 64), torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        alone = source.encoder.eval()(image)[1:]
        both = joined.encoder.eval()(torch.cat([image, dem], 1))[1:]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(alone, both, strict=True))


def test_wrong_weights_are_refused_by_name(tmp_path):
    _, file = encoder_state("resnet18", 3, tmp_path)
    with pytest.raises(OrreryError, match="no weights of the encoder vgg11"):
        build(smp("unet", "vgg11", pretrained=str(file)), 1, 3)
    with pytest.raises(OrreryError, match=r"nowhere\.safetensors"):
        build(smp(pretrained=str(tmp_path / "nowhere.safetensors")), 1, 3)
    file.write_bytes(b"no weights at all")
    with pytest.raises(OrreryError, match="safetensors"):
        build(smp(pretrained=str(file)), 1, 3)


def test_sections_are_told_apart_by_name_and_refuse_what_they_do_not_know():
    read = TypeAdapter(NetworkParams).validate_python
    assert read({"name": "medical-unet"}) == MEDICAL
    assert read({"name": "smp", "architecture": "fpn", "encoder": "vgg11"}).padding == "reflect"
    for wrong in (
        {"name": "smp", "encoder": "resnet50"},
        {"name": "vit"},
        {"name": "medical-unet", "widths": [8]},
    ):
        with pytest.raises(ValidationError):
            read(wrong)
