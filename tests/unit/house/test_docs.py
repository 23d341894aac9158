"""The documentation against the program: links, commands, options, parameters and columns that exist."""

import re
import shlex
import typing

import click
import pytest
from pydantic import BaseModel

from orrery.cli import cli
from orrery.params import Params, load_params
from orrery.systems.base import get_system

LINK = re.compile(r"\[[^\]]*\]\((?!https?:|#)([^)#]+)(?:#([^)]+))?\)")
FENCE = re.compile(r"^ *```(?:bash|console|sh)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def pages(repository):
    return [repository / "README.md", *sorted((repository / "docs").rglob("*.md"))]


def commands(repository):
    """(page, words) of every command in a block of shell, continuation lines joined, each part of && by itself."""
    for page in pages(repository):
        for block in FENCE.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r"&&|\|\|", line):
                    if words := shlex.split(part, comments=True):
                        yield page.name, words


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_somewhere(repository):
    broken = []
    for page in pages(repository):
        for target, anchor in LINK.findall(page.read_text()):
            path = (page.parent / target).resolve()
            if not path.exists() or (anchor and anchor not in anchors(path)):
                broken.append(f"{page.name}: {target}#{anchor}")
    assert broken == []


def test_every_page_is_reached_from_the_index(repository):
    start = repository / "docs" / "index.md"
    reached, waiting = {start.resolve()}, [start.resolve()]
    while waiting:
        page = waiting.pop()
        found = {
            (page.parent / target).resolve()
            for target, _ in LINK.findall(page.read_text())
            if target.endswith(".md")
        }
        waiting += found - reached
        reached |= found
    assert set((repository / "docs").rglob("*.md")) <= reached


def test_commands_and_options_exist(repository):
    wrong = []
    for page, words in commands(repository):
        if words[0].removeprefix(".venv/bin/") != "orrery":
            continue
        command = cli.commands.get(words[1]) if len(words) > 1 else None
        if command is None:
            wrong.append(f"{page}: {' '.join(words)}")
            continue
        try:
            command.make_context(words[1], words[2:], resilient_parsing=False)
        except click.exceptions.Exit:
            continue
        except click.ClickException as error:
            wrong.append(f"{page}: {' '.join(words)}: {error.format_message()}")
    assert wrong == []


def test_make_targets_exist(repository):
    targets = set(re.findall(r"^(\w+):", (repository / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for _, words in commands(repository) if words[0] == "make" and len(words) > 1}
    assert {"repro"} <= named <= targets


def test_sample_scenes_that_are_named_are_in_the_sample(repository):
    if not (repository / "data").is_dir():
        pytest.skip("the sample is not fetched; dvc pull data.dvc")
    named = {word for _, words in commands(repository) for word in words if word.startswith("data/")}
    assert named
    assert [name for name in sorted(named) if not (repository / name).exists()] == []


def test_the_reference_knows_every_command_and_option(repository):
    text = (repository / "docs" / "reference" / "cli.md").read_text()
    missing = []
    for name, command in cli.commands.items():
        if not re.search(rf"orrery {name}\b", text):
            missing.append(name)
        options = [option for option in command.params if isinstance(option, click.Option)]
        missing += [f"{name} {opt}" for option in options for opt in option.opts if opt not in text]
    assert missing == []


def fields(model):
    """The names of a section's fields and of all sections below it."""
    for name, field in model.model_fields.items():
        yield name
        for kind in nested(field.annotation):
            yield from fields(kind)


def nested(annotation):
    """The sections that a type holds, in mappings, lists, unions and annotations too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [kind for argument in typing.get_args(annotation) for kind in nested(argument)]


def test_the_reference_knows_every_parameter(repository):
    text = (repository / "docs" / "reference" / "params.md").read_text()
    names = load_params(repository / "params.yaml").systems
    sections = [Params, *(get_system(name).section_type for name in names)]
    told = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert sorted({name for section in sections for name in fields(section)} - told) == []


def test_the_reference_knows_what_gate_and_promotion_judge_by(repository):
    text = (repository / "docs" / "reference" / "tables-and-metrics.md").read_text()
    section = load_params(repository / "params.yaml").systems["lunar-dtm"]
    columns = {name for item in section["gate"].values() for name in (item["column"], *item.get("where", {}))}
    metrics = {section["promotion"]["metric"], *section["promotion"]["guards"]}
    assert sorted(name for name in columns | metrics if f"`{name}`" not in text) == []
