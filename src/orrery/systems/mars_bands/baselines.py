"""What must be beaten: the mean of each band, a straight line from the CTX image, and the nearest training pixels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from orrery.seeds import stream
from orrery.systems.mars_bands.data import PatchDataset
from orrery.systems.mars_bands.normalisation import base_of, logarithm
from orrery.systems.mars_bands.params import VariantParams
from orrery.systems.mars_bands.tile import Tile

Array = NDArray[np.float32]
PIXELS = 40_000  # training pixels drawn for the fits
NEIGHBOURS = 25
SCALES_PX = (3.0, 10.0)  # over which brightness and roughness are looked at


class Judged(Protocol):
    """Anything that turns a tile into bands."""

    @property
    def name(self) -> str:
        """Row of the tables."""
        ...

    def bands(self, tile: Tile) -> Array:
        """(B, H, W) I/F."""
        ...


@dataclass(frozen=True)
class Mean:
    """The training mean of each band, everywhere."""

    mean: Array
    name: str = "mean"

    def bands(self, tile: Tile) -> Array:
        """(B, H, W) I/F."""
        return np.broadcast_to(self.mean[:, None, None], (len(self.mean), *tile.image.shape))


@dataclass(frozen=True)
class Linear:
    """A straight line from the image at CRISM's resolution to each band, by least squares over training pixels."""

    slope: Array
    offset: Array
    name: str = "linear"

    def bands(self, tile: Tile) -> Array:
        """(B, H, W) I/F."""
        base = base_of(tile.image, tile.gsd_m)
        return self.slope[:, None, None] * base + self.offset[:, None, None]


@dataclass(frozen=True)
class Nearest:
    """The mean band ratios of the training pixels that look most alike: brightness and roughness at two scales."""

    tree: cKDTree
    log_ratios: Array
    scale: Array
    name: str = "nearest"

    def bands(self, tile: Tile) -> Array:
        """(B, H, W) I/F; every other pixel is looked up, since nothing finer than CRISM's is known."""
        base = base_of(tile.image, tile.gsd_m)
        looks = features(tile.image, base)[:, ::2, ::2]
        flat = np.nan_to_num(looks.reshape(len(looks), -1).T) / self.scale
        _, found = self.tree.query(flat, NEIGHBOURS, workers=-1)
        ratios = self.log_ratios[found].mean(1).T.reshape(-1, *looks.shape[1:])
        full = np.repeat(np.repeat(ratios, 2, 1), 2, 2)[:, : base.shape[0], : base.shape[1]]
        return np.asarray(np.exp(full) * base, np.float32)


def features(image: Array, base: Array) -> Array:
    """(1 + 2 scales, H, W): log brightness at CRISM's resolution, then log contrast and log roughness at each scale."""
    valid = np.isfinite(image)
    level = np.where(valid, logarithm(np.nan_to_num(base)), 0)
    detail = np.where(valid, logarithm(np.nan_to_num(image)) - level, 0)
    planes = [level]
    for scale in SCALES_PX:
        planes.append(level - ndimage.gaussian_filter(level, 3 * scale))
        planes.append(0.5 * np.log(ndimage.gaussian_filter(detail**2, scale) + 1e-8))
    return np.stack(planes).astype(np.float32)


def baselines(root: Path, variant: VariantParams, kept_nm: list[float]) -> list[Judged]:
    """All three, fitted to the training patches with the bands and the placement of `variant`."""
    base, looks, bands = _sample(
        PatchDataset(root, "train", variant, kept_nm), stream(0, "mars-bands", "baselines")
    )
    mean = bands.mean(1)
    centred = base - base.mean()
    slope = (bands * centred).mean(1) / (centred**2).mean()
    scale = looks.std(1)
    tree = cKDTree((looks / scale[:, None]).T)
    ratios = (logarithm(bands) - logarithm(base)).T
    return [Mean(mean), Linear(slope, mean - slope * base.mean()), Nearest(tree, ratios, scale)]


def _sample(data: PatchDataset, random: np.random.Generator) -> tuple[Array, Array, Array]:
    """(N,) base, (F, N) features and (B, N) bands of pixels drawn evenly from all patches."""
    each = max(1, PIXELS // len(data))
    bases, looks, bands = [], [], []
    for number in range(len(data)):
        planes = data.planes(number)
        valid = np.flatnonzero(np.isfinite(planes["bands"]).all(0) & np.isfinite(planes["image"]))
        chosen = random.choice(valid, min(each, len(valid)), replace=False)
        seen = features(planes["image"], planes["base"])
        bases.append(planes["base"].ravel()[chosen])
        looks.append(seen.reshape(len(seen), -1)[:, chosen])
        bands.append(planes["bands"].reshape(len(planes["bands"]), -1)[:, chosen])
    return np.concatenate(bases), np.concatenate(looks, 1), np.concatenate(bands, 1)
