"""tables: the paper's rows beside ours, as JSON, Markdown and pictures."""

from __future__ import annotations

from orrery.files import existing
from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.provenance import git_commit
from orrery.tracking.root import checkout_root


def run(system: str) -> None:
    """Write reports/<system>/{tables.json, tables.md, pictures}."""
    params, work = load_params(), Workspace(system)
    existing(work.aligned)
    get_system(system).tables(work, get_section(params, system), git_commit(checkout_root()))
