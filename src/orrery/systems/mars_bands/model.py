"""A trained network together with its recipe: tiles in, bands in I/F out.

A network that predicts coefficients of whole spectra has its tiles blended as such, hundreds of bands being too many to hold; since
bands are linear in them, `finished` gives what blending the bands would. (Not so their 1-sigma, which is of blended ones.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orrery.errors import OrreryError
from orrery.files import reading
from orrery.systems.base import RECIPE, RETRAIN
from orrery.systems.mars_bands.heads import Head, padded
from orrery.systems.mars_bands.nets import input_size
from orrery.systems.mars_bands.normalisation import Normalisation, base_of, statistics_of
from orrery.systems.mars_bands.params import VariantParams
from orrery.systems.mars_bands.spectral import SpectralBasis
from orrery.systems.mars_bands.tile import HEIGHT_SCALE_M, Tile

Array = NDArray[np.float32]
CONTEXT_PX = 32


@dataclass(frozen=True)
class Reflectance:
    """Bands of a tile, (B, H, W) I/F; 1-sigma in I/F and confidence in [0, 1] where the model has them.

    Attributes:
        scores: z-scores as an image- or patch-wise network gives them, whose I/F leans on means of training scenes.
    """

    values: Array
    sigma: Array | None
    confidence: Array | None
    scores: Array | None

    def of(self, bands: Sequence[int]) -> Reflectance:
        """Some of the bands."""
        parts = (self.values, self.sigma, self.confidence, self.scores)
        return Reflectance(*(None if part is None else part[list(bands)] for part in parts))  # type: ignore[arg-type]


@dataclass(frozen=True)
class BandsModel:
    """Predicts bands for tiles of any size.

    Attributes:
        name: the variant.
        network: (N, C, H, W) to (N, outputs, H, W).
        variant: what the network was trained as.
        normalisation: with the statistics of the training scenes.
        sigma_scale: calibrates the predicted 1-sigma on validation patches, one factor a band or coefficient.
        region: whose mean brings a z-score of the image back to I/F; None: of all training scenes.
        basis: of whole spectra, whose coefficients the network predicts; None where it predicts bands.
    """

    name: str
    network: Callable[[Tensor], Tensor]
    variant: VariantParams
    normalisation: Normalisation
    sigma_scale: tuple[float, ...]
    region: str | None = None
    basis: SpectralBasis | None = None

    @property
    def bands_nm(self) -> tuple[float, ...]:
        """Wavelengths of the predicted bands, in the variant's order."""
        if self.basis is not None:
            return self.basis.wavelengths_nm
        assert self.variant.bands != "all"
        return tuple(self.variant.bands)

    @property
    def wavelengths_nm(self) -> tuple[float, ...]:
        """Of the predicted bands, ascending."""
        return tuple(sorted(self.bands_nm))

    @property
    def uses_dem(self) -> bool:
        """Whether tiles must have heights."""
        return self.variant.dem

    @property
    def context_px(self) -> int:
        """Border wanted round a tile."""
        return CONTEXT_PX

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes of a product: bands, then their 1-sigma and confidence where there is one."""
        return self._planes([f"{band:.2f} nm" for band in self.wavelengths_nm])

    @property
    def blended(self) -> tuple[str, ...]:
        """Names of the planes that `predict` returns: those of a product, or of coefficients."""
        if self.basis is None:
            return self.planes
        return self._planes([f"coefficient {number}" for number in range(1, self.variant.targets + 1)])

    def _planes(self, values: Sequence[str]) -> tuple[str, ...]:
        head = Head.of(self.variant)
        kinds = ["", *(["sigma "] if head.has_sigma else []), *(["confidence "] if head.bins else [])]
        return tuple(f"{kind}{value}" for kind in kinds for value in values)

    def recipe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data; `from_recipe` reads it back."""
        return {
            "name": self.name,
            "variant": self.variant.model_dump(),
            "normalisation": self.normalisation.to_dict(),
            "sigma_scale": list(self.sigma_scale),
            "basis": self.basis and self.basis.to_dict(),
        }

    @classmethod
    def from_recipe(
        cls, recipe: Mapping[str, Any], network: Callable[[Tensor], Tensor], region: str | None = None
    ) -> BandsModel:
        """Join a recipe and a loaded network.

        Raises:
            OrreryError: the recipe is damaged.
        """
        with reading(RECIPE, "the recipe of a model of mars-bands", RETRAIN):
            variant = VariantParams.model_validate(recipe["variant"])
            normalisation = Normalisation.from_dict(recipe["normalisation"])
            basis, scale = recipe.get("basis"), tuple(float(factor) for factor in recipe["sigma_scale"])
            spectral = SpectralBasis.from_dict(basis) if basis else None
            counts = [len(scale), len(normalisation.overall.mean), len(normalisation.ratio.mean)]
            if (spectral is None) is (variant.bands == "all") or set(counts) != {variant.targets}:
                raise ValueError("its parts are of differing numbers of bands")
            return cls(str(recipe["name"]), network, variant, normalisation, scale, region, spectral)

    def predict(self, tiles: Sequence[Tile]) -> list[Array]:
        """The planes `blended` of each tile, (P, H, W); NaN where the image is invalid."""
        order = np.argsort(self.bands_nm) if self.basis is None else np.arange(self.variant.targets)
        found = []
        for tile in tiles:
            each = self.targets(tile)
            parts = [part[order] for part in (each.values, each.sigma, each.confidence) if part is not None]
            found.append(np.concatenate(parts))
        return found

    def finished(self, blended: Array) -> Array:
        """The planes of a product, (P, ...), from planes `blended`, (P', ...)."""
        if self.basis is None:
            return blended
        values, *sigma = np.split(blended, len(blended) // self.variant.targets)
        return np.concatenate([self.basis.decode(values), *map(self.basis.sigma, sigma)])

    def reflectance(self, tile: Tile) -> Reflectance:
        """Bands of one tile in the order of the variant; NaN where the image is invalid.

        Raises:
            OrreryError: as `targets`.
        """
        return self.bands(self.targets(tile))

    def bands(self, targets: Reflectance, chosen: Sequence[int] | None = None) -> Reflectance:
        """All bands, or those at some positions in the order of the variant, of what `targets` gave."""
        if self.basis is None:
            return targets if chosen is None else targets.of(chosen)
        basis = self.basis if chosen is None else self.basis.of(chosen)
        sigma = None if targets.sigma is None else basis.sigma(targets.sigma)
        return Reflectance(basis.decode(targets.values), sigma, None, None)

    def targets(self, tile: Tile) -> Reflectance:
        """What is learned of each pixel of a tile, bands or coefficients, in I/F; NaN where the image is invalid.

        Raises:
            OrreryError: the model needs heights and the tile has none.
        """
        statistics = tile.statistics
        image = np.clip(tile.image, statistics.low, statistics.high)
        if self.variant.normalisation == "patch":
            statistics = statistics_of(image)
        planes = [self.normalisation.image(image, statistics)]
        if self.variant.dem:
            if tile.dem_m is None:
                remedy = "give every scene a DEM, or a variant without `dem`"
                raise OrreryError(f"{self.name} needs heights, which a scene lacks", remedy=remedy)
            planes.append(np.nan_to_num((tile.dem_m - np.nanmean(tile.dem_m)) / HEIGHT_SCALE_M))
        values, sigma, confidence = self._forward(np.stack(planes).astype(np.float32))
        base = base_of(image, tile.gsd_m)
        reflectance = self.normalisation.reflectance(values, base, self.region)
        if sigma is not None:
            scale = np.asarray(self.sigma_scale, np.float32)[:, None, None]
            sigma = self.normalisation.spread(sigma * scale, reflectance, self.region)
        invalid = ~np.isfinite(tile.image)
        scores = values if self.variant.normalisation in ("image", "patch") else None
        kept = [None if part is None else np.where(invalid, np.float32(np.nan), part)
                for part in (reflectance, sigma, confidence, scores)]  # fmt: skip
        return Reflectance(*kept)  # type: ignore[arg-type]

    def _forward(self, inputs: Array) -> tuple[Array, Array | None, Array | None]:
        """Pad to a multiple of the network's stride, run it, crop; (B, H, W) each."""
        height, width = inputs.shape[-2:]
        with torch.inference_mode():
            planes = self.network(
                padded(torch.from_numpy(inputs[None]), input_size(self.variant.network))
            ).float()
            parts = Head.of(self.variant).values(planes[..., :height, :width])
        values, sigma, confidence = (None if part is None else part[0].cpu().numpy() for part in parts)
        assert values is not None
        return values, sigma, confidence
