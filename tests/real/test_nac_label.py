"""The companding terms are those of a real product's label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orrery.instruments import nac


@pytest.mark.real
@pytest.mark.parametrize("name", ["nacl.img", "nacr.img"])
def test_companding_terms_stand_in_the_label(shared_data: Path, name: str) -> None:
    label = (shared_data / "moon" / "isis_fixtures" / name).read_bytes()[:6000].decode("latin-1")
    terms = {
        key: tuple(float(v) for v in values.split(","))
        for key, values in re.findall(r"LRO:([BMX]TERM)\s*=\s*\(([^)]*)\)", label)
    }
    assert terms["XTERM"] == nac.COMPAND_START_DN12
    assert terms["MTERM"] == nac.COMPAND_SLOPE
    assert terms["BTERM"] == nac.COMPAND_OFFSET_DN8
