"""Every system's align and patch stages on scenes of seconds, for comparisons to the byte."""

from __future__ import annotations

from pathlib import Path

from orrery.files import sha256
from orrery.params import load_params, overlaid, validate
from orrery.systems.base import Workspace, get_system
from orrery.systems.lunar_dtm.params import LunarParams
from orrery.world_params import MoonParams, SiteParams, SunParams
from orrery.worlds import moon
from orrery.worlds.moon import stereo_scenes
from tests.unit.systems import kaguya_scenes, mars_patches, mars_scenes

SEED = 7
SUN = (120.0, 35.0)


def make_raw(system: str, root: Path) -> Workspace:
    """Raw scenes: training, validation and test, two of lunar-dtm over one site."""
    work = Workspace(system, root)
    match system:
        case "lunar-dtm":
            morning, evening = (
                SunParams(azimuth_deg=azimuth, elevation_deg=30.0) for azimuth in (100.0, 260.0)
            )
            sites = {
                "train-hill": SiteParams(kind="mountain", suns=[morning, evening]),
                "val-plain": SiteParams(kind="flat", suns=[morning]),
            }
            params = MoonParams(gsd_m=3.0, strip_width_px=385, height_px=430, sites=sites)
            moon.make(work.data / "moon", params, SEED)
        case "mars-bands":
            for place, name in enumerate(("train-gale", "train-melas", "val-hale", "test-nili")):
                mars_scenes.make_scene(work.data / "mars", name, 300_000.0 + 20_000 * place, None, SUN)
        case _:
            scenes = {
                name: kaguya_scenes.scene_params(kind)
                for name, kind in (
                    ("train_a", "flat"),
                    ("train_b", "mountain"),
                    ("val_a", "flat"),
                    ("test_a", "flat"),
                )
            }
            stereo_scenes.make(work.data / "kaguya", kaguya_scenes.world(**scenes), SEED)
    return work


def section(system: str):
    """The system's part of params.yaml, with patches that small scenes hold."""
    match system:
        case "lunar-dtm":
            whole = load_params(kaguya_scenes.ROOT / "params.yaml").systems[system]
            small = overlaid(whole, {"patch": {"height_px": 64, "width_px": 64}})
            return validate(LunarParams, small, file=Path("params.yaml"))
        case "mars-bands":
            return mars_patches.section_of({"spectral_dimensions": 3})
        case _:
            return kaguya_scenes.section()


def align_and_patch(work: Workspace) -> None:
    """As the stages do it."""
    owner, params = get_system(work.system), section(work.system)
    work.aligned.mkdir(parents=True)
    table = owner.align(work.data, work.aligned, params, SEED)
    table.to_parquet(work.aligned / "pairs.parquet", index=False)
    owner.patch(work.aligned, work.patches, params, SEED)


def digests(folder: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file."""
    return {
        str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }
