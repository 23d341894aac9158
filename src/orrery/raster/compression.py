"""Lossy compression as JPEG does it: 8 x 8 cosine transforms, each coefficient rounded to whole steps of a table.

What follows in a file (Huffman codes) is lossless and changes nothing. Any bit depth; numpy arrays and torch tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from orrery.instruments.quantisation import BLOCK, QuantisationTable

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float32]


def cosines() -> Array:
    """(8, 8) orthonormal cosine transform, a row a frequency."""
    number = np.arange(BLOCK)
    matrix = np.sqrt(2 / BLOCK) * np.cos(np.pi * (2 * number + 1) * number[:, None] / (2 * BLOCK))
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)


def compress(counts: Array, table: QuantisationTable, bits: int = 10) -> Array:
    """An image after compression, whole counts, (H, W).

    Args:
        counts: (H, W), finite; what is missing to whole blocks repeats the last row and column.
        table: of the steps.
        bits: of the counts: they are shifted by half of their range before, and clipped to it after.
    """
    height, width = counts.shape
    blocks = _quantised(counts, table, bits) * table.array
    matrix = cosines()
    restored = np.matmul(np.matmul(matrix.T, blocks), matrix).transpose(0, 2, 1, 3)
    image = restored.reshape(blocks.shape[0] * BLOCK, -1)[:height, :width] + np.float32(2 ** (bits - 1))
    return np.asarray(np.clip(np.rint(image), 0, 2**bits - 1), np.float32)


def compress_tensor(counts: torch.Tensor, table: QuantisationTable, bits: int = 10) -> torch.Tensor:
    """As `compress`, for a batch (..., H, W) on any device; sides are whole blocks."""
    import torch

    matrix = torch.as_tensor(cosines(), device=counts.device)
    steps = torch.as_tensor(table.array, device=counts.device)
    rows, columns = (length // BLOCK for length in counts.shape[-2:])
    blocks = counts.reshape(*counts.shape[:-2], rows, BLOCK, columns, BLOCK).transpose(-2, -3)
    coefficients = torch.round(matrix @ (blocks - 2 ** (bits - 1)) @ matrix.T / steps) * steps
    restored = (matrix.T @ coefficients @ matrix).transpose(-2, -3).flatten(-4, -3).flatten(-2, -1)
    return torch.clamp(torch.round(restored + 2 ** (bits - 1)), 0, 2**bits - 1)


def _quantised(counts: Array, table: QuantisationTable, bits: int) -> Array:
    """(h, w, 8, 8) whole numbers of steps."""
    padding = [(0, -length % BLOCK) for length in counts.shape]
    shifted = np.pad(counts, padding, mode="edge").astype(np.float32) - np.float32(2 ** (bits - 1))
    rows, columns = (length // BLOCK for length in shifted.shape)
    blocks = np.ascontiguousarray(shifted.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3))
    matrix = cosines()
    return np.asarray(np.rint(np.matmul(np.matmul(matrix, blocks), matrix.T) / table.array), np.float32)


def entropy_bits_per_px(counts: Array, table: QuantisationTable, bits: int = 10) -> float:
    """About what a file would hold: the entropy of each coefficient by itself, the mean's as its difference to the block before.

    Huffman codes of runs come near it; headers are not in.
    """
    whole = _quantised(counts, table, bits).astype(np.int64).reshape(-1, BLOCK * BLOCK)
    whole[1:, 0] = np.diff(whole[:, 0])
    return float(sum(_entropy(column) for column in whole.T) / BLOCK**2)


def _entropy(values: NDArray[np.int64]) -> float:
    """Bits per value."""
    share = np.bincount(values - values.min()) / values.size
    share = share[share > 0]
    return float(-(share * np.log2(share)).sum())


def at_mean(counts: Array, factor: float, bits: int = 10) -> Array:
    """An image as if it had been brighter or darker: multiplied, whole counts within the range; NaN stays.

    That is how Iwashita et al. (2025) make an image's mean what they want. Noise is multiplied with the signal.
    """
    return np.asarray(np.clip(np.rint(counts * np.float32(factor)), 0, 2**bits - 1), np.float32)
