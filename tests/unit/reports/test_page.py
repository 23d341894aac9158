from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from orrery.errors import OrreryError
from orrery.params import load_params
from orrery.reports.page import markdown, render
from orrery.reports.results import read_results
from orrery.systems.base import Workspace, get_section, get_system
from orrery.tracking.report import VersionFacts
from tests.report_results import CHAMPION, SYSTEM, promotion, write, write_results

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'{{ 7*7 }}[x](javascript:alert(3))![x](http://x/y.png)"
FACTS = VersionFacts(
    SYSTEM, "2", "champion", "0" * 32, {"git.commit": "c" * 40}, "# Card\n\n| a |\n|---|\n| 0.5 |\n"
)


class Elements(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def page(work: Workspace, repository: Path, facts: VersionFacts | None = FACTS) -> str:
    section = get_section(load_params(repository / "params.yaml"), SYSTEM)
    results = read_results(work, section)
    runs = {"0" * 32: {"seed": "7", "git.commit": "d" * 40, "data.md5": "e" * 32}}
    return render(results, get_system(SYSTEM), facts, runs, "f" * 40)


def test_it_tells_figures_verdicts_card_and_origin(tmp_path: Path, repository: Path) -> None:
    text = page(write_results(tmp_path, repository), repository)
    for told in (
        "Table I", "0.8674", "0.363", "0.6467", "train-gale-1 l-to-r: 84.25 d, above 60", "slope_mae_deg is worse", "refused",
        "over version 1", "13.1", "[5, 20]", "<td>0.5</td>", "The preface.", "a" * 40, "c" * 40, "f" * 40, "0" * 32, "d" * 10,
        "Reliability of the predicted 1σ", "slopes matter",
        "<code>worse</code> slope", "in each of test-flat* too", "evidence model_card.md, unchanged", "of the gate passed; trained on",
        "trained at most 90 d ago; at most 2 times its bytes.",
    ):  # fmt: skip
        assert told in text, told
    assert "0.3333" not in text  # of a scene that is not in the test set


def test_it_loads_nothing_from_anywhere(tmp_path: Path, repository: Path) -> None:
    elements = Elements(page(write_results(tmp_path, repository), repository)).found
    assert {tag for tag, _ in elements} & {"link", "iframe", "object", "embed", "base", "form"} == set()
    sources = [attributes["src"] for _, attributes in elements if "src" in attributes]
    assert len(sources) > 8
    assert all((source or "").startswith("data:image/webp;base64,") for source in sources)
    targets = [attributes["href"] for tag, attributes in elements if tag == "a"]
    assert all(re.match(r"#|\.\./gates/", target or "") for target in targets)


def test_hostile_names_stay_text(tmp_path: Path, repository: Path) -> None:
    tags = {"git.commit": HOSTILE, "variant": HOSTILE}
    facts = VersionFacts(
        SYSTEM, HOSTILE, HOSTILE, HOSTILE, tags, f"# {HOSTILE}\n\n| {HOSTILE} |\n|---|\n| 1 |\n"
    )
    plain = Elements(page(write_results(tmp_path / "plain", repository), repository)).found
    work = write_results(tmp_path / "hostile", repository, text=HOSTILE.replace("/", "∕"))
    text = page(work, repository, facts)
    elements = Elements(text).found
    assert text.count("<script") == 1
    assert "{{ 7*7 }}" in text
    for tag, attributes in elements:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not (attributes.get("href") or "").lower().startswith("javascript:")
        assert (attributes.get("src") or "data:").startswith("data:")
    assert sum(tag == "img" for tag, _ in elements) == sum(tag == "img" for tag, _ in plain)


def test_the_policy_allows_this_style_and_script_alone(tmp_path: Path, repository: Path) -> None:
    elements = Elements(page(write_results(tmp_path, repository), repository)).found
    (policy,) = [
        a["content"] or "" for tag, a in elements if a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in elements)


def test_without_registry_promotion_and_pictures_it_says_so(tmp_path: Path, repository: Path) -> None:
    work = write_results(tmp_path, repository)
    (work.reports / "promotion.json").unlink()
    for path in work.report(CHAMPION).rglob("*.png"):
        path.unlink()
    text = page(work, repository, None)
    assert "No version was judged yet" in text
    assert f"The registry has no version of {SYSTEM} yet" in text
    assert 'id="compare"' not in text


def test_key_figures_are_those_of_the_version_that_is_champion(tmp_path: Path, repository: Path) -> None:
    work = write_results(tmp_path, repository)
    rules = promotion()["rules"]
    guarded = rules | {"guards": rules.get("guards", {}) | {rules["metric"]: {}}}
    write(work.reports / "promotion.json", promotion() | {"rules": guarded})
    refused = page(work, repository)
    assert refused.count("<dd>0.9<small>version 1, mean of the test scenes</small>") == 1
    write(work.reports / "promotion.json", promotion() | {"promoted": True})
    assert "<dd>0.7821<small>version 2, mean of the test scenes</small>" in page(work, repository)
    write(work.reports / "promotion.json", promotion() | {"champion": None})
    assert "<dd>0.7821<small>version 2, mean of the test scenes</small>" in page(work, repository)


def test_a_file_of_another_version_is_told(tmp_path: Path, repository: Path) -> None:
    work = write_results(tmp_path, repository)
    write(work.gate_verdict, {"passed": True, "rows": 1, "structure": []})
    with pytest.raises(
        OrreryError, match=r"lacks what a report needs .*'expectations'.*; run `dvc repro promote@"
    ):
        page(work, repository)


def test_html_in_a_card_stays_text() -> None:
    assert markdown("a <b>c</b>") == "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"
    assert "<img" not in markdown("![x](http://example.org/x.png)")
    assert "href" not in markdown("[x](javascript:alert(1))")
    assert markdown("# a\n\n## b") == "<h3>a</h3>\n<h4>b</h4>\n"
    assert "<table>" in markdown("| a |\n|---|\n| 1 |")


def test_results_that_are_missing_or_damaged_are_named(tmp_path: Path, repository: Path) -> None:
    with pytest.raises(
        OrreryError, match=r"tables\.json: does not exist; run `make repro`, or `dvc repro promote@lunar-dtm`"
    ):
        page(Workspace(SYSTEM, tmp_path), repository)
    work = write_results(tmp_path, repository)
    write(work.reports / "tables.json", {"a": 1})
    with pytest.raises(
        OrreryError, match=r"tables\.json: is not a list of rows with metric, ours, paper, row, table"
    ):
        page(work, repository)
