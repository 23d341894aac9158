"""Terrain, dunes and minerals of a place."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy import ndimage

from orrery.raster.shade import slope_deg
from orrery.world_params import Region
from orrery.worlds.mars.composition import Composition, changed_dust, compose, dust_cover, dusted
from orrery.worlds.mars.dunes import dune_cover, dune_waves
from orrery.worlds.mars.regions import REGIONS, minerals_of
from orrery.worlds.mars.terrain import Ground, make_ground

SHAPE, GSD = (300, 320), 6.0


@lru_cache(maxsize=8)
def ground(region: Region, name: str = "place") -> Ground:
    return make_ground(region, SHAPE, GSD, 7, name)


@lru_cache(maxsize=8)
def composition(region: Region) -> Composition:
    return compose(ground(region), REGIONS[region], 7, "place")


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_slopes_are_those_of_loose_and_layered_ground(region: Region) -> None:
    """Gentle in the mean, and hardly any steeper than cliffs of layered rock (some 45 degrees at 6 m)."""
    slopes = slope_deg(ground(region).height_m, GSD)
    assert 2 < np.median(slopes) < 15
    assert np.quantile(slopes, 0.995) < 50


def test_floor_and_cap_take_about_their_share() -> None:
    for region, nature in REGIONS.items():
        found = ground(region)
        assert 0.5 * nature.floor < (found.bed == 0).mean() < 1.5 * nature.floor
        assert (found.bed > found.beds).mean() < 1.5 * nature.cap
        assert found.beds >= 2


def test_beds_lie_one_above_the_other() -> None:
    """Before craters and roughness move it, a bed's mean height rises with its number."""
    found = ground("melas")
    numbers = [n for n in range(found.beds + 2) if (found.bed == n).sum() > 200]
    means = [found.height_m[found.bed == n].mean() for n in numbers]
    assert np.corrcoef(numbers, means)[0, 1] > 0.95


def test_dunes_fill_hollows_and_take_their_share() -> None:
    rows, columns = np.indices(SHAPE)
    bowl = ((rows - 150) ** 2 + (columns - 160) ** 2).astype(np.float32) / 500
    cover = dune_cover(bowl, GSD, 0.2, np.random.default_rng(1))
    assert 0.03 < cover.mean() < 0.4
    assert (bowl * cover).sum() / cover.sum() < 0.7 * bowl.mean()


def test_dunes_have_the_height_and_length_of_dark_dunes() -> None:
    waves = dune_waves(SHAPE, GSD, np.random.default_rng(4))
    assert 4 < waves.max() < 25
    assert 10 < np.quantile(slope_deg(waves, GSD), 0.99) < 36  # lees, up to the angle of repose
    power = np.abs(np.fft.rfft2(waves - ndimage.gaussian_filter(waves, 40))) ** 2
    frequency = np.hypot(np.fft.fftfreq(SHAPE[0], GSD)[:, None], np.fft.rfftfreq(SHAPE[1], GSD))
    assert 60 < 1 / (frequency * power).sum() * power.sum() < 170


@pytest.mark.parametrize("region", sorted(REGIONS))
def test_shares_add_up_with_and_without_dust(region: Region) -> None:
    found = composition(region)
    assert found.names == minerals_of(REGIONS[region])
    np.testing.assert_allclose(found.shares.sum(0), 1, atol=1e-4)
    cover = dust_cover(ground(region), REGIONS[region], 7, "place")
    shares = dusted(found, cover)
    assert shares.min() >= 0
    np.testing.assert_allclose(shares.sum(0), found.brightness, atol=1e-3)
    assert cover.mean() == pytest.approx(REGIONS[region].dust, rel=0.6)


def test_minerals_follow_morphology_in_part() -> None:
    """Unit, bed and dunes explain a part of each mineral's share, and leave a part."""
    found, place = composition("jezero"), ground("jezero")
    _, labels = np.unique(place.bed + 100 * (place.dunes > 0.5), return_inverse=True)
    labels = labels.reshape(SHAPE)
    explained = []
    for share in found.shares:
        if share.std() > 0.02:
            means = ndimage.mean(share, labels, np.arange(labels.max() + 1))
            explained.append(1 - np.var(share - means[labels]) / np.var(share))
    assert len(explained) >= 5
    assert 0.3 < np.mean(explained) < 0.95
    assert min(explained) < 0.9


def test_dunes_are_sand_and_hold_little_dust() -> None:
    found, place = composition("gale"), ground("gale")
    sand = found.shares[found.names.index("basalt")]
    dust = dust_cover(place, REGIONS["gale"], 7, "place")
    inside, outside = place.dunes > 0.8, place.dunes < 0.05
    assert sand[inside].mean() > 2 * sand[outside].mean()
    assert dust[inside].mean() < 0.5 * dust[outside].mean()


def test_dust_changes_with_time_and_not_without() -> None:
    cover = dust_cover(ground("gale"), REGIONS["gale"], 7, "place")
    assert changed_dust(cover, GSD, 0.0, np.random.default_rng(0)) is cover
    changes = [
        np.std(changed_dust(cover, GSD, days, np.random.default_rng(0)) - cover) for days in (10.0, 100.0)
    ]
    assert 0.005 < changes[0] < changes[1] < 0.1


def test_regions_and_places_differ_and_repeat() -> None:
    again = make_ground("holden", SHAPE, GSD, 7, "place")
    assert np.array_equal(again.height_m, ground("holden").height_m)
    other = make_ground("holden", SHAPE, GSD, 7, "elsewhere")
    assert abs(np.corrcoef(again.height_m.ravel(), other.height_m.ravel())[0, 1]) < 0.7
    recipes = {region: minerals_of(nature) for region, nature in REGIONS.items()}
    assert len(set(recipes.values())) == 6
