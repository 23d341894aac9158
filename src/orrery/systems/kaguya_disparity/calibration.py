"""Making a predicted 1-sigma mean what it says, on the validation patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from orrery.systems.kaguya_disparity.data import PatchDataset
from orrery.systems.kaguya_disparity.model import DisparityModel

ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation
BORDER_PX = 16  # in a scene the network sees beyond it
MOST_PATCHES = 24  # of each some ten thousand pixels


def calibrated(model: DisparityModel, patches: Path) -> DisparityModel:
    """The model with its 1-sigma scaled so that 68.27 % of the validation pixels lie within it.

    A model without a 1-sigma is returned as it is.
    """
    data = PatchDataset(patches, "validation", model.variant)
    ratios: list[np.ndarray] = []
    inner = np.s_[BORDER_PX:-BORDER_PX, BORDER_PX:-BORDER_PX]
    for number in np.linspace(0, len(data) - 1, min(MOST_PATCHES, len(data))).astype(int):
        features, residual, valid = data.planes(number)
        found = model.from_features(features.float(), data.condition(number))
        if found.sigma_px is None:
            return model
        error = np.abs(found.mean_px - residual.float().numpy()) / np.maximum(found.sigma_px, 1e-6)
        ratios.append(error[inner][valid.numpy()[inner] > 0])
    return replace(model, sigma_scale=float(np.quantile(np.concatenate(ratios), ONE_SIGMA)))
