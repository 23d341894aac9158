"""What the instruments record of a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine

from orrery.instruments import nac
from orrery.instruments.photometry import Sun, hapke, lunar_lambert
from orrery.raster.grid import AffineMap, Grid
from orrery.raster.projections import equirectangular
from orrery.world_params import SldemParams
from orrery.worlds.common.maps import random_map
from orrery.worlds.moon.models import record_dtm, record_sldem
from orrery.worlds.moon.record import exposure_dn12, record_strip
from orrery.worlds.moon.render import SHADOW_LIGHT, radiance
from orrery.worlds.moon.terrain import Ground

CRS = equirectangular("moon", 20.0)
SOURCE = Grid(CRS, Affine(3, 0, 600, 0, -3, 900), 300, 400)


def plane(grid: Grid, across: float, up: float) -> np.ndarray:
    """Heights of a tilted plane at a grid's pixel centres."""
    rows, columns = np.indices(grid.shape)
    x, y = grid.xy(rows, columns)
    return np.asarray(across * (x - 600) + up * (y - 900), np.float32)


def test_level_ground_sends_one() -> None:
    ground = Ground(np.zeros((20, 20), np.float32), np.ones((20, 20), np.float32), 3.0)
    for sun in (Sun(10, 80), Sun(200, 7)):
        for law in ("lunar-lambert", "hapke"):
            np.testing.assert_allclose(radiance(ground, sun, law), 1 + SHADOW_LIGHT, rtol=1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("law", ["lunar-lambert", "hapke"])
def test_tilted_plane_against_the_cosines(law: str) -> None:
    """A plane tilted 10 degrees towards a sun 30 degrees high: incidence 50, emission 10, phase 60."""
    tilt = math.tan(math.radians(10))
    height = plane(
        Grid(CRS, SOURCE.transform, 30, 30), -tilt, 0
    )  # rises to the left: faces a sun on the right
    seen = radiance(Ground(height, np.ones((30, 30), np.float32), 3.0), Sun(90, 30), law)  # type: ignore[arg-type]
    function = lunar_lambert if law == "lunar-lambert" else hapke
    cosines = [math.cos(math.radians(angle)) for angle in (50, 10, 60, 0)]
    expected = function(cosines[0], cosines[1], 60) / function(cosines[2], cosines[3], 60) + SHADOW_LIGHT
    np.testing.assert_allclose(seen[2:-2, 2:-2], expected, rtol=1e-4)


def test_shadowed_ground_gets_scattered_light_only() -> None:
    height = np.zeros((60, 60), np.float32)
    height[:, 40:44] = 50
    seen = radiance(Ground(height, np.full((60, 60), 1.2, np.float32), 3.0), Sun(90, 20))
    np.testing.assert_allclose(seen[10:50, 5:35], 1.2 * SHADOW_LIGHT, rtol=1e-5)


def test_strip_keeps_radiance_and_never_reads_zero() -> None:
    seen = np.ones((200, 300), np.float32)
    seen[:, 150:] = 0
    strip = record_strip(seen, nac.LEFT, 700.0, np.random.default_rng(1))
    assert strip.min() == 1
    assert nac.decompand(strip[:, :140]).mean() == pytest.approx(700, rel=0.01)
    assert nac.decompand(strip[:, 160:]).mean() < 4


@pytest.mark.parametrize("elevation", [6.0, 30.0, 50.0])
def test_every_exposure_beats_the_noise_of_the_terminator(elevation: float) -> None:
    """Flat ground keeps the signal to noise of 46 that the team gives for the terminator, before companding."""
    for seed in range(50):
        charge = exposure_dn12(Sun(0, elevation), np.random.default_rng(seed)) * nac.LEFT.gain_e_per_dn
        assert charge / math.sqrt(charge + nac.LEFT.read_noise_e**2) > 46


def test_sldem_is_displaced_as_its_truth_says() -> None:
    """Without noise, heights at written positions are the plane's at true positions."""
    written = Grid(CRS, Affine(60, 0, 780, 0, -60, 720), 9, 12)
    displacement = random_map(written, 100.0, 0.1, 1e-3, np.random.default_rng(2))
    still = SldemParams(noise_m=0.0, stripes_m=0.0)
    coarse = record_sldem(
        plane(SOURCE, 0.2, 0.1), SOURCE, written, displacement, still, np.random.default_rng(3)
    )
    x, y = displacement.apply(*written.xy(*np.indices(written.shape)))
    np.testing.assert_allclose(coarse, 0.2 * (x - 600) + 0.1 * (y - 900), atol=0.02)


def test_sldem_noise_is_as_strong_as_asked_and_correlated() -> None:
    written = Grid(CRS, Affine(60, 0, 600, 0, -60, 900), 90, 120)
    level = np.zeros((50, 50), np.float32)
    grid = Grid(CRS, SOURCE.transform, 50, 50)
    params = SldemParams(noise_m=0.5, stripes_m=0.0)
    noise = record_sldem(level, grid, written, AffineMap.identity(), params, np.random.default_rng(4))
    assert noise.std() == pytest.approx(0.5, rel=0.02)
    assert 0.6 < np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] < 0.95
    striped = record_sldem(
        level,
        grid,
        written,
        AffineMap.identity(),
        SldemParams(noise_m=0.0, stripes_m=0.5),
        np.random.default_rng(5),
    )
    tracks = np.abs(striped).max(0) > 0
    assert 0.1 < tracks.mean() < 0.4


def test_dtm_is_close_to_the_truth_but_for_its_flaws() -> None:
    """After removal of the bias: NMAD below the half to two pixels' relative error that is published, blunders beyond."""
    truth = plane(SOURCE, 0.05, 0.02)
    dtm = record_dtm(truth, 3.0, np.random.default_rng(6))
    assert dtm.shape == (100, 133)
    error = dtm - truth[:300, :399].reshape(100, 3, 133, 3).mean((1, 3))
    error -= np.median(error)
    nmad = 1.4826 * np.median(np.abs(error))
    assert 0.2 < nmad < 1.5
    assert 0 < (np.abs(error) > 4).mean() < 0.02
