"""Lossy compression as JPEG does it: 8 x 8 cosine transforms, each coefficient rounded to whole steps of a table.

What follows in a file (Huffman codes) is lossless and changes nothing. Any bit depth; numpy arrays and torch tensors.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.quantisation import BLOCK, QuantisationTable

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]
Image = TypeVar("Image", NDArray[Any], "torch.Tensor")


def compress(counts: Image, table: QuantisationTable, bits: int = 10) -> Image:
    """An image after compression, whole counts, (..., H, W) float32.

    Args:
        counts: (..., H, W), array or tensor on any device, finite; what is missing to whole blocks repeats the last row
            and column.
        table: of the steps.
        bits: of the counts: they are shifted by half of their range before, and clipped to it after.
    """
    whole = quantised(counts, table, bits)
    matrix = _like(_cosines(), whole)
    steps = _like(np.tile(table.array / BLOCK, whole.shape[-1] // BLOCK), whole)
    rows = whole.reshape(*whole.shape[:-2], -1, *steps.shape) * steps
    height, width = counts.shape[-2:]
    restored = _separable(rows, matrix.T, matrix).reshape(whole.shape)[..., :height, :width]
    image: Image = (restored + 2.0 ** (bits - 1)).round().clip(0, 2**bits - 1)
    return image


def quantised(counts: Image, table: QuantisationTable, bits: int = 10) -> Image:
    """Coefficients in whole steps; arguments as `compress`.

    Returns:
        (..., H', W') float32, H' and W' the next multiples of 8: that of vertical frequency u and horizontal frequency v of
        the block that begins at (i, j) lies at (i + u, j + v).
    """
    shifted = _whole_blocks(counts) - 2.0 ** (bits - 1)
    matrix = _like(_cosines(), shifted)
    steps = _like(np.tile(table.array * BLOCK, shifted.shape[-1] // BLOCK), shifted)
    rows = shifted.reshape(*shifted.shape[:-2], -1, *steps.shape)
    coefficients: Image = (_separable(rows, matrix, matrix.T) / steps).round()
    return coefficients.reshape(shifted.shape)


def entropy_bits_per_px(counts: Array, table: QuantisationTable, bits: int = 10) -> float:
    """About what a file would hold: the entropy of each coefficient by itself, the mean's as its difference to the block before.

    An estimate: files of libjpeg, whose Huffman codes leave the low bits as they are, take 1.2 times as much at qualities of 50 to
    98 (`benchmarks.bench_compression`). Fewer than a few hundred blocks make it too small.
    """
    whole = quantised(counts, table, bits).astype(np.int64)
    rows, columns = (length // BLOCK for length in whole.shape)
    blocks = whole.reshape(rows, BLOCK, columns, BLOCK).transpose(1, 3, 0, 2).reshape(BLOCK**2, -1)
    blocks[0, 1:] = np.diff(blocks[0])
    return float(sum(_entropy(values) for values in blocks) / BLOCK**2)


def at_mean(counts: Array, factor: float, bits: int = 10) -> Array:
    """An image as if it had been brighter or darker: multiplied, whole counts within the range; NaN stays.

    That is how Iwashita et al. (2025) make an image's mean what they want. Noise is multiplied with the signal.
    """
    return np.asarray(np.clip(np.rint(counts * np.float32(factor)), 0, 2**bits - 1), np.float32)


@lru_cache(maxsize=1)
def _cosines() -> Array:
    """(8, 8) cosine transform, a row a frequency, sqrt(8) times the orthonormal one.

    So scaled, its rows 0 and 4 are whole numbers. With steps of 2, 3 or 4 whole counts often lie half-way between two multiples
    there (a block's mean in one of 24 blocks at a step of 3): their sums are exact, and so the same on every processor.
    """
    number = np.arange(BLOCK)
    matrix = np.cos(np.pi * (2 * number + 1) * number[:, None] / (2 * BLOCK))
    matrix[1:] *= np.sqrt(2)
    return np.asarray(matrix, np.float32)


# Below, an image is an array or a tensor, whose methods bear the same names.


def _separable(rows: Any, left: Any, right: Any) -> Any:
    """Each block between two matrices; (..., H / 8, 8, W)."""
    return left @ (rows.reshape(-1, BLOCK) @ right).reshape(rows.shape)


def _whole_blocks(counts: Any) -> Any:
    """As float32, the last row and column repeated."""
    image = counts.astype(np.float32, copy=False) if isinstance(counts, np.ndarray) else counts.float()
    height, width = image.shape[-2:]
    if height % BLOCK:
        image = image[..., _repeated(height), :]
    return image[..., _repeated(width)] if width % BLOCK else image


def _repeated(length: int) -> NDArray[np.int64]:
    """Indices up to a multiple of 8, the last one again and again."""
    return np.minimum(np.arange(length + -length % BLOCK), length - 1)


def _like(values: Array, image: Any) -> Any:
    return values if isinstance(image, np.ndarray) else image.new_tensor(values)


def _entropy(values: NDArray[np.int64]) -> float:
    """Bits per value."""
    share = np.bincount(values - values.min()) / values.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())
