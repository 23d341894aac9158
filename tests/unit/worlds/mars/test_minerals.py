"""End-members have the absorptions that name them, where the literature puts them."""

from __future__ import annotations

import numpy as np
import pytest

from orrery.instruments import crism
from orrery.worlds.mars.minerals import MINERALS, SHARED_NM, Name, spectra, through_ctx

GRID = crism.wavelengths_nm()


def deepest_nm(name: Name, low_nm: float, high_nm: float) -> float:
    """Wavelength of the deepest point below a straight line between two wavelengths."""
    w = np.arange(low_nm, high_nm + 0.5)
    reflectance = MINERALS[name].reflectance(w)
    line = np.interp(w, [low_nm, high_nm], reflectance[[0, -1]])
    return float(w[np.argmin(reflectance / line)])


@pytest.mark.parametrize(
    ("name", "span_nm", "centre_nm", "within_nm"),
    [
        ("olivine", (740, 1450), 1150, 110),  # Sunshine and Pieters 1998: three, from 850 to 1250 nm
        ("lcp", (1350, 2500), 1870, 120),  # Klima et al. 2007
        ("hcp", (1600, 2600), 2250, 150),
        ("hematite", (760, 1200), 865, 30),  # Morris et al. 1985
        ("mg_smectite", (2270, 2350), 2311, 10),  # Bishop et al. 2008
        ("fe_smectite", (2250, 2330), 2290, 10),
        ("al_smectite", (2150, 2270), 2208, 10),
        ("mono_hyd_sulf", (1850, 2300), 2100, 40),  # Gendrin et al. 2005
        ("poly_hyd_sulf", (1850, 2030), 1940, 15),
        ("mg_carbonate", (2270, 2350), 2309, 10),  # Ehlmann et al. 2008
        ("mg_carbonate", (2430, 2600), 2515, 15),
        ("hydrated_silica", (1850, 1990), 1915, 15),
    ],
)
def test_absorptions_lie_where_the_literature_puts_them(
    name: Name, span_nm: tuple[float, float], centre_nm: float, within_nm: float
) -> None:
    assert deepest_nm(name, *span_nm) == pytest.approx(centre_nm, abs=within_nm)


def test_every_spectrum_is_a_reflectance_and_wet() -> None:
    """Water's fundamental at 3 um is the deepest absorption of all dusty ground on Mars."""
    table = spectra(tuple(MINERALS), GRID)
    assert table.shape == (len(MINERALS), 489)
    assert 0.02 < table.min() < table.max() < 0.5
    water = table[:, np.abs(GRID - 3000).argmin()]
    assert (water < 0.75 * table[:, np.abs(GRID - 2200).argmin()]).all()


def test_dust_is_red_and_bright_and_sand_dark_and_flat() -> None:
    dust, sand = (MINERALS[name].reflectance([442.6, 770.0, 2200.0]) for name in ("dust", "basalt"))
    assert dust[1] == pytest.approx(0.30, abs=0.02)  # Bell et al. 2000
    assert dust[1] / dust[0] > 4
    assert sand[1] / sand[0] < 2.5
    assert sand[2] / sand[1] == pytest.approx(1, abs=0.1)


def test_ctx_sees_the_mean_over_its_band_pass() -> None:
    """The filter is nearly a box and sunlight nearly flat there: within 2 % of the plain mean from 500 to 700 nm."""
    names: tuple[Name, ...] = ("dust", "olivine")
    plain = spectra(names, np.arange(500.0, 700.5, 1.0)).mean(1)
    np.testing.assert_allclose(through_ctx(names), plain, rtol=0.02)


def test_shared_absorptions_are_as_many_as_strengths() -> None:
    assert {len(mineral.shared) for mineral in MINERALS.values()} == {len(SHARED_NM)}
    assert all(strength >= 0 for mineral in MINERALS.values() for strength in mineral.shared)
