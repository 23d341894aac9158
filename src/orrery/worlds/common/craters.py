"""Which craters a surface carries: how many of each size, where, how old and how worn.

Craters are produced as a body's production function tells and destroyed by slow downhill creep. Where production has had time to
fill the surface, the count stays at the empirical equilibrium and ages are spread evenly over the lifetime of that size;
larger craters are as many, and as old, as the surface's age allows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

# Cumulative equilibrium, N = 10^-1.1 D^-2 (Trask 1966), 1/m2 with D in m.
EQUILIBRIUM = 10**-1.1
# Creep, in squared radii, after which a crater is an eighth as deep and no longer counted.
LIFETIME_CREEP = 0.35
# A crater resurfaces the ground out to this many radii: its bowl and the thick part of its ejecta.
RESURFACED_RADII = 1.3


@dataclass(frozen=True)
class Craters:
    """A population; each field is (N,).

    Attributes:
        x_m: centre, to the right of the upper left corner.
        y_m: centre, downwards from it.
        diameter_m: rim to rim.
        age_ga: time since the impact.
        creep: diffusivity times age over the squared radius; 0 is fresh.
    """

    x_m: Floats
    y_m: Floats
    diameter_m: Floats
    age_ga: Floats
    creep: Floats

    def __len__(self) -> int:
        return self.x_m.size

    def where(self, chosen: NDArray[np.bool_]) -> Craters:
        """The craters for which `chosen` is true."""
        return Craters(*(getattr(self, field.name)[chosen] for field in fields(self)))


@dataclass(frozen=True)
class Production:
    """How many craters a body gets.

    Attributes:
        polynomial: log10 of the cumulative number in powers of log10 of the diameter in km, 1 at 1 km.
        smallest_m: diameter down to which it holds; below it its end slope goes on.
        early_per_km2: craters of at least 1 km, of the heavy bombardment: this times exp(6.93 age) - 1.
        steady_per_km2_ga: the same of the even flux since.
    """

    polynomial: tuple[float, ...]
    smallest_m: float
    early_per_km2: float
    steady_per_km2_ga: float

    def chronology_per_km2(self, age_ga: float) -> float:
        """Craters of at least 1 km made per km2 within an age (form of Neukum et al. 2001, equation 5)."""
        return float(self.early_per_km2 * np.expm1(6.93 * age_ga) + self.steady_per_km2_ga * age_ga)

    def per_km2(self, diameter_m: ArrayLike, age_ga: float) -> Floats:
        """Craters of at least a diameter made per km2 within an age."""
        polynomial = np.polynomial.Polynomial(self.polynomial)
        logarithm = np.log10(np.asarray(diameter_m, float) / 1000)
        end = np.log10(self.smallest_m / 1000)
        inside = np.maximum(logarithm, end)
        exponent = polynomial(inside) + polynomial.deriv()(end) * np.minimum(logarithm - end, 0)
        return np.asarray(self.chronology_per_km2(age_ga) * 10**exponent)


# Neukum, Ivanov and Hartmann 2001, Space Science Reviews 96, 55, Table I and equation 5.
MOON = Production(
    (0.0, -3.557528, 0.781027, 1.021521, -0.156012, -0.444058, 0.019977, 0.086850, -0.005874, -0.006809, 8.25e-4, 5.54e-5),
    10.0, 5.44e-14, 8.38e-4,
)  # fmt: skip
# Ivanov 2001, Space Science Reviews 96, 87, Table I; chronology of Hartmann and Neukum 2001, Space Science Reviews 96, 165.
MARS = Production(
    (0.0, -3.197, 1.257, 0.7915, -0.4861, -0.3630, 0.1016, 6.756e-2, -1.181e-2, -4.753e-3, 6.233e-4, 5.805e-5),
    15.0, 2.68e-14, 4.13e-4,
)  # fmt: skip


def equilibrium_per_km2(diameter_m: ArrayLike) -> Floats:
    """Craters of at least a diameter per km2 that a surface can hold (Trask 1966)."""
    return np.asarray(1e6 * EQUILIBRIUM * np.asarray(diameter_m, float) ** -2.0)


def visible_per_km2(
    production: Production, diameter_m: ArrayLike, age_ga: float, retention: float = 1.0
) -> Floats:
    """Craters of at least a diameter per km2 that are seen: what was made, or what the surface can hold.

    Args:
        production: of the body.
        diameter_m: rim to rim.
        age_ga: of the surface.
        retention: share of the equilibrium that the ground holds; creep on steep slopes lowers it.
    """
    return np.minimum(production.per_km2(diameter_m, age_ga), retention * equilibrium_per_km2(diameter_m))


def draw_craters(
    production: Production,
    extent_m: tuple[float, float],
    smallest_m: float,
    largest_m: float,
    age_ga: float,
    retention: float,
    rng: np.random.Generator,
) -> Craters:
    """Craters of a rectangle, those that a younger one has wiped out removed.

    Args:
        production: of the body.
        extent_m: height and width.
        smallest_m: diameter from which on craters are drawn.
        largest_m: diameter up to which they are.
        age_ga: of the surface.
        retention: as in `visible_per_km2`.
        rng: stream of the population.
    """
    diameters = np.geomspace(smallest_m, largest_m, 257)
    density = visible_per_km2(production, diameters, age_ga, retention)
    number = rng.poisson((density[0] - density[-1]) * extent_m[0] * extent_m[1] * 1e-6)
    ranks = density[-1] + rng.random(number) * (density[0] - density[-1])
    diameter = np.exp(np.interp(-np.log(ranks), -np.log(density), np.log(diameters)))
    held = retention * equilibrium_per_km2(diameter)
    # The share of its lifetime that the oldest crater of a size has lived: all of it where production fills the surface.
    share = np.minimum(1, production.per_km2(diameter, age_ga) / held)
    oldest_ga = np.minimum(
        age_ga, held / production.per_km2(diameter, 1.0)
    )  # the flux of the last 3 Ga was even
    lived = rng.random(number)
    x, y = rng.random(number) * extent_m[1], rng.random(number) * extent_m[0]
    return without_buried(Craters(x, y, diameter, lived * oldest_ga, lived * share * LIFETIME_CREEP))


def without_buried(craters: Craters) -> Craters:
    """The population without craters that lie within the bowl or thick ejecta of a larger and younger one."""
    kept = np.ones(len(craters), bool)
    tree = cKDTree(np.column_stack([craters.x_m, craters.y_m]))
    for index in np.flatnonzero(craters.diameter_m > 2 * craters.diameter_m.min(initial=np.inf)):
        reach = RESURFACED_RADII * craters.diameter_m[index] / 2
        near = np.asarray(tree.query_ball_point((craters.x_m[index], craters.y_m[index]), reach), int)
        smaller = craters.diameter_m[near] < craters.diameter_m[index]
        kept[near[smaller & (craters.age_ga[near] > craters.age_ga[index])]] = False
    return craters.where(kept)
