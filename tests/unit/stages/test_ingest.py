"""ingest makes every world that params.yaml has a section for, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from orrery.cluster import using
from orrery.raster.scene import list_scenes
from orrery.stages import ingest

HEAD = "scale: demo\nseed: 7\ntrain: {}\ntracking: {}\nmodels: {}\nsystems: {}\ningest:\n"
MOON = """
  moon:
    {gsd_m: 5.0, strip_width_px: 90, height_px: 100, overlap_px: 40, sldem: {margin_m: 300.0, max_offset_postings: 2.0},
     sites: {hill: {kind: flat, suns: [{azimuth_deg: 120.0, elevation_deg: 35.0}]}}}
"""
MARS = """
  mars: {height_px: 170, width_px: 170, wavelengths_nm: [592.35], scenes: {dune: {region: gale}}}
"""


@pytest.mark.parametrize(("sections", "worlds"), [(MOON + MARS, ["mars", "moon"]), (MARS, ["mars"])])
def test_each_section_gives_a_world(project: Path, sections: str, worlds: list[str]) -> None:
    (project / "params.yaml").write_text(HEAD + sections)
    ingest.run(project / "data", versioned=False)
    assert sorted(path.name for path in (project / "data").iterdir()) == worlds
    for world in worlds:
        (scene,) = list_scenes(project / "data" / world)
        assert scene.item.properties["ssys:targets"] == [world.capitalize()]


@pytest.mark.slow
def test_two_workers_make_the_same_bytes(project: Path) -> None:
    kaguya = "\n  kaguya: {height_px: 128, width_px: 128, drawn_scenes: 1, scenes: {mare: {kind: flat, sun: {azimuth_deg: 95.0, elevation_deg: 50.0}, mean_count: 200.0}}}\n"
    (project / "params.yaml").write_text(HEAD + MOON + MARS + kaguya)
    ingest.run(project / "alone", versioned=False)
    with using(workers=2):
        ingest.run(project / "shared", versioned=False)
    alone, shared = _files(project / "alone"), _files(project / "shared")
    assert len(alone) > 10
    assert shared == alone


def _files(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
