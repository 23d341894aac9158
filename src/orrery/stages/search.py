"""search: the pairs of CRISM cube and CTX image of an area, as a catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from orrery.archives import ode
from orrery.archives.catalogue import Catalogue, Entry, read_catalogue, write_catalogue
from orrery.archives.http import Http
from orrery.archives.product import Box
from orrery.archives.select import search_pairs
from orrery.errors import OrreryError


def run(
    sites: Sequence[str],
    box: tuple[float, float, float, float] | None,
    catalogue: str | None,
    out: Path | None,
    *,
    http: Http | None = None,
    url: str = ode.URL,
) -> None:
    """Search, print a line a pair, and write a catalogue where asked.

    Args:
        sites: names; of the box, or of a catalogue's sites to search again (none: all of them).
        box: south, north, west, east of one site, degrees.
        catalogue: name or file, whose sites have boxes; what is found is compared with it.
        out: file to write.
        http: the session.
        url: of the service.

    Raises:
        OrreryError: as `search_pairs`; or the area is not given in one way.
    """
    known = read_catalogue(catalogue) if catalogue else None
    areas = _areas(sites, box, known)
    session = http or Http()
    found: Catalogue | None = None
    for site, area in areas.items():
        part, alone = search_pairs(site, area, session, url)
        for entry in part.scenes:
            click.echo(_line(entry, known))
        for identifier in alone:
            click.echo(f"{site}: no image covers {identifier}")
        click.echo(f"{site}: {len(part.scenes)} pairs")
        found = part if found is None else _joined(found, part)
    if out is not None and found is not None:
        write_catalogue(found, out)
        click.echo(f"{out}: orrery ingest --source archive --catalogue {out}")


def _areas(
    sites: Sequence[str], box: tuple[float, float, float, float] | None, known: Catalogue | None
) -> Mapping[str, Box]:
    """The box of each site to search."""
    if (box is None) == (known is None):
        raise OrreryError("search needs an area", remedy="give either --box and --site, or --catalogue")
    if box is not None:
        if len(sites) != 1:
            raise OrreryError("a box needs a name", remedy="give one --site with --box")
        south, north, west, east = box
        if not -90 <= south < north <= 90:
            problem = f"latitudes {south:g} to {north:g} are no area"
            raise OrreryError(problem, remedy="give --box SOUTH NORTH WEST EAST, degrees")
        return {sites[0]: Box(south, north, west, east)}
    boxes = {name: site.box.box for name, site in known.sites.items() if site.box} if known else {}
    unknown = sorted(set(sites) - set(boxes))
    if unknown or not boxes:
        problem = f"has no box of {', '.join(unknown) or 'any site'}"
        raise OrreryError(
            problem, file=known.name if known else None, remedy=f"it has {', '.join(boxes) or 'none'}"
        )
    return {name: area for name, area in boxes.items() if not sites or name in sites}


def _line(entry: Entry, known: Catalogue | None) -> str:
    """A pair, and how it differs from the catalogue's."""
    days = "unknown" if entry.time_difference_days is None else f"{entry.time_difference_days:.1f}"
    text = f"{entry.scene}: {entry.products['crism']} {entry.products['ctx']}, {days} days"
    if known is None:
        return text
    printed = next((other for other in known.scenes if other.scene == entry.scene), None)
    if printed is None:
        return f"{text}; not in {known.name}"
    same = printed.products.get("ctx") == entry.products["ctx"]
    return f"{text}; {'as' if same else printed.products.get('ctx', 'no image') + ' instead'} in {known.name}"


def _joined(first: Catalogue, second: Catalogue) -> Catalogue:
    """Two sites in one catalogue, named after both."""
    merged = {
        "name": f"{first.name}-{second.name}"[:200],
        "sites": {**first.sites, **second.sites},
        "scenes": [*first.scenes, *second.scenes],
    }
    return first.model_copy(update=merged)
