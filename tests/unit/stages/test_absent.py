"""A stage whose input nobody has made says which, and makes nothing."""

import re
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.stages import align, evaluate, patch, tables, train
from orrery.systems.base import get_section

STAGES = {
    "data/": lambda system, variant: align.run(system),
    "build/{}/aligned": lambda system, variant: patch.run(system),
    "build/{}/patches/index.parquet": train.run,
}


@pytest.mark.parametrize("system", ["lunar-dtm", "mars-bands", "kaguya-disparity"])
@pytest.mark.parametrize("absent", STAGES)
def test_what_is_absent_is_named(project: Path, repository: Path, system: str, absent: str) -> None:
    _params(project, repository)
    variant = get_section(load_params(), system).champion_variant
    with pytest.raises(OrreryError, match=re.escape(absent.format(system))):
        STAGES[absent](system, variant)
    assert not any(path.is_file() for path in (project / "build").rglob("*"))


@pytest.mark.parametrize("stage", [evaluate.run, lambda system, variant: tables.run(system)])
def test_what_is_judged_needs_aligned_scenes(project: Path, repository: Path, stage) -> None:
    _params(project, repository)
    with pytest.raises(OrreryError, match="build/kaguya-disparity/aligned: does not exist; run the stage"):
        stage("kaguya-disparity", "orrery-disparity")
    assert not (project / "reports").exists()


def _params(project: Path, repository: Path) -> None:
    (project / "params.yaml").write_text((repository / "params.yaml").read_text())
