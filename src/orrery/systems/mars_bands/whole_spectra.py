"""Judging predicted spectra of all bands, on the cells of the cube as aligned: its own sampling, and a ninth of the image's pixels."""

from __future__ import annotations

import numpy as np

from orrery.systems.mars_bands.metrics import rmse, spectral_angle_deg
from orrery.systems.mars_bands.model import BandsModel, Reflectance
from orrery.systems.mars_bands.params import ClipParams
from orrery.systems.mars_bands.patches import Array, clip
from orrery.systems.mars_bands.placed import PlacedScene
from orrery.systems.mars_bands.spectral import SpectralBasis, check_bands


def at_cells(
    model: BandsModel, targets: Reflectance, scene: PlacedScene, params: ClipParams
) -> tuple[Reflectance, Array]:
    """All bands predicted, and those of the cube, (B, h, w) I/F.

    Args:
        model: of whole spectra.
        targets: what it gave for the scene's image.
        scene: the scene.
        params: how the cube's bands are clipped, each by itself.

    Raises:
        OrreryError: the cube has other bands than the model.
    """
    cube = scene.spectra()
    check_bands(cube.wavelengths_nm.tolist(), model.bands_nm, scene.scene.folder)
    step = scene.image.grid.height // cube.grid.height
    middle = np.s_[:, step // 2 :: step, step // 2 :: step]
    values, sigma = (None if part is None else part[middle] for part in (targets.values, targets.sigma))
    assert values is not None
    found = model.bands(Reflectance(values, sigma, None, None))
    return found, np.stack([clip(band, params) for band in cube.values])


def lost_by_basis(basis: SpectralBasis, truth: Array) -> dict[str, float]:
    """What no prediction of coefficients can give back of (B, h, w) I/F: noise for the most part."""
    back = basis.decode(basis.encode(truth))
    angle = spectral_angle_deg(back, truth)
    return {"basis_rmse_if": rmse(back, truth), "basis_spectral_angle_deg": float(np.nanmean(angle))}
