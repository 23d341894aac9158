"""Tiling and blending against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from orrery.errors import OrreryError
from orrery.raster.tiles import Axis, RowBlender, corners, stretch


@given(size=st.integers(1, 3000), tile=st.integers(2, 400), data=st.data())
def test_axis_covers_every_pixel_with_enough_overlap(size, tile, data):
    overlap = data.draw(st.integers(0, tile - 1))
    axis = Axis.over(size, tile, overlap)
    assert axis.starts[0] == 0
    assert axis.starts[-1] + axis.tile == size
    assert all(a + axis.tile - b >= overlap for a, b in zip(axis.starts, axis.starts[1:], strict=False))
    assert all(b > a for a, b in zip(axis.starts, axis.starts[1:], strict=False))


def test_axis_uses_no_more_tiles_than_shifting_the_last_one_inward():
    axis = Axis.over(20_000, 256, 100)
    assert len(axis.starts) == -(-(20_000 - 100) // 156)
    assert axis.starts[1] == 155  # spread evenly: a stride of at most 156


def test_raster_smaller_than_a_tile_shrinks_it():
    axis = Axis.over(90, 256, 100)
    assert (axis.tile, axis.starts, axis.finished(0)) == (90, (0,), 90)
    np.testing.assert_array_equal(axis.weights(0), np.ones(90))


@pytest.mark.parametrize("overlap", [256, 300, -1])
def test_overlap_must_leave_a_pixel(overlap):
    with pytest.raises(OrreryError, match="overlap"):
        Axis.over(1000, 256, overlap)


@given(
    shape=st.tuples(st.integers(40, 200), st.integers(40, 200)),
    tile=st.tuples(st.integers(20, 40), st.integers(20, 40)),
    overlap=st.integers(0, 19),
)
def test_patches_cover_a_raster_in_rows_of_equal_columns(shape, tile, overlap):
    found = corners(shape, tile, overlap)
    covered = np.zeros(shape, bool)
    for row, column in found:
        assert covered[row : row + tile[0], column : column + tile[1]].shape == tile
        covered[row : row + tile[0], column : column + tile[1]] = True
    assert covered.all()
    assert found == sorted(set(found))
    fewest = [-(-(size - overlap) // (part - overlap)) for size, part in zip(shape, tile, strict=True)]
    assert len(found) == fewest[0] * fewest[1]


def test_patches_of_a_known_raster():
    assert corners((64, 160), (64, 64), 16) == [(0, 0), (0, 48), (0, 96)]
    assert corners((64, 64), (64, 64), 16) == [(0, 0)]


@pytest.mark.parametrize("shape", [(63, 200), (200, 63)])
def test_a_raster_smaller_than_a_patch_is_refused(shape):
    with pytest.raises(
        OrreryError, match=f"{shape[0]} x {shape[1]} px is smaller than a patch of 64 x 64 px"
    ):
        corners(shape, (64, 64), 16)


def test_weights_are_a_partition_of_unity_and_full_at_the_border():
    axis = Axis.over(1000, 256, 100)
    total = np.zeros(1000)
    for index, start in enumerate(axis.starts):
        total[start : start + 256] += axis.weights(index)
    np.testing.assert_allclose(total, 1, atol=1e-6)
    assert axis.weights(0)[0] == 1
    assert axis.weights(len(axis.starts) - 1)[-1] == 1
    assert 0 < axis.weights(1)[0] < 0.01


def _blend(truth, tile, overlap, spoil):
    rows, columns = (Axis.over(size, tile, overlap) for size in truth.shape)
    blender, bands = RowBlender(truth.shape[1], 1), []
    for i, row in enumerate(rows.starts):
        for j, column in enumerate(columns.starts):
            part = truth[row : row + rows.tile, column : column + columns.tile]
            blender.add(row, column, np.outer(rows.weights(i), columns.weights(j)), [spoil(part, i, j)])
        bands.append(blender.finish(rows.finished(i)))
        assert blender.sums.shape[1] < tile
    return np.concatenate(bands, axis=1)[0]


def test_blending_identical_tiles_gives_the_raster_back():
    truth = np.random.default_rng(1).normal(size=(333, 271)).astype(np.float32)
    np.testing.assert_allclose(_blend(truth, 64, 20, lambda part, i, j: part), truth, atol=1e-5)


def test_blending_is_the_weighted_mean_of_all_tiles():
    shape, rng = (150, 140), np.random.default_rng(2)
    rows, columns = Axis.over(150, 64, 20), Axis.over(140, 64, 20)
    offsets = rng.normal(size=(len(rows.starts), len(columns.starts)))
    above, below = np.zeros(shape), np.zeros(shape)
    for i, row in enumerate(rows.starts):
        for j, column in enumerate(columns.starts):
            weight = np.outer(rows.weights(i), columns.weights(j))
            above[row : row + 64, column : column + 64] += weight * offsets[i, j]
            below[row : row + 64, column : column + 64] += weight
    blended = _blend(np.zeros(shape, np.float32), 64, 20, lambda part, i, j: part + np.float32(offsets[i, j]))
    np.testing.assert_allclose(blended, above / below, atol=1e-5)


def test_invalid_pixels_of_one_tile_are_filled_by_the_other_and_never_spread():
    truth = np.full((100, 100), 5, np.float32)
    truth[10:20, 10:20] = np.nan

    def spoil(part, i, j):
        part = part.copy()
        if (i, j) == (0, 0):
            part[:, 50:] = np.nan  # seen by the next tile as well
        return part

    blended = _blend(truth, 64, 28, spoil)
    np.testing.assert_array_equal(np.isnan(blended), np.isnan(truth))
    np.testing.assert_allclose(blended[np.isfinite(truth)], 5, rtol=1e-6)


def test_blender_restored_from_its_sums_goes_on_identically():
    tile, weight = np.arange(64, dtype=np.float32).reshape(8, 8), np.ones((8, 8), np.float32)
    one = RowBlender(8, 1)
    one.add(0, 0, weight, [tile])
    one.finish(5)
    two = RowBlender(8, 1, one.first_row, one.sums.copy())
    for blender in (one, two):
        blender.add(5, 0, weight, [tile])
    np.testing.assert_array_equal(one.finish(13), two.finish(13))


def test_stretch_is_bilinear_and_constant_beyond_the_edge():
    field = np.random.default_rng(3).normal(size=(6, 7)).astype(np.float32)
    rows, columns = np.linspace(-1, 6, 40), np.linspace(-2, 8, 50)
    grid = np.meshgrid(rows, columns, indexing="ij")
    np.testing.assert_allclose(
        stretch(field, rows, columns), map_coordinates(field, grid, order=1, mode="nearest"), atol=1e-5
    )


def test_stretch_of_a_single_value_is_constant():
    np.testing.assert_array_equal(
        stretch(np.full((1, 1), 3, np.float32), np.arange(4), np.arange(5)), np.full((4, 5), 3)
    )
