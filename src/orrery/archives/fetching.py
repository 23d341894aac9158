"""The products of a catalogue in a folder of one's own: found there, or fetched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from orrery.archives import ode
from orrery.archives.catalogue import Kind
from orrery.archives.download import RemoteFile, fetch
from orrery.archives.http import Http
from orrery.archives.product import Box
from orrery.errors import OrreryError
from orrery.files import read_as, write_json
from orrery.raster.grid import Body

MAPS = (".tif", ".cub")  # beside the folders of products: a map-projected image that is taken as it is
# Which of a product's files to open, best first: a label rather than its image, unless an ENVI header tells more.
MAIN, MAIN_WITH_HEADER = (".tif", ".lbl", ".img", ".cub"), (".tif", ".img", ".lbl")
FACTS = "product.json"


@dataclass(frozen=True)
class Local:
    """A product on the disk.

    Attributes:
        id: as the archive calls it.
        folder: its own.
        path: the file to open.
        projected: whether somebody gave it as a map.
        start: beginning of the observation; None where nobody tells.
        latitude_deg: of the footprint's middle; None where nobody tells.
    """

    id: str
    folder: Path
    path: Path
    projected: bool
    start: datetime | None
    latitude_deg: float | None


@dataclass(frozen=True)
class Facts:
    """What the archive lists of a product.

    Attributes:
        files: of the product.
        start: beginning of the observation; None where it does not tell.
        latitude_deg: of the footprint's middle; None where it does not tell.
    """

    files: list[RemoteFile]
    start: datetime | None = None
    latitude_deg: Annotated[float, Field(ge=-90, le=90)] | None = None


@dataclass(frozen=True)
class Shelf:
    """Where products are kept, `FOLDER/ASSET/ID/…`, and how missing ones are fetched.

    Attributes:
        folder: on the disk; `FOLDER/ASSET/ID.tif` or `.cub` is a map given in place of a product.
        http: the session.
        ode_url: of the search service.
        quiet: no progress bars.
    """

    folder: Path
    http: Http
    ode_url: str = ode.URL
    quiet: bool = False

    def get(self, asset: str, kind: Kind, identifier: str, body: Body) -> Local:
        """A product, fetched where it is not here yet.

        Args:
            asset: what it serves as, e.g. `ctx`.
            kind: where it comes from.
            identifier: as the archive calls it.
            body: what it shows.

        Raises:
            OrreryError: as `fetch` and `ode.product`; or the product has no image.
        """
        own = self.folder / asset / identifier
        facts = self._facts(own / FACTS, kind, identifier, body)
        maps = [own.with_name(f"{identifier}{suffix}") for suffix in MAPS]
        given = next((path for path in maps if path.is_file()), None)
        if given is None:
            paths = [fetch(file, own, self.http, quiet=self.quiet) for file in facts.files]
            main = _main(paths, identifier)
        return Local(identifier, own, given or main, given is not None, facts.start, facts.latitude_deg)

    def _facts(self, path: Path, kind: Kind, identifier: str, body: Body) -> Facts:
        """What the archive lists, asked for once and then kept beside the files."""
        if not path.exists():
            write_json(path, self._listed(kind, identifier, body))
        return read_as(path, Facts, "what the archive lists", "delete it to ask the archive again")

    def _listed(self, kind: Kind, identifier: str, body: Body) -> dict[str, Any]:
        """From the addresses of the kind, or from the search service."""
        if kind.files:
            addresses = [address.format(id=identifier) for address in kind.files]
            named = [RemoteFile(url, PurePosixPath(urlsplit(url).path).name) for url in addresses]
            return {"files": [vars(file) for file in named]}
        query = ode.Query(
            body, str(kind.host), str(kind.instrument), str(kind.product_type), product_id=identifier
        )
        product = ode.product(query, self.http, self.ode_url)
        return {
            "files": [vars(file) for file in product.files],
            "start": product.start.isoformat() if product.start else None,
            "latitude_deg": _middle(product.box),
        }


def _middle(box: Box | None) -> float | None:
    return (box.south + box.north) / 2 if box else None


def _main(paths: list[Path], identifier: str) -> Path:
    """The file to open."""
    header = any(path.suffix.lower() == ".hdr" for path in paths)
    for suffix in MAIN_WITH_HEADER if header else MAIN:
        for path in paths:
            if path.suffix.lower() == suffix:
                return path
    listed = ", ".join(path.name for path in paths) or "no file"
    remedy = "look at it in the archive, or give a map in its place"
    raise OrreryError(f"{identifier} has no image among its files ({listed})", remedy=remedy)
