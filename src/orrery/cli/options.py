"""Types and groups of options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

PATH = click.Path(path_type=Path)
Decorator = Callable[[Any], Any]


def together(*options: Decorator) -> Decorator:
    """One decorator of several, in the order of the help."""
    return lambda command: reduce(lambda found, option: option(found), reversed(options), command)
