"""patch: aligned scenes into shards of patches."""

from __future__ import annotations

from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system


def run(system: str) -> None:
    """Write build/<system>/patches/."""
    params, work = load_params(), Workspace(system)
    get_system(system).patch(work.aligned, work.patches, get_section(params, system), params.seed)
