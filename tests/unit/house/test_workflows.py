"""Continuous integration: small rights, fixed versions, and the commands of the Makefile."""

import re
import tomllib

import pytest
from ruamel.yaml import YAML

NAMES = ("audit", "browser", "image", "lint", "pipeline", "promote", "unit", "versions")


@pytest.fixture(params=NAMES)
def workflow(request, repository):
    return YAML(typ="safe").load(repository / ".github" / "workflows" / f"{request.param}.yml")


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_these_are_all_the_workflows(repository):
    assert sorted(path.stem for path in (repository / ".github" / "workflows").iterdir()) == list(NAMES)


def test_it_may_only_read_and_ends_by_itself(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 60 for job in workflow["jobs"].values())
    assert all(re.search(r"-\d", job["runs-on"]) for job in workflow["jobs"].values())


def test_actions_are_pinned_to_a_major(workflow):
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used[0].startswith("actions/checkout@")
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used)


def test_it_calls_targets_that_exist(workflow, repository):
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), re.MULTILINE))
    called = {name for step in steps(workflow) for name in re.findall(r"\bmake (\w+)", step.get("run", ""))}
    assert called <= targets


def test_what_a_person_types_reaches_the_shell_as_a_variable_alone(workflow):
    """An input in the text of a script would be run as one."""
    assert not any(
        re.search(r"\{\{ *(inputs|github\.event)\b", step.get("run", "")) for step in steps(workflow)
    )


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("browser", "make browser"),
        ("lint", "make lint"),
        ("unit", "make test"),
        ("pipeline", "make repro"),
        ("versions", "make test"),
    ],
)
def test_it_runs_what_it_is_called_after(repository, name, command):
    text = YAML(typ="safe").load(repository / ".github" / "workflows" / f"{name}.yml")
    assert command in [step.get("run") for step in steps(text)]


def test_the_oldest_supported_versions_are_tested_on_the_oldest_python(repository):
    workflow = YAML(typ="safe").load(repository / ".github" / "workflows" / "versions.yml")
    matrix = {
        row["resolution"]: row["python"]
        for row in workflow["jobs"]["bounds"]["strategy"]["matrix"]["include"]
    }
    oldest = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["requires-python"]
    assert matrix["lowest-direct"] == oldest.removeprefix(">=")
    assert set(matrix) == {"lowest-direct", "highest"}
