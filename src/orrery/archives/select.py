"""Which image belongs to which cube: the rule by which pairs are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from orrery.archives import ode
from orrery.archives.catalogue import BoxParams, Catalogue, Entry, Kind, Site
from orrery.archives.http import Http
from orrery.archives.product import Box, Product

SECONDS_PER_DAY = 86_400.0
CRISM = Kind(host="MRO", instrument="CRISM", product_type="MTRDR")
CTX = Kind(host="MRO", instrument="CTX", product_type="EDR")
FULL_RESOLUTION = "FRT*"  # CRISM's targeted observations at 18 m


def search_pairs(site: str, box: Box, http: Http, url: str = ode.URL) -> tuple[Catalogue, list[str]]:
    """The pairs of CRISM cube and CTX image of an area, as a catalogue, by the rule of Stepcenkov et al. 2022.

    Args:
        site: name of the place.
        box: area that CRISM's full-resolution map-projected cubes shall touch.
        http: the session.
        url: of the service.

    Returns:
        The catalogue, and the cubes that no image covers.

    Raises:
        OrreryError: as `ode.search`.
    """
    cubes = ode.search(_query(CRISM, box, FULL_RESOLUTION), http, url)
    placed = [cube for cube in cubes if cube.box is not None]
    entries, alone = [], []
    for cube in placed:
        candidates = ode.search(_query(CTX, cube.box), http, url)
        image = nearest_covering(cube, candidates)
        if image is None:
            alone.append(cube.id)
            continue
        entries.append(_entry(site, cube, image, placed))
    alone += [cube.id for cube in cubes if cube.box is None]
    edges = BoxParams(south=box.south, north=box.north, west=box.west, east=box.east)
    catalogue = Catalogue(
        name=site,
        body="mars",
        source=f"Orbital Data Explorer, searched by orrery: {CRISM.product_type} of {CRISM.instrument}",
        kinds={"crism": CRISM, "ctx": CTX},
        sites={site: Site(title=site, box=edges)},
        scenes=entries,
    )
    return catalogue, alone


def nearest_covering(cube: Product, candidates: Sequence[Product]) -> Product | None:
    """The image whose bounding box covers the cube's, nearest in time; None when there is none.

    Boxes, not footprints, are compared, as in the paper: a slanted strip may cover less than its box does, which
    `orrery ingest` finds out from the pixels.
    """
    covering = [
        image
        for image in candidates
        if image.box is not None and cube.box is not None and image.box.covers(cube.box) and image.start
    ]
    return min(covering, key=lambda image: (days_between(cube, image) or 0.0, image.id), default=None)


def days_between(first: Product, second: Product) -> float | None:
    """Between the starts of two observations, days, without sign; None where a time is unknown."""
    if first.start is None or second.start is None:
        return None
    return abs((first.start - second.start).total_seconds()) / SECONDS_PER_DAY


def _query(kind: Kind, box: Box | None, product_id: str | None = None) -> ode.Query:
    host, instrument, product_type = str(kind.host), str(kind.instrument), str(kind.product_type)
    return ode.Query("mars", host, instrument, product_type, box, product_id=product_id)


def _entry(site: str, cube: Product, image: Product, cubes: Sequence[Product]) -> Entry:
    """A pair, with the mean share of its box that the site's other cubes cover."""
    others = [cube.box.overlap(other.box) for other in cubes if other is not cube and cube.box and other.box]
    days = days_between(cube, image)
    return Entry(
        scene=f"{site}-{cube.id.split('_')[0].lower()}",
        site=site,
        products={"crism": cube.id, "ctx": image.id},
        time_difference_days=None if days is None else round(days, 3),
        overlap_percent=round(100 * mean(others), 1) if others else 0.0,
    )
