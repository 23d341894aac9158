"""Compression of whole counts, whose coefficients often lie half-way between two steps, and laws of its error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import fft, ndimage, stats

from orrery.instruments.quantisation import QuantisationTable
from orrery.instruments.terrain_camera import SF008S_A, TABLES
from orrery.raster.compression import compress, entropy_bits_per_px, quantised

# Far enough from the ends of 10 bits that nothing is clipped.
counts = arrays.arrays(np.float32, (16, 24), elements=st.integers(350, 670).map(float))


def flat_table(step: float) -> QuantisationTable:
    return QuantisationTable(f"flat-{step}", ((float(step),) * 8,) * 8)


def texture(height: int, width: int) -> np.ndarray:
    """Whole counts of a blurred noise, mean 200 and SD 30."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(height, width)), 1.5)
    return np.rint(200 + 30 * noise / noise.std()).astype(np.float32)


def test_exact_ties_go_to_the_even_step() -> None:
    """Sums of whole counts, an eighth of which are coefficients (u, v) of 0 and 4, divided in whole numbers: no float decides."""
    image = np.random.default_rng(3).integers(100, 300, (256, 256))
    signs = {0: np.ones(8, int), 4: np.array([1, -1, -1, 1, 1, -1, -1, 1])}
    found = quantised(image.astype(np.float32), SF008S_A).reshape(32, 8, 32, 8)
    ties = 0
    for u, v in ((0, 0), (0, 4), (4, 0), (4, 4)):
        blocks = (image - 512).reshape(32, 8, 32, 8)
        eightfold = np.einsum("iujv,u,v->ij", blocks, signs[u], signs[v])
        step = 8 * int(SF008S_A.steps[u][v])
        below, rest = np.divmod(eightfold, step)
        expected = below + ((2 * rest > step) | ((2 * rest == step) & (below % 2 == 1)))
        np.testing.assert_array_equal(found[:, u, :, v], expected)
        ties += int((2 * rest == step).sum())
    assert ties > 50


def test_tensors_and_arrays_agree_on_whole_counts() -> None:
    image = texture(64, 80)
    batch = torch.from_numpy(np.stack([image, image[::-1]])[:, None].copy())
    theirs = compress(batch, SF008S_A)
    assert theirs.shape == (2, 1, 64, 80)
    assert (theirs[0, 0].numpy() != compress(image, SF008S_A)).mean() < 2e-3


@pytest.mark.parametrize("shape", [(37, 50), (1, 1), (24, 9)])
def test_tensors_need_no_whole_blocks_either(shape: tuple[int, int]) -> None:
    image = texture(64, 64)[: shape[0], : shape[1]]
    padded = np.pad(image, [(0, -side % 8) for side in shape], mode="edge")
    expected = compress(padded, SF008S_A)[: shape[0], : shape[1]]
    np.testing.assert_array_equal(compress(image, SF008S_A), expected)
    theirs = compress(torch.from_numpy(image.copy()), SF008S_A)
    assert theirs.dtype == torch.float32
    assert np.abs(theirs.numpy() - expected).max() <= 1


def test_whole_numbers_of_any_type_are_taken() -> None:
    image = texture(16, 16)
    np.testing.assert_array_equal(compress(image.astype(np.uint16), SF008S_A), compress(image, SF008S_A))


@settings(max_examples=25)
@given(counts, st.sampled_from([9, 12, 17]))
def test_a_second_compression_changes_nothing(image: np.ndarray, step: int) -> None:
    """Steps above 8: rounding to whole counts moves a coefficient by 8 x 0.5 at most, less than half of them."""
    once = compress(image, flat_table(step))
    np.testing.assert_array_equal(compress(once, flat_table(step)), once)


@settings(max_examples=25)
@given(counts, st.sampled_from(sorted(TABLES)))
def test_no_coefficient_is_off_by_more_than_half_its_step(image: np.ndarray, name: str) -> None:
    steps = TABLES[name].array[:, None]
    exact = fft.dctn((image - 512).astype(float).reshape(2, 8, 3, 8), axes=(1, 3), norm="ortho")
    error = np.abs(quantised(image, TABLES[name]).reshape(2, 8, 3, 8) - exact / steps)
    assert error.max() <= 0.5 + 1e-3


@settings(max_examples=25)
@given(counts, st.sampled_from(sorted(TABLES)))
def test_block_means_are_kept(image: np.ndarray, name: str) -> None:
    """To half a step of the lowest frequency, an eighth of which is the mean's, and the rounding of 64 pixels."""
    before, after = (
        values.reshape(2, 8, 3, 8).mean((1, 3)) for values in (image, compress(image, TABLES[name]))
    )
    assert np.abs(after - before).max() <= TABLES[name].array[0, 0] / 16 + 0.5


def test_the_error_of_white_noise_is_that_of_uniform_rounding() -> None:
    """Where every coefficient is far above its step: step / sqrt(12) each, and the rounding to whole counts."""
    white = np.rint(np.random.default_rng(1).normal(1500, 300, (256, 256))).astype(np.float32)
    expected = np.sqrt((SF008S_A.array.astype(float) ** 2).mean() / 12 + 1 / 12)
    assert (compress(white, SF008S_A, bits=12) - white).std() == pytest.approx(expected, rel=0.01)


def test_entropy_of_coefficients_whose_law_is_known() -> None:
    """White noise of an SD of 20 in steps of 16: the share of each step is a Gaussian's between its borders."""
    image = np.random.default_rng(2).normal(512, 20, (2048, 1024)).astype(np.float32)
    borders = (np.arange(-12, 13) + 0.5) * 16 / 20
    expected = stats.entropy(np.diff(stats.norm.cdf(borders)), base=2)
    # The lowest of 64 frequencies is coded as a difference, whose SD is sqrt 2 as large: half a bit more.
    assert entropy_bits_per_px(image, flat_table(16)) == pytest.approx(expected + 0.5 / 64, abs=2e-3)
