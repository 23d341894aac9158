"""The spectral basis on spectra of a CRISM MTRDR cube."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import rasterio

from orrery.seeds import stream
from orrery.systems.mars_bands.spectral import PHYSICAL, SpectralBasis

pytestmark = pytest.mark.real


def test_six_components_hold_the_489_bands_of_a_cube(shared_data):
    """FRT0000932C, every 30th to 40th pixel: fitted on every other spectrum, judged on the rest and on hidden bands."""
    folder = shared_data / "mars" / "crism"
    with rasterio.open(folder / "frt0000932c_07_if164j_mtr3_subsampled.tif") as source:
        cube = source.read()
    with (folder / "mtrdr_joined_wavelengths_489.csv").open() as file:
        rows = [row for row in csv.reader(file) if row and row[0].isdigit()]
    spectra = cube.reshape(489, -1).T
    basis = SpectralBasis.fit(spectra[::2], [float(row[-1]) for row in rows], 6)
    judged = spectra[1::2].T[:, :, None]
    report = basis.report(judged)
    assert report["explained_variance"] > 0.99
    assert report["rmse"] < 0.002
    assert report["spectral_angle_median_deg"] < 0.5
    known = (judged > PHYSICAL[0]) & (judged < PHYSICAL[1])
    hidden = known & (stream(0, "hidden").random(judged.shape) < 0.3)
    back = basis.decode(basis.encode(np.where(hidden, np.nan, judged)))
    assert np.sqrt(np.mean((back - judged)[hidden] ** 2)) < 0.0025
