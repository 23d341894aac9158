"""Types and groups of options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
Decorator = Callable[[Any], Any]
WORKERS = click.option(
    "--workers",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    envvar="ORRERY_WORKERS",
    help="Processes of this host to share the work [env ORRERY_WORKERS].",
)
SCHEDULER = click.option(
    "--scheduler",
    envvar="ORRERY_SCHEDULER",
    help="Address of a Dask scheduler to share the work instead, tcp://host:8786 [env ORRERY_SCHEDULER].",
)


def together(*options: Decorator) -> Decorator:
    """One decorator of several, in the order of the help."""
    return lambda command: reduce(lambda found, option: option(found), reversed(options), command)


def shared_out(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose work is done by the workers that its caller asks for; it takes `--workers` and `--scheduler`."""

    @WORKERS
    @SCHEDULER
    @wraps(command)
    def call(*arguments: Any, workers: int, scheduler: str | None, **options: Any) -> None:
        from orrery.cluster import using

        with using(scheduler, workers):
            command(*arguments, **options)

    return call
