"""A trained network together with its recipe: tiles in, heights in metres out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from torch import Tensor

from orrery.files import reading
from orrery.systems.base import RECIPE, RETRAIN
from orrery.systems.lunar_dtm.features import Planes, Tile, make_planes
from orrery.systems.lunar_dtm.params import VariantParams
from orrery.systems.lunar_dtm.photoclinometry import Spectra
from orrery.systems.lunar_dtm.recipes import Encoded, make_recipe

Array = NDArray[np.float32]
MULTIPLE_PX = 32  # every network halves the resolution five times


@dataclass(frozen=True)
class TerrainModel:
    """Predicts heights and 1-sigma for tiles of any size.

    Attributes:
        name: the variant, or "bicubic" / "photoclinometry" for the baselines that need no network.
        network: (N, C, H, W) to (N, 1 or 2, H, W); None for a baseline.
        variant: what the network was trained as; None for a baseline.
        spectra: of photoclinometry.
        sigma_scale: calibrates the predicted 1-sigma on validation scenes.
        sigma_px: the 1-sigma of a network that predicts none, px.
    """

    name: str
    network: Callable[[Tensor], Tensor] | None
    variant: VariantParams | None
    spectra: Spectra
    sigma_scale: float = 1.0
    sigma_px: float = float("nan")

    @property
    def context_px(self) -> int:
        """Border around a tile that the filter and the network want to see."""
        return 0 if self.variant is not None and self.variant.recipe.name == "paper" else 64

    def recipe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data; `from_recipe` reads it back."""
        variant = self.variant.model_dump() if self.variant else None
        return {
            "name": self.name,
            "variant": variant,
            "spectra": self.spectra.to_dict(),
            "sigma_scale": self.sigma_scale,
            "sigma_px": None if np.isnan(self.sigma_px) else self.sigma_px,
        }

    @classmethod
    def from_recipe(cls, recipe: dict[str, Any], network: Callable[[Tensor], Tensor] | None) -> TerrainModel:
        """Join a recipe and a loaded network.

        Raises:
            OrreryError: the recipe is damaged.
        """
        with reading(RECIPE, "the recipe of a model of lunar-dtm", RETRAIN):
            variant = VariantParams.model_validate(recipe["variant"]) if recipe["variant"] else None
            sigma_px = float("nan") if recipe["sigma_px"] is None else float(recipe["sigma_px"])
            spectra = TypeAdapter(Spectra).validate_python(recipe["spectra"])
            return cls(str(recipe["name"]), network, variant, spectra, float(recipe["sigma_scale"]), sigma_px)

    def predict(self, tiles: Sequence[Tile]) -> list[tuple[Array, Array]]:
        """Heights and 1-sigma, m, each (H, W) as its tile; NaN where the image is invalid."""
        return [self._predict(tile) for tile in tiles]

    def _predict(self, tile: Tile) -> tuple[Array, Array]:
        planes = make_planes(
            tile.image,
            tile.exposure,
            tile.coarse_m,
            tile.gsd_m,
            tile.sun,
            self.spectra,
            tile.posting_m / tile.gsd_m,
        )
        heights, sigma = self.heights(planes)
        invalid = ~np.isfinite(tile.image) | ~np.isfinite(tile.coarse_m)
        heights_m = np.where(invalid, np.nan, heights * tile.gsd_m).astype(np.float32)
        return heights_m, np.where(invalid, np.nan, sigma * tile.gsd_m).astype(np.float32)

    def heights(self, planes: Planes) -> tuple[Array, Array]:
        """Heights and 1-sigma in px for whole planes of any size."""
        if self.network is None or self.variant is None:
            added = planes.photoclinometry if self.name == "photoclinometry" else 0.0
            return planes.coarse + added, np.full(planes.coarse.shape, self.sigma_px, np.float32)
        encoded = make_recipe(self.variant.recipe).encode(planes)
        output = self._forward(encoded)
        sigma = encoded.sigma(output)
        if sigma is None:
            return encoded.heights(output), np.full(planes.coarse.shape, self.sigma_px, np.float32)
        return encoded.heights(output), sigma * self.sigma_scale

    def _forward(self, encoded: Encoded) -> Array:
        """Pad to a multiple of the network's stride, run it, crop."""
        assert self.network is not None
        height, width = encoded.inputs.shape[-2:]
        pad = [(0, 0), (0, -height % MULTIPLE_PX), (0, -width % MULTIPLE_PX)]
        inputs = np.pad(encoded.inputs, pad, mode="symmetric")
        with torch.inference_mode():
            output = self.network(torch.from_numpy(np.ascontiguousarray(inputs[None])))
        return np.asarray(output[0, :, :height, :width].float().cpu().numpy())
