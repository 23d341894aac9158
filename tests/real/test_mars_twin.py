"""The Martian twin against real CRISM products: its bands, its minerals and its range."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from scipy import ndimage

from orrery.instruments import crism
from orrery.raster.scene import list_scenes
from orrery.world_params import MarsParams, MarsSceneParams
from orrery.worlds.mars import make
from orrery.worlds.mars.minerals import MINERALS, Name
from orrery.worlds.mars.regions import REGIONS

pytestmark = pytest.mark.real

LARGEST_ANGLE_DEG = 2.0
TYPE_SPECTRA: dict[Name, str] = {name: "fe_olivine" if name == "olivine" else name for name in MINERALS}


@pytest.fixture(scope="module")
def mica(shared_data: Path) -> pd.DataFrame:
    """Type spectra, I/F, by wavelength in nm."""
    table = pd.read_csv(shared_data / "mars/spectra/mica_type_spectra_if_numerator.csv")
    return table.set_index(table.pop("wavelength_um") * 1000)


def test_bands_are_those_of_the_joined_table(shared_data: Path) -> None:
    table = pd.read_csv(shared_data / "mars/crism/mtrdr_joined_wavelengths_489.csv")
    np.testing.assert_allclose(crism.wavelengths_nm(), table.wavelength_nm, atol=0.011)


@pytest.mark.parametrize("name", sorted(set(MINERALS) - {"dust", "basalt"}))
def test_end_members_match_the_type_spectra(mica: pd.DataFrame, name: Name) -> None:
    """Spectral angle over all wavelengths that both have, 480 less gaps; dust and dark sand have no type spectrum."""
    real = mica[TYPE_SPECTRA[name]].dropna()
    assert len(real) > 430
    ours = MINERALS[name].reflectance(real.index.to_numpy())
    cosine = float(ours @ real.to_numpy() / np.linalg.norm(ours) / np.linalg.norm(real))
    assert np.degrees(np.arccos(cosine)) < LARGEST_ANGLE_DEG
    assert np.linalg.norm(ours) / np.linalg.norm(real) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("name", "span_nm"),
    [
        ("mg_smectite", (2270, 2350)),
        ("fe_smectite", (2250, 2330)),
        ("al_smectite", (2150, 2270)),
        ("mg_carbonate", (2270, 2350)),
        ("mg_carbonate", (2430, 2600)),
        ("hydrated_silica", (1850, 1990)),
        ("poly_hyd_sulf", (1850, 2030)),
        ("mono_hyd_sulf", (1850, 2300)),
    ],
)
def test_absorptions_are_as_deep_as_real_ones(
    mica: pd.DataFrame, name: Name, span_nm: tuple[float, float]
) -> None:
    """An angle hardly feels a narrow band: its place to 45 nm, its depth to a factor of 2.5."""
    real = mica.loc[span_nm[0] : span_nm[1], name].dropna()
    w = real.index.to_numpy()
    curves = ndimage.gaussian_filter1d(real.to_numpy(), 1), MINERALS[name].reflectance(w)
    relative = [curve / np.interp(w, w[[0, -1]], curve[[0, -1]]) for curve in curves]
    places = [w[curve.argmin()] for curve in relative]
    depths = [1 - curve.min() for curve in relative]
    assert places[1] == pytest.approx(places[0], abs=45)
    assert 1 / 2.5 < depths[1] / depths[0] < 2.5


def test_a_real_cube_lies_within_the_twins_range(shared_data: Path, tmp_path: Path) -> None:
    """Medians of FRT0000932C lie among the twin's pixels, and its six bands are alike as the twin's are."""
    wavelengths = [*crism.EVC_NM, *crism.FC_NM]
    scenes = {f"test-{region}": MarsSceneParams(region=region) for region in REGIONS}
    params = MarsParams(height_px=320, width_px=320, wavelengths_nm=wavelengths, scenes=scenes)
    make(tmp_path, params, 7)
    paths = [scene.folder / "crism.tif" for scene in list_scenes(tmp_path)]
    twin = np.concatenate([bands(path, range(1, 7)) for path in paths], axis=1)
    real = bands(
        shared_data / "mars/crism/frt0000932c_07_if164j_mtr3_subsampled.tif",
        (crism.nearest_bands(wavelengths) + 1).tolist(),
    )
    low, high = np.percentile(twin, [2, 98], axis=1)
    median = np.median(real, axis=1)
    assert ((low < median) & (median < high)).all()
    difference = np.corrcoef(real) - np.corrcoef(twin)
    assert np.abs(difference[1:, 1:]).max() < 0.1
    assert np.abs(difference).max() < 0.25  # blue: the twin's is the more independent


def bands(path: Path, numbers: range | list[int]) -> np.ndarray:
    """(6, N) values where all are plausible."""
    with rasterio.open(path) as dataset:
        values = dataset.read(list(numbers)).reshape(6, -1).astype(float)
    values = values[:, ((values > 0) & (values < 1)).all(0)]
    low, high = np.percentile(values, [0.2, 99.8], axis=1)
    return values[:, ((values >= low[:, None]) & (values <= high[:, None])).all(0)]
