import math

import pytest
import torch
from torch.export import Dim

from orrery.systems.kaguya_disparity.nets.palette import (
    Attention,
    NoiseLevel,
    PaletteUNet,
    group_norm,
    sinusoids,
)


def demo(**options):
    """A network of demo size whose zero-initialised layers have come to life."""
    torch.manual_seed(0)
    network = PaletteUNet(width=8, **options)
    for tensor in network.parameters():
        if not tensor.any():
            torch.nn.init.normal_(tensor, std=0.05)
    return network


def count(*planes):
    with torch.device("meta"):
        return sum(tensor.numel() for tensor in PaletteUNet(*planes).parameters())


def test_full_size_has_the_parameters_of_the_package():
    assert count(6, 3) == 62_641_347  # the package's 62.64 M
    assert count(3, 1) == 62_641_347 - 3 * 9 * 64 - 2 * (9 * 64 + 1)
    assert count() == 62_638_465


def test_attention_is_in_the_middle_alone_in_heads_of_32():
    with torch.device("meta"):
        network = PaletteUNet()
    found = {name: m.heads for name, m in network.named_modules() if isinstance(m, Attention)}
    assert found == {"attention": 16}


def test_a_new_network_predicts_zero_and_its_blocks_are_their_skips():
    network = PaletteUNet(width=8)
    x = torch.randn(2, 3, 16, 24)
    assert not network(x, torch.rand(2)).any()
    features = torch.randn(2, 8, 4, 6)
    assert torch.equal(network.down[0](features, torch.randn(2, 32)), features)
    wide = torch.randn(2, 64, 4, 6)
    assert torch.equal(network.attention(wide), wide)


@pytest.mark.parametrize("width", [8, 12, 16])
def test_output_has_the_size_of_the_input(width):
    network = PaletteUNet(3, 1, width).eval()
    torch.nn.init.normal_(network.last[-1].weight)
    out = network(torch.randn(2, 3, 40, 24), torch.rand(2))
    assert out.shape == (2, 1, 40, 24)
    assert torch.isfinite(out).all()
    assert out.std() > 0


@pytest.mark.parametrize("embedding", ["log-snr", "literal"])
def test_every_parameter_learns(embedding):
    network = demo(embedding=embedding)
    network(torch.randn(2, 3, 32, 16), torch.tensor([0.2, 0.9])).square().mean().backward()
    dead = [n for n, tensor in network.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert not dead, dead


def test_levels_from_zero_to_one_are_finite_and_matter():
    network = demo().eval()
    x = torch.randn(1, 3, 16, 16).expand(4, -1, -1, -1)
    with torch.inference_mode():
        out = network(x, torch.tensor([0.0, 0.4, 0.6, 1.0]))
    assert torch.isfinite(out).all()
    assert ((out[1:] - out[:-1]).abs().amax((1, 2, 3)) > 1e-3).all()


def test_log_snr_tells_levels_apart_that_the_literal_embedding_confuses():
    near_clean = torch.tensor([0.99, 0.999])  # noise of 10 % and of 3 %
    apart = {}
    for kind in ("log-snr", "literal"):
        torch.manual_seed(0)
        one, other = NoiseLevel(64, kind)(near_clean)
        apart[kind] = float(((one - other).norm() / one.norm()).detach())
    assert apart["log-snr"] > 0.3
    assert apart["literal"] < 0.02


def test_sinusoids_are_those_of_the_transformer():
    got = sinusoids(torch.tensor([3.0]), 8)[0].tolist()
    phases = [3.0 * 10_000 ** (-i / 4) for i in range(4)]
    assert got == pytest.approx([math.cos(p) for p in phases] + [math.sin(p) for p in phases], rel=1e-5)


@pytest.mark.parametrize(
    ("channels", "groups"), [(64, 32), (512, 32), (96, 32), (8, 4), (24, 12), (40, 20), (7, 1)]
)
def test_groups_divide_the_channels(channels, groups):
    assert group_norm(channels).num_groups == groups


def test_attention_is_that_of_its_formula():
    torch.manual_seed(0)
    layer = Attention(8, 4).double()
    torch.nn.init.normal_(layer.projection.weight)
    x = torch.randn(1, 8, 3, 5, dtype=torch.float64)
    q, k, v = layer.queries_keys_values(layer.norm(x)).reshape(3, 2, 4, 15)
    weights = torch.softmax(torch.einsum("hcq,hck->hqk", q, k) / math.sqrt(4), -1)
    mixed = torch.einsum("hqk,hck->hcq", weights, v).reshape(1, 8, 3, 5)
    torch.testing.assert_close(layer(x), x + layer.projection(mixed))


def test_mixed_precision_tells_levels_as_finely_as_full():
    network = demo().eval()
    x, gamma = torch.randn(2, 3, 32, 32), torch.tensor([0.3, 0.998])
    with torch.inference_mode():
        full = network(x, gamma)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(x, gamma)
    assert (mixed - full).abs().mean() < 0.02 * full.abs().mean()


def test_exported_graph_takes_any_batch_and_size():
    network = demo(multipliers=(1, 2), blocks=1).eval()
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    example = (torch.randn(2, 3, 64, 96), torch.rand(2))
    graph = torch.export.export(network, example, dynamic_shapes=(sizes, {0: Dim.AUTO})).module()
    with torch.inference_mode():
        for batch, height, width in ((1, 64, 64), (5, 24, 48), (3, 128, 16)):
            x, gamma = torch.randn(batch, 3, height, width), torch.rand(batch)
            torch.testing.assert_close(graph(x, gamma), network(x, gamma), rtol=1e-4, atol=1e-5)
