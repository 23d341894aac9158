"""tables: the paper's rows beside ours, as JSON, Markdown and pictures."""

from __future__ import annotations

from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.root import git_commit


def run(system: str) -> None:
    """Write reports/<system>/{tables.json, tables.md} and pictures."""
    params = load_params()
    get_system(system).tables(Workspace(system), get_section(params, system), git_commit())
