"""The report's page as a reader has it: from disk, with a mouse, a finger or keys, on a desk or in a pocket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orrery.stages import report
from tests.report_results import SYSTEM, write_results

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser
HOSTILE = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>"
Open = Callable[..., "Page"]


@pytest.fixture
def address(project: Path, repository: Path) -> str:
    return made(project, repository)


def made(project: Path, repository: Path, text: str = "") -> str:
    (project / ".git").mkdir()
    work = write_results(project, repository, text=text)
    report.run(SYSTEM)
    return (work.reports / "report.html").resolve().as_uri()


def line_px(ground: Locator) -> float:
    """How far right of the ground's left edge its line is drawn."""
    line, whole = ground.locator(".divider").bounding_box(), ground.bounding_box()
    assert line is not None
    assert whole is not None
    return line["x"] + line["width"] / 2 - whole["x"]


def shown_share(ground: Locator) -> float:
    """Share of the left picture that is not clipped away."""
    clip = ground.locator(".before").evaluate("picture => getComputedStyle(picture).clipPath")
    return 1 - float(clip.split("calc(100% - ")[1].split("%")[0]) / 100 if "calc(" in clip else clipped(clip)


def clipped(clip: str) -> float:
    """Of ``inset(0px 25% 0px 0px)``: 0.75."""
    return 1 - float(clip.removeprefix("inset(").split()[1].rstrip("%")) / 100


def test_the_line_follows_the_mouse(open_page: Open, address: str, screenshots: Path) -> None:
    page = open_page(address)
    ground = page.locator("[data-ground]").first
    ground.scroll_into_view_if_needed()
    box = ground.bounding_box()
    assert box is not None
    assert abs(line_px(ground) - box["width"] / 2) < 2
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] / 2, steps=8)
    page.mouse.up()
    assert abs(line_px(ground) / box["width"] - 0.25) < 0.03
    assert abs(shown_share(ground) - 0.25) < 0.03
    # the other scene's line stays where it was
    assert abs(line_px(page.locator("[data-ground]").nth(1)) - box["width"] / 2) < 2
    page.screenshot(path=screenshots / "report-page.png")
    assert page.problems == []


def test_the_line_follows_the_keys(open_page: Open, address: str) -> None:
    page = open_page(address)
    ground = page.locator("[data-ground]").first
    before = line_px(ground)
    reach(page, ground.locator("input"))
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    width = (ground.bounding_box() or {})["width"]
    assert abs((line_px(ground) - before) / width - 0.10) < 0.01
    page.keyboard.press("Home")
    assert abs(line_px(ground)) < 2
    assert shown_share(ground) == pytest.approx(0, abs=0.01)


def reach(page: Page, target: Locator) -> None:
    """Walk to an element by the Tab key alone."""
    for _ in range(40):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            return
    pytest.fail("the Tab key never gets there")


def test_another_picture_is_chosen_for_each_side(open_page: Open, address: str) -> None:
    page = open_page(address)
    figure = page.locator("[data-slider]").first
    figure.locator("select[data-side=after]").select_option("2")
    assert figure.locator("img.after").get_attribute("alt") == "test-flat: plane 2"
    assert figure.locator("img.before").get_attribute("alt") == "test-flat: plane 0"
    assert figure.locator("img.hidden").count() == 1
    figure.locator("select[data-side=before]").select_option("2")
    assert figure.locator("img:not(.hidden)").count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_its_tables_and_not_the_page(
    open_page: Open, address: str, screenshots: Path, scheme: str
) -> None:
    page = open_page(address, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#promotion .scroll").evaluate("box => box.scrollWidth > box.clientWidth")
    light, ink = (brightness(page, name) for name in ("backgroundColor", "color"))
    assert (light > 200 and ink < 60) if scheme == "light" else (light < 60 and ink > 200)
    page.screenshot(path=screenshots / f"report-phone-{scheme}.png")


def brightness(page: Page, name: str) -> float:
    colour = page.evaluate(f"getComputedStyle(document.body).{name}")
    channels = [float(each) for each in colour.removeprefix("rgb(").rstrip(")").split(",")]
    return sum(channels) / 3


def test_without_scripts_the_pictures_still_lie_side_by_side(open_page: Open, address: str) -> None:
    page = open_page(address, java_script_enabled=False)
    assert page.locator("[data-ground] >> nth=0 >> img:not(.hidden)").count() == 2


def test_nothing_of_a_hostile_name_runs(open_page: Open, project: Path, repository: Path) -> None:
    page = open_page(made(project, repository, HOSTILE.replace("/", "\u2215")))
    assert page.title() == f"{SYSTEM}: report"
    assert "onerror" in page.locator("#gate").inner_text()
    assert page.problems == []
