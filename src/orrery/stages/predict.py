"""predict: the champion, or any version, at work on a whole scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from orrery.params import load_params
from orrery.systems.base import Trained, get_section, get_system
from orrery.tracking.lineage import product_tags
from orrery.tracking.registry import load


def run(system: str, request: Mapping[str, Any], out: Path, model: str) -> None:
    """Write the product of `request` into `out`."""
    params, owner = load_params(), get_system(system)
    section = get_section(params, system)
    loaded = load(system, model)
    sources = {f"image_{number}": path for number, path in enumerate(request["images"], 1)} | {
        "dem": request["dem"]
    }
    tags = product_tags(loaded, sources, params.digest(), out / "dtm.tif")
    trained = Trained(loaded.network, loaded.recipe)
    click.echo(owner.predict(trained, request, out, section, tags))
