"""Making a predicted 1-sigma mean what it says, on the validation patches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from orrery.systems.lunar_dtm.data import PatchDataset
from orrery.systems.lunar_dtm.metrics import inner
from orrery.systems.lunar_dtm.model import TerrainModel
from orrery.systems.lunar_dtm.recipes import make_recipe

ONE_SIGMA = 0.6827  # share of a normal distribution within one standard deviation


def calibrated(model: TerrainModel, patches: Path) -> TerrainModel:
    """The model with its 1-sigma scaled so that 68.27 % of the validation pixels lie within it.

    The border of a patch is left out: in a scene the network sees beyond it. A network without an uncertainty gets one
    number: that quantile of its errors, in px.
    """
    assert model.variant is not None
    assert model.network is not None
    data = PatchDataset(patches, "validation", make_recipe(model.variant.recipe))
    errors, sigmas = [], []
    for number in range(len(data)):
        item, encoded, truth = data.item(number)
        with torch.inference_mode():
            output = model.network(item["inputs"][None])[0].float().numpy()
        error, sigma = np.abs(inner(encoded.heights(output) - truth)), encoded.sigma(output)
        known = np.isfinite(error)
        errors.append(error[known])
        sigmas.append(np.ones(int(known.sum()), np.float32) if sigma is None else inner(sigma)[known])
    ratio = float(np.quantile(np.concatenate(errors) / np.concatenate(sigmas), ONE_SIGMA))
    return replace(model, sigma_px=ratio) if sigma is None else replace(model, sigma_scale=ratio)
