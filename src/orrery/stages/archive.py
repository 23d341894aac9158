"""ingest --source archive: a catalogue's products as scenes in data/, beside those that are there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orrery.archives import ode
from orrery.archives.catalogue import read_catalogue
from orrery.archives.fetching import Shelf
from orrery.archives.http import Http
from orrery.archives.ingest import Job, bring
from orrery.errors import OrreryError
from orrery.stages.ingest import record


def run(
    catalogue: str,
    out: Path,
    products: Path,
    *,
    only: Sequence[str] = (),
    all_bands: bool = False,
    versioned: bool = True,
    http: Http | None = None,
    ode_url: str = ode.URL,
) -> None:
    """Bring scenes under `out`/<body>; each that fails is said, and the rest goes on.

    Raises:
        OrreryError: the catalogue or the patterns are wrong, a scene could not be made, or DVC refuses.
    """
    content = read_catalogue(catalogue)
    job = Job(content, out / content.body, Shelf(products, http or Http(), ode_url), all_bands)
    made, failed = 0, []
    for scene, error in bring(job, only or ("*",)):
        click.echo(f"{scene}: {'made' if error is None else error}")
        made += error is None
        failed += [scene] if error is not None else []
    if made and versioned:
        record(out)
    if failed:
        problem = f"{len(failed)} of {made + len(failed)} scenes could not be made"
        remedy = f"see above, then try again with --scene {failed[0]}; what was fetched is kept in {products}"
        raise OrreryError(problem, remedy=remedy)
