"""Search in the Orbital Data Explorer of PDS's Geosciences Node, by its REST interface (manual: version 2.1.6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from orrery.archives.download import RemoteFile
from orrery.archives.http import Http
from orrery.archives.product import Box, Product
from orrery.errors import OrreryError
from orrery.raster.grid import Body

URL = "https://oderest.rsl.wustl.edu/live2/"
PAGE = 100
MOST_PRODUCTS = 20_000  # a search that finds more is a mistake
# ODE id, product id, metadata and files; ordered by time of observation, since pages of unordered answers overlap.
RESULTS, ORDER = "opmf", "oba"
TOUCHING = "f"  # footprints that touch the box; whether they cover it is judged here
NONE_FOUND = "no products found"


@dataclass(frozen=True)
class Query:
    """What to search for.

    Attributes:
        body: in whose database.
        host: spacecraft, e.g. MRO.
        instrument: e.g. CTX, CRISM, LROC.
        product_type: e.g. EDR, MTRDR, EDRNAC.
        box: whose footprint touches this area; None: anywhere.
        since: observed at this time or later; until: at this or earlier.
        product_id: exact, or with `*` at either end.
    """

    body: Body
    host: str
    instrument: str
    product_type: str
    box: Box | None = None
    since: datetime | None = None
    until: datetime | None = None
    product_id: str | None = None

    def parameters(self) -> dict[str, str]:
        """As ODE calls them; longitudes are 0 to 360 there."""
        found = {
            "query": "product", "odemetadb": self.body, "target": self.body,
            "output": "JSON", "results": RESULTS, "order": ORDER,
            "ihid": self.host, "iid": self.instrument, "pt": self.product_type,
        }  # fmt: skip
        if self.box is not None:
            found |= {
                "minlat": f"{self.box.south:.6f}", "maxlat": f"{self.box.north:.6f}",
                "westernlon": f"{self.box.west:.6f}", "easternlon": f"{self.box.east:.6f}", "loc": TOUCHING,
            }  # fmt: skip
        times = {"minobtime": self.since, "maxobtime": self.until}
        found |= {name: f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for name, at in times.items() if at}
        return found | ({"productid": self.product_id} if self.product_id else {})


def search(query: Query, http: Http, url: str = URL) -> list[Product]:
    """All products that fit, by time of observation.

    Raises:
        OrreryError: as `Http.json`; or the service says that the query is wrong, or answers what is no product.
    """
    found: dict[str, Product] = {}
    for box in _without_seam(query.box):
        for entry in _entries(replace(query, box=box), http, url):
            product = _product(entry, query.body, url)
            found.setdefault(product.id, product)
    return sorted(found.values(), key=lambda product: (str(product.start), product.id))


def product(query: Query, http: Http, url: str = URL) -> Product:
    """The one product with the id of the query.

    PDS4 writes "edr." and the like before what PDS3 and papers call a product; both are found.

    Raises:
        OrreryError: as `search`; or there is none, or more than one.
    """
    name = str(query.product_id).upper()
    found = search(replace(query, product_id=f"*{name}*"), http, url)
    exact = [each for each in found if each.id.upper() == name or each.id.upper().endswith(f".{name}")]
    if len(exact) != 1:
        problem = (
            f"{name} names {len(exact)} products of {query.host} {query.instrument} {query.product_type}"
        )
        raise OrreryError(problem, file=url, remedy="give the whole name of one")
    return exact[0]


def _without_seam(box: Box | None) -> list[Box | None]:
    """The box in longitudes of 0 to 360, in two where it crosses the seam."""
    if box is None:
        return [None]
    west, east = box.west % 360, box.west % 360 + box.width_deg
    if east <= 360:
        return [Box(box.south, box.north, west, east)]
    return [Box(box.south, box.north, west, 360.0), Box(box.south, box.north, 0.0, east - 360)]


def _entries(query: Query, http: Http, url: str) -> Iterator[Mapping[str, Any]]:
    """Every entry of every page, until a page tells nothing new."""
    seen: set[str] = set()
    for offset in range(0, MOST_PRODUCTS, PAGE):
        page = _page(http.json(url, {**query.parameters(), "limit": str(PAGE), "offset": str(offset)}), url)
        new = [entry for entry in page if str(entry.get("pdsid")) not in seen]
        yield from new
        seen |= {str(entry.get("pdsid")) for entry in new}
        if len(page) < PAGE or not new:
            return
    problem = f"finds more than {MOST_PRODUCTS} products"
    raise OrreryError(problem, file=url, remedy="search a smaller area or a shorter time")


def _page(answer: Any, url: str) -> list[Mapping[str, Any]]:
    """The entries of an answer; ODE gives a lone one bare, and a sentence where there is none."""
    try:
        results = answer["ODEResults"]
        if str(results["Status"]).lower() != "success":
            said = " ".join(str(results.get("Error", results)).split())[:200]
            if NONE_FOUND in said.lower():
                return []
            remedy = "correct the search: instrument and product type must be ODE's own names"
            raise OrreryError(f"refuses the search ({said})", file=url, remedy=remedy)
        products = results.get("Products") or {}
        if isinstance(products, str):
            return []
        entries = _as_list(products.get("Product"))
        if not all(isinstance(entry, Mapping) for entry in entries):
            raise TypeError("an entry is no object")
    except (KeyError, TypeError, AttributeError) as error:
        remedy = "try again later; if it stays, the interface has changed"
        raise OrreryError(
            f"answers what is no list of products ({error!r})", file=url, remedy=remedy
        ) from error
    return entries


def _product(entry: Mapping[str, Any], body: Body, url: str) -> Product:
    """An entry as a product; what the archive does not know is None."""
    try:
        edges = [
            entry.get(name) for name in ("Minimum_latitude", "Maximum_latitude", "Westernmost_longitude",
                                         "Easternmost_longitude")
        ]  # fmt: skip
        known = all(edge not in (None, "") for edge in edges)
        return Product(
            id=str(entry["pdsid"]),
            body=body,
            instrument=str(entry["iid"]),
            product_type=str(entry["pt"]),
            start=_time(entry.get("UTC_start_time") or entry.get("Observation_time")),
            box=Box(*(float(str(edge)) for edge in edges)) if known else None,
            files=tuple(_files(entry)),
            sun_incidence_deg=_number(entry.get("Incidence_angle")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"lists a product that is none ({entry.get('pdsid')}: {error!r})"
        raise OrreryError(
            problem, file=url, remedy="try again later; if it stays, the interface has changed"
        ) from error


def _files(entry: Mapping[str, Any]) -> Iterator[RemoteFile]:
    """The product's own files; browse and derived ones are left out."""
    for file in _as_list((entry.get("Product_files") or {}).get("Product_file")):
        if str(file.get("Type", "Product")).lower() == "product":
            yield RemoteFile(str(file["URL"]), str(file["FileName"]), _number(file.get("KBytes")))


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _number(value: Any) -> float | None:
    return float(value) if value not in (None, "") else None


def _time(value: Any) -> datetime | None:
    """Time with zone; ODE writes UTC with and without one."""
    if not value:
        return None
    time = datetime.fromisoformat(str(value))
    return time if time.tzinfo else time.replace(tzinfo=UTC)
