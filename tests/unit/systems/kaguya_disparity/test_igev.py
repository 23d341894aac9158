"""Both IGEV networks: their cost volumes against synthetic features of known shift, their parts against formulae."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev import IgevStereo, turned, turned_back
from orrery.systems.kaguya_disparity.nets.igev_blocks import convex_upsample, scaled
from orrery.systems.kaguya_disparity.nets.igev_losses import sequence_loss
from orrery.systems.kaguya_disparity.nets.igev_subpixel import SubpixelIgev, cubic_taps, row_volume
from orrery.systems.kaguya_disparity.nets.igev_update import ConvGru, Refinement
from orrery.systems.kaguya_disparity.nets.igev_volume import (
    Hourglass,
    column_pairs,
    column_volume,
    halved,
    look_up,
    soft_argmin,
)


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
def test_mixed_precision_keeps_disparities_and_volumes_in_32_bits(make):
    network = make().eval()
    left, right = images()
    with torch.inference_mode():
        full = network(left, right)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = network(left, right)
            volume = row_volume(waves(0.2).bfloat16(), waves(0.0), cubic_taps())
            pairs = column_pairs(features(4, 12).bfloat16(), features(4, 12))
    assert mixed.dtype == volume.dtype == pairs.dtype == torch.float32
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


# Volumes


def features(height, width, channels=32, seed=0):
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shift", [0, 3, 7])
def test_column_volume_peaks_at_the_true_shift(shift):
    right = features(5, 40)
    left = right.roll(shift, 3)  # left column x like right column x - shift
    volume = column_volume(left, right, 10)
    assert volume.shape == (1, 8, 10, 5, 40)
    assert (volume.mean(1).argmax(1)[..., 10:] == shift).all()
    assert not volume[..., 9, :, :9].any()  # right column below 0
    expected = (left[0, 4:8, 2, 20] * right[0, 4:8, 2, 14]).mean()
    torch.testing.assert_close(volume[0, 1, 6, 2, 20], expected)


def test_pairs_of_columns_hold_the_volume():
    left, right = features(4, 12), features(4, 12, seed=1)
    pairs = column_pairs(left, right)
    assert pairs.shape == (1, 1, 12, 4, 12)
    volume = column_volume(left, right, 5).mean(1)
    for d, x in itertools.product(range(5), range(5, 12)):
        torch.testing.assert_close(pairs[0, 0, x - d, :, x], volume[0, d, :, x] * math.sqrt(32))


def waves(shift_rows):
    """(1, 64, 40, 5): channels of waves of 6 to 30 rows, seen `shift_rows` further on."""
    draw = torch.Generator().manual_seed(4)
    turns, phase = torch.rand(2, 64, 1, 5, generator=draw)
    rows = torch.arange(40.0)[:, None] + shift_rows
    return torch.cos(2 * math.pi * (rows / (6 + 24 * turns) + phase))[None]


@pytest.mark.parametrize("shift_px", [-2.0, -1.375, -0.25, 0.0, 0.125, 0.875, 2.0])
def test_row_volume_peaks_at_the_true_fraction_of_a_pixel(shift_px):
    """Left row y looks like right row y + d; at half resolution d is half as many rows."""
    volume = row_volume(waves(shift_px / 2), waves(0.0), cubic_taps())
    assert volume.shape == (1, 8, 33, 40, 5)
    inner = volume.mean(1)[:, :, 3:-3]
    assert ((inner.argmax(1) - 16) / 8 == shift_px).all()
    assert inner.amax(1).min() > 0.99
    expected = soft_argmin(300 * inner, torch.arange(-16, 17) / 8)
    assert abs(shift_px) == 2 or (expected - shift_px).abs().max() < 0.06


def test_taps_interpolate_parabolas_exactly_and_keep_whole_rows():
    taps, rows = cubic_taps(), torch.arange(-2.0, 3.0)
    offsets = torch.arange(-16, 17) / 16
    for power in range(3):
        torch.testing.assert_close(taps @ rows**power, offsets**power)
    for bin_, row in ((0, 1), (16, 2), (32, 3)):
        assert torch.equal(taps[bin_], functional.one_hot(torch.tensor(row), 5).float())


def test_row_volume_is_the_cosine_of_interpolated_rows():
    left, right = features(9, 4), features(9, 4, seed=1)
    volume = row_volume(left, right, cubic_taps())
    wanted = functional.cosine_similarity(left[:, 4:8], right[:, 4:8])
    torch.testing.assert_close(volume[:, 1, 16], wanted)
    weights = torch.tensor([-0.0625, 0.5625, 0.5625, -0.0625])  # half-way between rows 5 and 6
    between = torch.einsum("nctw,t->ncw", right[:, 4:8, 4:8], weights)
    torch.testing.assert_close(volume[:, 1, 24, 5], functional.cosine_similarity(left[:, 4:8, 5], between))


def test_soft_argmin_of_a_peaked_volume_is_the_shift():
    values = torch.arange(-16, 17) / 8
    logits = torch.full((1, 33, 2, 3), -30.0)
    logits[:, 19] = 30
    torch.testing.assert_close(soft_argmin(logits, values), torch.full((1, 1, 2, 3), 3 / 8))
    logits[:, 20] = 30
    torch.testing.assert_close(soft_argmin(logits, values), torch.full((1, 1, 2, 3), 3.5 / 8))


def test_look_up_is_linear_interpolation_with_zeros_beyond():
    volume = torch.randn(2, 3, 12, 2, 4, generator=torch.Generator().manual_seed(0))
    position = torch.empty(2, 1, 2, 4).uniform_(-7, 18, generator=torch.Generator().manual_seed(1))
    got = look_up(volume, position).reshape(2, 3, 9, 2, 4)
    padded = np.pad(volume.numpy(), [(0, 0), (0, 0), (20, 20), (0, 0), (0, 0)])
    for n, c, y, x in itertools.product(range(2), range(3), range(2), range(4)):
        at = float(position[n, 0, y, x]) + np.arange(-4, 5) + 20
        wanted = np.interp(at, np.arange(52), padded[n, c, :, y, x])
        np.testing.assert_allclose(got[n, c, :, y, x].numpy(), wanted, atol=1e-5)


def test_halved_bins_are_means_of_two():
    volume = torch.randn(1, 2, 7, 3, 3)
    assert torch.allclose(halved(volume), (volume[:, :, 0:6:2] + volume[:, :, 1:6:2]) / 2)


def test_hourglass_keeps_the_shape_and_listens_to_every_scale():
    torch.manual_seed(0)
    glass = Hourglass([8, 8, 16, 16])
    maps = [torch.randn(1, c, 32 // 2**i, 64 // 2**i) for i, c in enumerate((8, 8, 16, 16))]
    volume = torch.randn(1, 8, 16, 32, 64)
    out = glass(volume, maps)
    assert out.shape == volume.shape
    for scale in range(4):
        changed = [m + 3 * torch.randn_like(m) if i == scale else m for i, m in enumerate(maps)]
        assert not torch.allclose(glass(volume, changed), out), scale


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
