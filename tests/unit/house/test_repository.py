"""What lies at the root: the licence, how to cite, what changed, and what DVC passes over."""

import re
import tomllib

import pytest
from dvc.fs import LocalFileSystem
from dvc.ignore import DvcIgnoreFilter
from ruamel.yaml import YAML

from orrery import __version__


@pytest.fixture(scope="module")
def project(repository):
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


def test_one_version_everywhere(repository, project):
    citation = YAML(typ="safe").load(repository / "CITATION.cff")
    assert project["version"] == citation["version"] == __version__
    assert [author["name"] for author in citation["authors"]] == ["The orrery developers"]


def test_one_licence_everywhere(repository, project):
    text = (repository / "LICENSE").read_text()
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert project["license"] == YAML(typ="safe").load(repository / "CITATION.cff")["license"] == "Apache-2.0"


def test_the_changelog_keeps_its_form(repository, project):
    text = (repository / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    sections = set(re.findall(r"^### (.+)$", text, re.MULTILINE))
    assert headings[0] == "Unreleased"
    assert sections <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


@pytest.mark.parametrize(
    ("name", "ignored"),
    [("data/a/image.tif.aux.xml", True), ("data/a/.image.partial.tif", True), ("data/a/image.tif", False)],
)
def test_dvc_passes_over_side_cars_and_half_written_files(repository, tmp_path, name, ignored):
    (tmp_path / ".dvcignore").write_text((repository / ".dvcignore").read_text())
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    assert (
        DvcIgnoreFilter(LocalFileSystem(url=str(tmp_path)), str(tmp_path)).is_ignored_file(str(path))
        is ignored
    )


def test_git_passes_over_what_stages_make_but_not_over_the_notes_of_mlruns(repository):
    lines = (repository / ".gitignore").read_text().splitlines()
    assert {"/build/", "/models/", "/reports/", "/mlruns/*", "!/mlruns/README.md", "*.aux.xml"} <= set(lines)
