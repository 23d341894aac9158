"""requirements.lock: names, versions and hashes, nothing else, and what pyproject.toml asks for."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ENTRY = re.compile(r"([A-Za-z0-9._-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


@pytest.fixture(scope="module")
def text(repository):
    return (repository / "requirements.lock").read_text()


@pytest.fixture(scope="module")
def locked(text):
    return {canonicalize_name(name): version for name, version, _ in ENTRY.findall(text)}


def test_every_line_belongs_to_a_pinned_and_hashed_package(text, locked):
    assert ENTRY.sub("", text) == ""
    assert len(locked) == text.count("==")


def test_it_names_no_host(text):
    assert not re.search(r"://|index-url|find-links|@ ", text)


def test_it_satisfies_the_bounds(repository, locked):
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    for line in [*project["dependencies"], *extras]:
        requirement = Requirement(line)
        if requirement.name == project["name"]:
            continue  # one extra takes in another
        assert locked[canonicalize_name(requirement.name)] in requirement.specifier, line


def test_it_avoids_the_malicious_releases_of_lightning(locked):
    assert locked["pytorch-lightning"] not in {"2.6.2", "2.6.3"}
