"""align: raw scenes of a system onto one grid, and a table of how well they fit."""

from __future__ import annotations

from orrery.files import replacing, write_json
from orrery.params import load_params
from orrery.systems.base import Workspace, get_section, get_system


def run(system: str) -> None:
    """Write build/<system>/aligned/<scene>/ and pairs.parquet, and the split, so that whoever judges depends on it by this folder."""
    params, work = load_params(), Workspace(system)
    with replacing(work.aligned) as temporary:
        temporary.mkdir()
        table = get_system(system).align(work.data, temporary, get_section(params, system), params.seed)
        table.to_parquet(temporary / "pairs.parquet", index=False)
        write_json(temporary / "split.json", params.systems[system]["split"])
