"""The six regions of the CTX-CRISM paper: where they lie, what they look like and what they are made of.

Bounding boxes are those of Stepcenkov et al. 2022 (Remote Sensing 14, 3457, Table 1). Minerals follow the regions' literature, named
at each; the shares are ours, chosen so that the recorded bands have the means of that paper's Table A1.
"""

from __future__ import annotations

from dataclasses import dataclass

from orrery.world_params import Region
from orrery.worlds.mars.minerals import Name

Recipe = dict[Name, float]


@dataclass(frozen=True)
class Nature:
    """What a region is like; shares need not add up to 1.

    Attributes:
        south_deg, north_deg, west_deg, east_deg: box of its scenes; east longitudes.
        relief_m: root mean square height difference over 100 m, before layers sharpen it.
        floor, cap: shares of the ground that are basin floor and cap rock; the rest is layered slopes.
        bed_m: mean thickness of a bed.
        dunes: share of the ground under dunes.
        dust: mean cover.
        age_ga, retention: of craters; winds and dust wipe the small ones out.
        ground: minerals of the floor.
        beds: minerals of the layered rock, from the lowest to the highest.
        caprock: minerals of the cap.
        sand: minerals of dunes and of the dark sand that is caught in hollows.
    """

    south_deg: float
    north_deg: float
    west_deg: float
    east_deg: float
    relief_m: float
    floor: float
    cap: float
    bed_m: float
    dunes: float
    dust: float
    age_ga: float
    retention: float
    ground: Recipe
    beds: tuple[Recipe, ...]
    caprock: Recipe
    sand: Recipe


REGIONS: dict[Region, Nature] = {
    # A delta of Fe/Mg clays and opal on a basaltic floor (Milliken and Bish 2010; Poulet et al. 2014).
    "eberswalde": Nature(
        -24.5, -23.4, -34.0, -32.7, 4.0, 0.45, 0.12, 7, 0.07, 0.28, 1.2, 0.35,
        {"hcp": 3, "plagioclase": 3, "basalt": 2},
        ({"mg_smectite": 4, "fe_smectite": 2, "hcp": 1}, {"mg_smectite": 4, "hydrated_silica": 2, "plagioclase": 1}),
        {"hcp": 3, "basalt": 2, "plagioclase": 1},
        {"basalt": 5, "hcp": 2},
    ),
    # Layered sulphates above clays and a hematite ridge on Mount Sharp, olivine-rich dunes (Milliken et al. 2010; Fraeman
    # et al. 2013; Seelos et al. 2014).
    "gale": Nature(
        -3.8, -0.9, 135.9, 139.9, 7.0, 0.30, 0.08, 8, 0.16, 0.34, 0.7, 0.2,
        {"hcp": 2, "plagioclase": 2, "basalt": 2, "mg_smectite": 1},
        ({"fe_smectite": 3, "hematite": 2, "hcp": 1}, {"mono_hyd_sulf": 3, "poly_hyd_sulf": 2}, {"poly_hyd_sulf": 4, "dust": 1}),
        {"hcp": 2, "poly_hyd_sulf": 1, "dust": 2},
        {"basalt": 5, "olivine": 3, "hcp": 1},
    ),
    # Clay-bearing alluvial beds, feldspar-bearing floor, dune fields (Grant et al. 2008; Milliken and Bish 2010).
    "holden": Nature(
        -27.6, -25.9, -36.0, -34.0, 5.0, 0.45, 0.15, 6, 0.15, 0.16, 1.6, 0.35,
        {"plagioclase": 4, "hcp": 2, "basalt": 3},
        ({"fe_smectite": 4, "mg_smectite": 2}, {"mg_smectite": 3, "plagioclase": 2}),
        {"lcp": 2, "plagioclase": 3, "basalt": 2},
        {"basalt": 4, "hcp": 2, "olivine": 1},
    ),
    # Olivine and magnesium carbonate, clays of the delta, low-calcium pyroxene of the crust (Ehlmann et al. 2008; Goudge et al.
    # 2015; Horgan et al. 2020).
    "jezero": Nature(
        18.0, 18.8, 77.2, 78.4, 5.0, 0.40, 0.20, 7, 0.07, 0.22, 2.2, 0.5,
        {"olivine": 2, "hcp": 3, "basalt": 2},
        ({"lcp": 3, "mg_smectite": 3}, {"mg_carbonate": 4, "olivine": 3}, {"mg_smectite": 3, "mg_carbonate": 2, "lcp": 1}),
        {"hcp": 3, "basalt": 3, "olivine": 1},
        {"basalt": 3, "olivine": 4},
    ),
    # Fe/Mg clays under Al clays, kaolinite and silica, a dark cap (Bishop et al. 2008; Noe Dobrea et al. 2010).
    "mawrth": Nature(
        23.3, 24.6, -19.6, -18.4, 5.0, 0.25, 0.22, 6, 0.04, 0.42, 2.6, 0.5,
        {"fe_smectite": 3, "mg_smectite": 2, "plagioclase": 1},
        ({"fe_smectite": 5, "mg_smectite": 1}, {"fe_smectite": 3, "hydrated_silica": 2}, {"al_smectite": 3, "kaolinite": 3, "hydrated_silica": 1}),
        {"basalt": 4, "lcp": 2, "hcp": 1},
        {"basalt": 4, "hcp": 2},
    ),
    # Sulphates of two kinds in light layers, hematite and opal, walls of low-calcium pyroxene and olivine (Gendrin et al. 2005;
    # Weitz et al. 2015; Flahaut et al. 2012).
    "melas": Nature(
        -10.5, -8.7, -78.0, -75.0, 9.0, 0.25, 0.05, 9, 0.13, 0.50, 0.5, 0.15,
        {"lcp": 2, "hcp": 2, "basalt": 2, "poly_hyd_sulf": 1},
        ({"lcp": 3, "olivine": 1}, {"mono_hyd_sulf": 5, "hematite": 1}, {"poly_hyd_sulf": 4, "hydrated_silica": 2}, {"poly_hyd_sulf": 2, "hematite": 2, "dust": 1}),
        {"hcp": 2, "dust": 2, "basalt": 1},
        {"basalt": 5, "olivine": 1, "hcp": 2},
    ),
}  # fmt: skip


def minerals_of(nature: Nature) -> tuple[Name, ...]:
    """Every end-member of a region, dust among them, by name."""
    recipes = (nature.ground, *nature.beds, nature.caprock, nature.sand)
    return tuple(sorted({"dust", *(name for recipe in recipes for name in recipe)}))
