"""predict and restore: the champion, or any version, at work on a whole scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click

from orrery.errors import OrreryError
from orrery.params import Params, load_params
from orrery.raster.scene import ITEM
from orrery.systems.base import System, Trained, get_section, get_system
from orrery.tracking.lineage import product_tags
from orrery.tracking.registry import LoadedModel, load

Verb = Literal["predict", "restore"]
OPTIONS = {
    "images": "--image",
    "sun": "--sun-azimuth and --sun-elevation",
}  # the others are called as they are


def run(system: str, request: Mapping[str, Any], out: Path, model: str, verb: Verb = "predict") -> None:
    """Write the product of `request` into `out`."""
    owner, params = get_system(system), load_params()
    request = checked(owner, request, verb)
    click.echo(applied(load(system, model), params, request, out, verb))


def applied(
    model: LoadedModel, params: Params, request: Mapping[str, Any], out: Path, verb: Verb = "predict"
) -> str:
    """Write the product of a checked request into `out`; return what was written, in one line."""
    owner = get_system(model.system)
    section = get_section(params, model.system)
    tags = product_tags(model, sources(request), params.digest(), out / ITEM)
    work = owner.predict if verb == "predict" else owner.restore
    return work(Trained(model.network, model.recipe), request, out, section, tags)


def checked(owner: System[Any], request: Mapping[str, Any], verb: Verb) -> dict[str, Any]:
    """What was given of a request.

    Raises:
        OrreryError: the system lacks an option, or takes none of that name, or does not know the verb.
    """
    takes = owner.takes.get(verb)
    if takes is None:
        able = f"it knows {', '.join(sorted(owner.takes))}"
        raise OrreryError(f"{owner.name} does not {verb}", remedy=able)
    given = {name: value for name, value in request.items() if value not in (None, (), [], (None, None))}
    for name in sorted(given.keys() - takes.keys()):
        raise OrreryError(f"{verb} {owner.name} takes no {_option(name)}", remedy="leave it out")
    for name in sorted(name for name, needed in takes.items() if needed and name not in given):
        raise OrreryError(f"{verb} {owner.name} needs {_option(name)}", remedy=f"see `orrery {verb} --help`")
    return given


def sources(request: Mapping[str, Any]) -> dict[str, Path]:
    """Role -> file, of all files that a request names; with a detached label goes the file of its samples."""
    images = {f"image_{number}": path for number, path in enumerate(request.get("images", ()), 1)}
    named = images | {name: value for name, value in request.items() if isinstance(value, Path)}
    samples = {
        f"{name}_samples": path.with_suffix(suffix)
        for name, path in named.items()
        for suffix in (".igz", ".img")
        if path.suffix.lower() == ".lbl" and path.with_suffix(suffix).exists()
    }
    return named | samples


def _option(name: str) -> str:
    return OPTIONS.get(name, f"--{name.replace('_', '-')}")
