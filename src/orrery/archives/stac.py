"""Search in STAC catalogues, e.g. USGS Astrogeology's analysis-ready data, through pystac-client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import pystac
import pystac_client
import requests
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from urllib3.util import Retry

from orrery.archives.download import RemoteFile
from orrery.archives.http import RETRY_STATUS
from orrery.archives.product import Box, Product
from orrery.errors import OrreryError
from orrery.raster.grid import Body

URL = "https://stac.astrogeology.usgs.gov/api"  # analysis-ready data of Moon and Mars
MULTIHASH = {"1220": "sha256", "d50110": "md5"}  # prefixes of the file extension's checksums
RETRIES, TIMEOUT_S = 4, 60.0
# Of the network, of an answer that is no STAC, and of one that looks like it but lacks what it needs.
FAILURES = (
    APIError,
    ClientTypeError,
    pystac.STACError,
    requests.RequestException,
    KeyError,
    TypeError,
    ValueError,
)


def search(
    collection: str,
    body: Body,
    *,
    box: Box | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 1000,
    url: str = URL,
) -> list[Product]:
    """Items of a collection that touch a box, observed between two times.

    Args:
        collection: as the catalogue calls it, e.g. `mro_ctx_controlled_usgs_dtms`.
        body: what it shows.
        box: area; None: anywhere.
        since: observed at this time or later.
        until: observed at this time or earlier.
        limit: most products.
        url: of the service.

    Raises:
        OrreryError: no answer, an answer that is no STAC, or no such collection.
    """
    retry = Retry(total=RETRIES, backoff_factor=1, status_forcelist=RETRY_STATUS)
    io = StacApiIO(max_retries=retry, timeout=TIMEOUT_S)
    edges = [box.west, box.south, box.west + box.width_deg, box.north] if box else None
    try:
        client = pystac_client.Client.open(url, stac_io=io)
        found = client.search(
            collections=[collection], bbox=edges, max_items=limit, method="GET",
            datetime=[since, until] if since or until else None,
        )  # fmt: skip
        return [_product(item, body) for item in found.items()]
    except FAILURES as error:
        problem = f"answers no search of {collection} ({' '.join(str(error).split())[:200]})"
        remedy = "check the address and the collection's name, or try again later"
        raise OrreryError(problem, file=url, remedy=remedy) from error


def _product(item: pystac.Item, body: Body) -> Product:
    """An item as a product; its bounding box may have heights too."""
    edges = item.bbox
    box = None
    if edges:
        half = len(edges) // 2
        box = Box(edges[1], edges[half + 1], edges[0], edges[half])
    return Product(
        id=item.id,
        body=body,
        instrument=", ".join(item.properties.get("instruments", [])),
        product_type=str(item.collection_id),
        start=item.common_metadata.start_datetime or item.datetime,
        box=box,
        files=tuple(_files(item)),
    )


def _files(item: pystac.Item) -> Iterator[RemoteFile]:
    """The assets that are data, with the checksums that the item gives."""
    for asset in item.assets.values():
        address = asset.get_absolute_href() or asset.href
        if "data" in (asset.roles or []):
            size = asset.extra_fields.get("file:size")
            checksum = _checksum(asset.extra_fields.get("file:checksum"))
            name = PurePosixPath(urlsplit(address).path).name
            yield RemoteFile(address, name, size / 1024 if size else None, checksum)


def _checksum(multihash: Any) -> str | None:
    """A multihash of a known kind as "method:hexadecimal"."""
    for prefix, method in MULTIHASH.items():
        if isinstance(multihash, str) and multihash.startswith(prefix):
            return f"{method}:{multihash.removeprefix(prefix)}"
    return None
