import json

import numpy as np
import pytest
from scipy.linalg import subspace_angles

from orrery.errors import OrreryError
from orrery.seeds import stream
from orrery.systems.mars_bands.spectral import SpectralBasis

BANDS, RANK, NOISE = 60, 4, 0.002
WAVELENGTHS = np.linspace(440.0, 3900.0, BANDS)


def spectra(count=900, noise=NOISE, name="spectra"):
    """Smooth spectra about 0.25 from four absorption bands of varying depth."""
    draws = stream(0, name)
    centres = np.array([900.0, 1900.0, 2300.0, 3000.0])
    shapes = np.exp(-(((WAVELENGTHS - centres[:, None]) / 250) ** 2))
    depths = draws.normal(0, [0.05, 0.04, 0.02, 0.015], (count, RANK))
    return 0.25 - depths @ shapes + draws.normal(0, noise, (count, BANDS)), shapes


@pytest.fixture(scope="module")
def basis():
    return SpectralBasis.fit(spectra()[0], WAVELENGTHS, RANK)


def as_cube(values):
    return values.T[:, :, None].astype(np.float32)


def test_components_are_the_right_singular_vectors(basis):
    values = spectra()[0]
    centred = values - values.mean(0)
    _, singular, vectors = np.linalg.svd(centred, full_matrices=False)
    assert np.allclose(basis.mean, values.mean(0))
    assert np.allclose(basis.variances, singular[:RANK] ** 2 / len(values), rtol=1e-6)
    assert np.allclose(np.abs(np.sum(basis.components * vectors[:RANK], 1)), 1)
    assert np.allclose(basis.explained, singular[:RANK] ** 2 / np.sum(singular**2), rtol=1e-6)
    rest = centred - centred @ vectors[:RANK].T @ vectors[:RANK]
    assert np.allclose(basis.residual, np.sqrt(np.mean(rest**2, 0)), rtol=1e-6)


def test_whole_spectra_are_projected_and_come_back_but_for_the_noise(basis):
    values = spectra(50, name="others")[0]
    cube = values.T.reshape(BANDS, 5, 10).astype(np.float32)
    coefficients = basis.encode(cube)
    assert coefficients.shape == (RANK, 5, 10)
    wanted = np.linalg.lstsq(basis.components.T, values.T - basis.mean[:, None], rcond=None)[0]
    assert np.allclose(coefficients.reshape(RANK, -1), wanted, atol=1e-5)
    assert np.sqrt(np.mean((basis.decode(coefficients) - cube) ** 2)) == pytest.approx(NOISE, rel=0.1)


def test_holes_are_filled_by_the_conditional_mean_of_a_gaussian(basis):
    """The dual form of the same estimate: E[c | x] = V W' (W V W' + s I)^-1 (x - mean) over the known bands."""
    values = spectra(20, name="holed")[0]
    values[stream(0, "holes").random(values.shape) < 0.5] = np.nan
    coefficients = basis.encode(as_cube(values))[:, :, 0].T
    noise = np.mean(basis.residual**2)
    for row, got in zip(values, coefficients, strict=True):
        seen = np.isfinite(row)
        loadings = basis.components[:, seen]
        variance = np.diag(basis.variances)
        total = loadings.T @ variance @ loadings + noise * np.eye(seen.sum())
        wanted = variance @ loadings @ np.linalg.solve(total, row[seen] - basis.mean[seen])
        assert np.allclose(got, wanted, atol=1e-5)


def test_hidden_bands_are_recovered(basis):
    whole = spectra(200, noise=0, name="hidden")[0]
    holed = whole.copy()
    hidden = stream(0, "hide").random(whole.shape) < 0.4
    holed[hidden] = np.nan
    back = basis.decode(basis.encode(as_cube(holed)))[:, :, 0].T
    assert np.abs(back - whole)[hidden].max() < 3 * NOISE
    assert np.abs(whole - basis.mean)[hidden].max() > 30 * NOISE


def test_basis_of_spectra_with_holes_and_spikes_is_as_good_as_that_of_whole_ones(basis):
    values, shapes = spectra()
    values[stream(0, "gaps").random(values.shape) < 0.2] = np.nan
    values[::50, 30] = 9.9
    values[::70, 7] = -1640.0
    holed = SpectralBasis.fit(values, WAVELENGTHS, RANK)
    errors = [subspace_angles(b.components.T, shapes.T).max() for b in (holed, basis)]
    assert errors[0] < 1.5 * errors[1]
    assert errors[1] < np.radians(1.5)
    assert np.allclose(holed.residual, NOISE, rtol=0.25)


def test_a_spike_does_not_turn_its_spectrum(basis):
    values = spectra(10, name="spiked")[0]
    clean = basis.decode(basis.encode(as_cube(values)))
    values[:, 20] = 7.0
    assert np.abs(basis.decode(basis.encode(as_cube(values))) - clean).max() < NOISE


def test_too_few_known_bands_are_unknown(basis):
    values = spectra(3, name="sparse")[0]
    values[0, RANK - 1 :] = np.nan
    values[1, RANK:] = np.nan
    coefficients = basis.encode(as_cube(values))
    assert np.isnan(coefficients[:, 0]).all()
    assert np.isfinite(coefficients[:, 1:]).all()
    assert np.isnan(basis.decode(coefficients)[:, 0]).all()


def test_sigma_is_the_spread_of_decoded_draws(basis):
    draws = stream(0, "sigma")
    spread = np.array([0.03, 0.01, 0.02, 0.005], np.float32)[:, None, None]
    noise = draws.normal(0, basis.residual[:, None, None], (BANDS, 200, 100))
    decoded = basis.decode((draws.standard_normal((RANK, 200, 100)) * spread).astype(np.float32)) + noise
    assert np.allclose(basis.sigma(spread).ravel(), decoded.std((1, 2)), rtol=0.03)


def test_report_gains_with_components():
    values = spectra()[0]
    reports = [SpectralBasis.fit(values, WAVELENGTHS, d).report(as_cube(values)) for d in (1, 2, 4)]
    assert (
        reports[0]["explained_variance"] < reports[1]["explained_variance"] < reports[2]["explained_variance"]
    )
    angles = [report["spectral_angle_median_deg"] for report in reports]
    assert angles[0] > 2 * angles[2]
    assert reports[2]["rmse"] == pytest.approx(NOISE, rel=0.1)
    assert reports[2]["spectral_angle_median_deg"] == pytest.approx(np.degrees(NOISE / 0.25), rel=0.15)


def test_plain_data_and_back(basis):
    again = SpectralBasis.from_dict(json.loads(json.dumps(basis.to_dict(), allow_nan=False)))
    cube = as_cube(spectra(5)[0])
    assert np.array_equal(again.decode(again.encode(cube)), basis.decode(basis.encode(cube)))
    assert again.wavelengths_nm == basis.wavelengths_nm == tuple(WAVELENGTHS)


def test_what_determines_no_basis_is_refused():
    values = spectra(30)[0]
    values[:, 12] = np.nan
    with pytest.raises(OrreryError, match=f"1 bands .*{WAVELENGTHS[12]:.2f} nm"):
        SpectralBasis.fit(values, WAVELENGTHS, 3)
    with pytest.raises(OrreryError, match="60 bands with 59 wavelengths"):
        SpectralBasis.fit(values, WAVELENGTHS[1:], 3)
    with pytest.raises(OrreryError, match="3 usable spectra"):
        SpectralBasis.fit(values[:3], WAVELENGTHS, 3)
