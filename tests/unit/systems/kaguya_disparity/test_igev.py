"""Both IGEV networks as a whole, and their recurrence, up-sampling and loss against formulae."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev import IgevStereo, turned, turned_back
from orrery.systems.kaguya_disparity.nets.igev_blocks import convex_upsample, scaled
from orrery.systems.kaguya_disparity.nets.igev_losses import sequence_loss
from orrery.systems.kaguya_disparity.nets.igev_subpixel import SubpixelIgev
from orrery.systems.kaguya_disparity.nets.igev_update import ConvGru, Refinement


def literal():
    torch.manual_seed(0)
    return IgevStereo(hypotheses=32, width=0.35, training_iterations=2, iterations=3)


def subpixel(iterations=2):
    torch.manual_seed(0)
    return SubpixelIgev(width=16, hidden=16, iterations=iterations)


def images(height=64, width=96, count=2, seed=0):
    pair = torch.randn(2, count, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return pair[0], pair[1]


# Networks


def count(network):
    return sum(tensor.numel() for tensor in network.parameters())


def test_literal_network_has_the_parameters_of_the_published_one():
    with torch.device("meta"):
        network = IgevStereo()
    assert count(network) == 14_524_546  # published: 14.53 M
    assert count(network.features) == 2_116_544  # 2.12 M
    assert count(network.refinement) == 4_563_360  # 4.56 M
    assert count(network.hourglasses[0]) == 534_376  # .534 M
    shifts = sum(count(head.shifts[-1]) for head in network.context.heads)
    assert round((count(network.context) - shifts) / 1e6, 2) == 4.32


@pytest.mark.parametrize(("network", "size"), [(literal(), (64, 96)), (subpixel(), (40, 24))])
def test_outputs_have_the_size_of_the_images(network, size):
    left, right = images(*size)
    outputs, initials = network.train().iterates(left, right)
    assert len(outputs) == 2
    assert len(initials) == (3 if isinstance(network, IgevStereo) else 1)
    with torch.inference_mode():
        final = network.eval()(left, right)
    for disparity in (*outputs, *initials, final):
        assert disparity.shape == left.shape
        assert torch.isfinite(disparity).all()
        assert disparity.std() > 0


@pytest.mark.parametrize("make", [literal, subpixel])
def test_every_parameter_learns(make):
    network = make().train()
    left, right = images()
    outputs, initials = network.iterates(100 + 50 * left, 100 + 50 * right)
    target, valid = torch.randn_like(left), torch.ones_like(left, dtype=torch.bool)
    sequence_loss(outputs, initials, target, valid, smooth=False).backward()
    dead = [n for n, tensor in network.named_parameters() if tensor.grad is None or not tensor.grad.any()]
    assert not dead, dead


@pytest.mark.parametrize("make", [literal, subpixel])
def test_a_seed_gives_the_network_and_a_tile_is_alone_in_its_batch(make):
    one, same = make().eval(), make().eval()
    left, right = images()
    with torch.inference_mode():
        together = one(left, right)
        assert torch.equal(same(left, right), together)
        torch.testing.assert_close(one(left[1:], right[1:]), together[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", [literal, subpixel])
def test_the_last_iterate_of_training_is_what_evaluation_returns(make):
    network = make().eval()
    if isinstance(network, IgevStereo):
        network.training_iterations = network.iterations
    left, right = images()
    with torch.inference_mode():
        outputs, _ = network.iterates(left, right)
        assert torch.equal(network(left, right), outputs[-1])


@pytest.mark.parametrize("make", [literal, subpixel])
def test_mixed_precision_keeps_disparities_in_32_bits(make):
    network = make().eval()
    left, right = images()
    with torch.inference_mode():
        full = network(left, right)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(left, right)
    assert mixed.dtype == torch.float32
    assert (mixed - full).abs().mean() < 0.05 * full.abs().mean()
    with torch.autocast("cpu", torch.bfloat16):
        outputs, initials = network.train().iterates(left, right)
        sequence_loss(outputs, initials, torch.zeros_like(left), left > -9).backward()
    assert all(torch.isfinite(tensor.grad).all() for tensor in network.parameters())


def test_first_disparities_keep_to_their_ranges():
    """32 hypotheses of 4 px in ranges of 8, 16 and 32: below 28, 56 and 112 px, and signed within 2 px."""
    left, right = images()
    with torch.inference_mode():
        _, ranges = literal().eval().iterates(left, right)
        _, (signed,) = subpixel().eval().iterates(left, right)
    for initial, largest in zip(ranges, (28, 56, 112), strict=True):
        assert initial.min() >= 0
        assert largest / 8 < initial.max() <= largest
    assert signed.abs().max() <= 2


def test_batch_normalisation_of_the_context_alone_stays_as_it_begins():
    network = literal().train()
    left, right = images()
    network.iterates(left, right)
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            assert bool(module.running_mean.any()) == (not name.startswith("context")), name


def test_exported_graph_of_the_subpixel_network_takes_any_batch_and_size():
    network = subpixel(iterations=1).eval()
    sizes = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    graph = torch.export.export(network, images(), dynamic_shapes=(sizes, sizes)).module()
    with torch.inference_mode():
        for height, width, batch in ((96, 72, 3), (64, 64, 1), (40, 128, 5)):
            pair = images(height, width, batch, seed=1)
            torch.testing.assert_close(graph(*pair), network(*pair), rtol=1e-4, atol=1e-4)


def test_turned_images_have_the_shift_along_columns_the_other_way():
    right = torch.arange(48.0).reshape(1, 1, 8, 6)
    left = right.roll(-2, 2)  # left row y like right row y + 2
    left_turned, right_turned = turned(left), turned(right)
    assert left_turned.shape == (1, 1, 6, 8)
    assert torch.equal(left_turned, right_turned.roll(2, 3))  # left column x like right column x - 2
    assert torch.equal(turned_back(left_turned), left)


# Recurrence and up-sampling


def test_gru_is_that_of_its_formula():
    torch.manual_seed(0)
    unit = ConvGru(4, 6)
    state, context, x, y = (torch.randn(1, c, 5, 5) for c in (4, 12, 2, 4))
    weight, bias = unit.gates.weight, unit.gates.bias
    joined = torch.cat([state, x, y], 1)
    z = torch.sigmoid(functional.conv2d(joined, weight[:4], bias[:4], padding=1) + context[:, :4])
    r = torch.sigmoid(functional.conv2d(joined, weight[4:], bias[4:], padding=1) + context[:, 4:8])
    q = torch.tanh(unit.candidate(torch.cat([r * state, x, y], 1)) + context[:, 8:])
    torch.testing.assert_close(unit(state, context, x, y), (1 - z) * state + z * q)


def test_no_gradient_passes_from_an_iterate_to_the_one_before():
    torch.manual_seed(0)
    refinement = Refinement([2], 1, 8)
    start = torch.zeros(1, 1, 8, 8, requires_grad=True)
    states = [torch.zeros(1, 8, 8 // 2**i, 8 // 2**i) for i in range(3)]
    context = [torch.zeros(1, 24, 8 // 2**i, 8 // 2**i) for i in range(3)]
    seen = []

    def read(disparity):
        seen.append(disparity)
        return [disparity.repeat(1, 2, 1, 1)], disparity

    steps = list(refinement.steps(start, states, context, read, torch.ones(1, 1, 8, 8), 3))
    assert len(steps) == 3
    assert not any(disparity.requires_grad for disparity in seen)
    assert torch.equal(seen[2], steps[1][0])
    assert not torch.equal(seen[2], seen[1])


def test_convex_upsampling_mixes_neighbours():
    coarse = torch.randn(1, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    centre = torch.zeros(1, 9, 8, 10)
    centre[:, 4] = 50
    nearest = coarse.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(convex_upsample(coarse, centre), nearest)
    right = centre.roll(1, 1)  # sixth of nine: the neighbour one column on
    padded = torch.from_numpy(np.pad(coarse[0, 0].numpy(), 1, "edge"))
    wanted = padded[1:-1, 2:].repeat_interleave(2, 0).repeat_interleave(2, 1)
    torch.testing.assert_close(convex_upsample(coarse, right)[0, 0], wanted)
    mean = convex_upsample(coarse, torch.zeros(1, 9, 16, 20))[0, 0]
    torch.testing.assert_close(mean[5, 9], padded[1:4, 2:5].mean())


@pytest.mark.parametrize(
    ("channels", "width", "result"), [(128, 1, 128), (128, 0.35, 48), (32, 0.05, 8), (96, 0.5, 48)]
)
def test_widths_are_multiples_of_the_groups(channels, width, result):
    assert scaled(channels, width) == result


# Loss


def test_loss_is_the_published_sum():
    draw = torch.Generator().manual_seed(0)
    target, *disparities = (torch.randn(2, 1, 4, 5, generator=draw) for _ in range(7))
    initials, outputs = disparities[:3], disparities[3:]
    valid = torch.rand(2, 1, 4, 5, generator=draw) < 0.7

    def smooth(error):
        error = error.abs()
        return torch.where(error < 1, 0.5 * error**2, error - 0.5)

    first = sum(w * smooth(i - target)[valid].mean() for w, i in zip((1, 0.5, 0.2), initials, strict=True))
    last = sum(0.9 ** (15 * k / 2) * (outputs[2 - k] - target)[valid].abs().mean() for k in range(3))
    torch.testing.assert_close(sequence_loss(outputs, initials, target, valid), first + last)
    plain = sequence_loss(outputs[-1:], initials[:1], target, valid, smooth=False)
    wanted = (initials[0] - target)[valid].abs().mean() + (outputs[-1] - target)[valid].abs().mean()
    torch.testing.assert_close(plain, wanted)


def test_invalid_pixels_may_hold_anything():
    outputs = [torch.randn(1, 1, 3, 3, requires_grad=True)]
    target = torch.full((1, 1, 3, 3), float("nan"))
    valid = torch.zeros(1, 1, 3, 3, dtype=torch.bool)
    assert not sequence_loss(outputs, outputs, target, valid).any()
    valid[..., 1, 1], target[..., 1, 1] = True, 0.5
    loss = sequence_loss(outputs, outputs, target, valid)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(outputs[0].grad).all()
