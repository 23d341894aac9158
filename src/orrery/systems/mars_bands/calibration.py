"""Making a predicted 1-sigma mean what it says, band by band, on the validation patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from orrery.systems.mars_bands.data import PatchDataset
from orrery.systems.mars_bands.model import BandsModel
from orrery.systems.mars_bands.tile import Tile

ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
BORDER_PX = 16  # in a scene the network sees beyond it


def calibrated(model: BandsModel, patches: Path, kept_nm: list[float]) -> BandsModel:
    """The model with the 1-sigma of each band, or coefficient, scaled so that 68.27 % of the validation pixels lie within it.

    A model without a 1-sigma is returned as it is.
    """
    data = PatchDataset(patches, "validation", model.variant, kept_nm)
    inner = np.s_[:, BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    ratios: list[list[np.ndarray]] = [[] for _ in range(model.variant.targets)]
    for number in range(len(data)):
        planes = data.planes(number)
        statistics, _ = data.own(number, planes["image"], planes["bands"])
        found = model.targets(Tile(planes["image"], planes.get("dem"), statistics, data.gsd_m(number)))
        if found.sigma is None:
            return model
        error = np.abs(found.values - planes["bands"])[inner] / np.maximum(found.sigma[inner], 1e-6)
        for band, ratio in zip(ratios, error, strict=True):
            band.append(ratio[np.isfinite(ratio)])
    scale = tuple(float(np.quantile(np.concatenate(band), ONE_SIGMA)) for band in ratios)
    return replace(model, sigma_scale=scale)
