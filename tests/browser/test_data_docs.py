"""Great Expectations' Data Docs without a network: the index leads to the scenes that fail."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from orrery.gates import judge
from orrery.gates.expectations import ExpectationParams

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_a_failed_expectation_is_shown_with_its_scenes(
    open_page: Callable[..., Page], tmp_path: Path, screenshots: Path
) -> None:
    table = pd.DataFrame(
        {
            "scene": ["train-wall-0", "train-wall-1", "test-flat"],
            "pair": ["r-to-l"] * 3,
            "residual_px": [0.21, 3.75, 0.3],
        }
    )
    reason = "beyond half a pixel edges double"
    expected = ExpectationParams(column="residual_px", max=0.5, severity="critical", reason=reason)
    assert not judge(table, {"residual": expected}, docs=tmp_path / "docs").passed
    page = open_page((tmp_path / "docs/index.html").as_uri())
    page.get_by_text("Status: Failed").wait_for()
    text = page.locator("body").inner_text()
    assert reason in text
    assert "3.75" in text
    assert "train-wall-1" in text
    assert "test-flat" not in text
    page.screenshot(path=screenshots / "data-docs.png", full_page=True)
