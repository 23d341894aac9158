"""patch: aligned scenes into shards of patches."""

from __future__ import annotations

from orrery.files import existing
from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system


def run(system: str) -> None:
    """Write build/<system>/patches/."""
    params, work = load_params(), Workspace(system)
    section = get_section(params, system)
    get_system(system).patch(existing(work.aligned), work.patches, section, params.seed)
