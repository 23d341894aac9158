"""The container: what must hold without building it."""

import re

import pytest


@pytest.fixture(scope="module")
def instructions(repository):
    """(instruction, arguments) in order, continuation lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", (repository / "Dockerfile").read_text(), flags=re.MULTILINE)
    return [tuple(line.split(maxsplit=1)) for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def arguments(instructions, name):
    return [rest for instruction, rest in instructions if instruction == name]


def test_every_stage_stands_on_the_one_base_that_a_digest_can_pin(instructions):
    assert instructions[0] == ("ARG", "BASE=python:3.11-slim")
    assert all(rest.startswith("${BASE}") for rest in arguments(instructions, "FROM"))


def test_packages_come_from_the_lock_with_hashes_before_the_source(instructions):
    order = [f"{name} {rest}" for name, rest in instructions]
    install = next(i for i, line in enumerate(order) if "--requirement requirements.lock" in line)
    source = next(i for i, line in enumerate(order) if line.startswith("COPY src"))
    assert install < source, "a change of the source must not install 6 GB again"
    assert all("--require-hashes" in part for part in order[install].split("&&") if "pip install" in part)
    assert "--no-deps" in order[source + 1]


def test_nothing_is_fetched_by_address_and_no_cache_stays(instructions):
    assert arguments(instructions, "ADD") == []
    for run in arguments(instructions, "RUN"):
        assert not re.search(r"\b(curl|wget|sudo)\b|://", run)
        assert "apt-get install" not in run or "rm -rf /var/lib/apt/lists" in run
        assert all("--no-cache" in part for part in run.split("&&") if "pip install" in part)


def test_it_runs_without_root_and_knows_its_commit(instructions):
    final = instructions[max(i for i, (name, _) in enumerate(instructions) if name == "FROM") :]
    names = [name for name, _ in final]
    (user,) = arguments(final, "USER")
    assert user not in {"root", "0"}
    assert f"useradd --create-home --uid 10001 {user}" in " ".join(arguments(final, "RUN")).replace("  ", " ")
    assert not {"RUN", "COPY"} & set(names[names.index("USER") :])
    assert "GIT_COMMIT=unknown" in arguments(final, "ARG")
    assert "GIT_COMMIT=${GIT_COMMIT}" in arguments(final, "ENV")[0]
    assert arguments(final, "ENTRYPOINT") == ['["orrery"]']


def test_the_builder_is_sent_what_it_copies_and_nothing_else(repository, instructions):
    lines = [
        line for line in (repository / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert lines[0] == "*"
    sent = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        word for rest in arguments(instructions, "COPY") if "--from" not in rest for word in rest.split()[:-1]
    }
    assert sent == copied
    assert all((repository / name).exists() for name in sent)
