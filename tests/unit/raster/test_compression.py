"""Compression against an independent transform, and its laws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import fft

from orrery.instruments.quantisation import QuantisationTable, annex_k
from orrery.instruments.terrain_camera import SF008S_A, TABLES
from orrery.raster.compression import at_mean, compress, entropy_bits_per_px

TABLE_OF_ONES = QuantisationTable("ones", ((1.0,) * 8,) * 8)
counts = arrays.arrays(np.float32, (16, 24), elements=st.integers(300, 700).map(float))


def _independent(image: np.ndarray, table: QuantisationTable, bits: int) -> np.ndarray:
    """One block after the other, by SciPy's transform."""
    out = np.empty_like(image, dtype=float)
    for row in range(0, image.shape[0], 8):
        for column in range(0, image.shape[1], 8):
            block = image[row : row + 8, column : column + 8].astype(float) - 2 ** (bits - 1)
            whole = np.rint(fft.dctn(block, norm="ortho") / table.array)
            out[row : row + 8, column : column + 8] = fft.idctn(whole * table.array, norm="ortho")
    return np.clip(np.rint(out + 2 ** (bits - 1)), 0, 2**bits - 1)


@pytest.mark.parametrize(("bits", "mean"), [(8, 120), (10, 200), (12, 1500)])
def test_equals_an_independent_transform_of_each_block(bits: int, mean: int) -> None:
    image = np.random.default_rng(0).normal(mean, 20, (64, 48)).astype(np.float32)  # no ties of rounding
    ours, theirs = compress(image, SF008S_A, bits), _independent(image, SF008S_A, bits)
    assert (ours != theirs).mean() < 1e-3  # the last rounding, of 32 and 64 bits
    assert np.abs(ours - theirs).max() <= 1


@given(counts)
def test_a_second_compression_changes_next_to_nothing(image: np.ndarray) -> None:
    once = compress(image, TABLE_OF_ONES)
    assert np.abs(compress(once, TABLE_OF_ONES) - once).max() <= 1


@given(counts)
def test_no_coefficient_moves_by_more_than_half_its_step(image: np.ndarray) -> None:
    moved = compress(image, SF008S_A) - image
    blocks = moved.reshape(2, 8, 3, 8).transpose(0, 2, 1, 3)
    # rounding to whole counts afterwards adds half a count a pixel, four in any coefficient of an orthonormal transform
    assert (np.abs(fft.dctn(blocks, axes=(2, 3), norm="ortho")) <= SF008S_A.array / 2 + 4.001).all()


def test_a_flat_image_keeps_its_level_to_half_a_step_of_the_mean() -> None:
    flat = np.full((16, 16), 201.0, np.float32)
    assert np.ptp(compress(flat, SF008S_A)) == 0
    assert abs(compress(flat, SF008S_A)[0, 0] - 201) <= 1


def test_sides_need_not_be_whole_blocks_and_counts_are_clipped() -> None:
    image = np.random.default_rng(0).uniform(0, 1023, (13, 21)).astype(np.float32)
    out = compress(image, annex_k(50))
    assert out.shape == (13, 21)
    assert out.min() >= 0
    assert out.max() <= 1023


def test_tensors_and_arrays_agree() -> None:
    image = np.random.default_rng(1).normal(200, 20, (2, 1, 32, 40)).astype(np.float32)
    theirs = compress(torch.from_numpy(image), SF008S_A).numpy()
    ours = np.stack([[compress(plane, SF008S_A) for plane in planes] for planes in image])
    assert (ours != theirs).mean() < 0.005


def test_finer_tables_cost_more_bits_and_less_error() -> None:
    image = np.random.default_rng(0).normal(200, 15, (128, 128)).round().astype(np.float32)
    tables = [annex_k(quality) for quality in (60, 80, 90, 96)]
    bits = [entropy_bits_per_px(image, table) for table in tables]
    errors = [float((compress(image, table) - image).std()) for table in tables]
    assert bits == sorted(bits)
    assert errors == sorted(errors, reverse=True)


def test_entropy_of_noise_through_steps_of_one_is_that_of_the_noise() -> None:
    image = np.random.default_rng(0).normal(512, 10, (256, 256)).astype(np.float32)
    assert entropy_bits_per_px(image, TABLE_OF_ONES) == pytest.approx(
        np.log2(10 * np.sqrt(2 * np.pi * np.e)), abs=0.15
    )


def test_at_mean_scales_rounds_clips_and_keeps_what_is_invalid() -> None:
    image = np.array([[100.0, 300.0, np.nan]], np.float32)
    assert at_mean(image, 0.333)[0, :2].tolist() == [33, 100]
    assert np.isnan(at_mean(image, 0.333)[0, 2])
    assert at_mean(image, 4.0)[0, 1] == 1023


def test_the_published_table_is_that_of_quality_92_but_for_two_entries() -> None:
    differing = np.argwhere(SF008S_A.array != annex_k(92).array)
    assert differing.tolist() == [[6, 5], [6, 6]]
    assert len(TABLES) >= 11
    assert [table.assumed for table in TABLES.values()].count(False) == 1
