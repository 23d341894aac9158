"""Cost volumes of the IGEV networks against synthetic features of known shift."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from orrery.systems.kaguya_disparity.nets.igev_subpixel import cubic_taps, row_volume
from orrery.systems.kaguya_disparity.nets.igev_volume import (
    Hourglass,
    column_pairs,
    column_volume,
    halved,
    look_up,
    soft_argmin,
)


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


def test_volumes_stay_in_32_bits_in_mixed_precision():
    with torch.autocast("cpu", torch.bfloat16):
        volume = row_volume(waves(0.2).bfloat16(), waves(0.0).bfloat16(), cubic_taps())
        pairs = column_pairs(features(4, 12).bfloat16(), features(4, 12).bfloat16())
    assert volume.dtype == pairs.dtype == torch.float32
    full = row_volume(waves(0.2).bfloat16().float(), waves(0.0).bfloat16().float(), cubic_taps())
    torch.testing.assert_close(volume, full)
