"""A stereo pair as it comes: both products read, checked against each other, in counts, with where one lies on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from orrery.errors import OrreryError
from orrery.instruments.quantisation import QuantisationTable, read_table
from orrery.instruments.terrain_camera import TABLES
from orrery.raster.stereo.match import filled
from orrery.raster.terrain_camera_product import Product, read_product
from orrery.raster.windows import block_means

Array = NDArray[np.float32]

COARSE_PX = 8  # the first look at where the images meet is at this many pixels to one
BACKGROUND_PX = 16.0  # of those: what is smoother is slope and albedo at large
LEAST_SHARED = 0.3  # of an image's rows
LEAST_AGREEMENT = 0.5  # correlation of the images where they meet, at the coarse look


@dataclass(frozen=True)
class Pair:
    """Two images of one ground.

    Attributes:
        left: counts of the telescope that looks ahead, (H, W), NaN invalid.
        right: counts of the one that looks back, (Hr, W), on the same columns.
        middle_px: rows from the left to the right image, about.
        columns: first column of each in its product.
        agreement: correlation where the images meet, at the coarse look.
        products: as read.
    """

    left: Array
    right: Array
    middle_px: int
    columns: tuple[int, int]
    agreement: float
    products: tuple[Product, Product]

    @property
    def mean_count(self) -> float:
        """Of all valid pixels of both images."""
        values = [image[np.isfinite(image)] for image in (self.left, self.right)]
        return float(np.concatenate(values).mean(dtype=np.float64))

    @property
    def overlap_fraction(self) -> float:
        """Share of the left image's rows that the right one shows too."""
        height, other = len(self.left), len(self.right)
        shared = min(height, other - self.middle_px) - max(0, -self.middle_px)
        return max(shared, 0) / height


def read_pair(left: Path, right: Path, scale: float | None = None) -> Pair:
    """Read two products and lay one on the other.

    Args:
        left: of the telescope that looks ahead (TC1).
        right: of the one that looks back (TC2).
        scale: factor that makes the values of images without a label counts.

    Raises:
        OrreryError: a product is broken; the two are of one telescope, were compressed with different tables, or do not
            show the same ground.
    """
    products = read_product(left, scale=scale), read_product(right, scale=scale)
    _check(products, (left, right))
    images = tuple(product.counts for product in products)
    rows, columns, agreement = where_they_meet(*images)
    height, other = len(images[0]), len(images[1])
    shared = min(height, other - rows) - max(0, -rows)
    if shared < LEAST_SHARED * height or agreement < LEAST_AGREEMENT:
        problem = f"shows no ground of {left.name} (best agreement {agreement:.2f})"
        raise OrreryError(
            problem, file=right, remedy="give two views of one ground, TC1 and TC2 of one orbit"
        )
    width = min(images[0].shape[1] - max(0, -columns), images[1].shape[1] - max(0, columns))
    first, second = max(0, -columns), max(0, columns)
    return Pair(
        images[0][:, first : first + width],
        images[1][:, second : second + width],
        rows,
        (first, second),
        agreement,
        products,
    )


def _check(products: tuple[Product, Product], files: tuple[Path, Path]) -> None:
    """What two labels must agree on."""
    left, right = products
    if left.camera and left.camera == right.camera:
        remedy = "give --left TC1 and --right TC2 of one orbit"
        raise OrreryError(f"is of {right.camera}, as {files[0].name} is", file=files[1], remedy=remedy)
    if left.camera == "TC2":
        raise OrreryError("is of TC2, which looks back", file=files[0], remedy="exchange --left and --right")
    if left.table != right.table:
        problem = (
            f"was compressed with {right.table or 'no table'}, {files[0].name} with {left.table or 'none'}"
        )
        raise OrreryError(problem, file=files[1], remedy="give two products of one compression")


def where_they_meet(left: Array, right: Array) -> tuple[int, int, float]:
    """Rows and columns from the left to the right image, to a few pixels, and the correlation there.

    Both images, without what is smoother than a hundred pixels or so, are correlated at an eighth of their resolution at all
    shifts at once; each shift counts only the pixels that both images show.
    """
    coarse = [_flattened(image) for image in (left, right)]
    shape = tuple(
        fft.next_fast_len(a + b, real=True) for a, b in zip(coarse[0].shape, coarse[1].shape, strict=True)
    )
    spectra = [
        [fft.rfft2(part, shape) for part in (image, image**2, np.ones_like(image))] for image in coarse
    ]

    def correlated(first: int, second: int) -> Array:
        return np.asarray(fft.irfft2(np.conj(spectra[0][first]) * spectra[1][second], shape), np.float32)

    count = correlated(2, 2)
    power = np.sqrt(np.maximum(correlated(1, 2), 1e-6) * np.maximum(correlated(2, 1), 1e-6))
    score = np.where(count > LEAST_SHARED * coarse[0].size, correlated(0, 0) / power, -1)
    place = np.unravel_index(int(np.argmax(score)), shape)
    rows, columns = (
        (int(p) if p < length // 2 else int(p) - length) * COARSE_PX
        for p, length in zip(place, shape, strict=True)
    )
    return rows, columns, float(score[place])


def _flattened(image: Array) -> Array:
    """Local contrast at the coarse resolution."""
    height, width = (length // COARSE_PX * COARSE_PX for length in image.shape)
    coarse = filled(block_means(image[:height, :width], COARSE_PX))
    return np.asarray(coarse - ndimage.gaussian_filter(coarse, BACKGROUND_PX, mode="nearest"), np.float32)


def tables(own: Mapping[str, Path] | None = None) -> dict[str, QuantisationTable]:
    """All tables by name: the camera's, and a user's own.

    Raises:
        OrreryError: a file holds no table.
    """
    return {**TABLES, **{name: read_table(path, name) for name, path in (own or {}).items()}}
