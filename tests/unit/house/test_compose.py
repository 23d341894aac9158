"""compose.yaml: well formed, pinned, without a secret, and closed to the network until somebody opens it."""

import re

import pytest
from ruamel.yaml import YAML

from tests.pipeline.team_services import SECRETS, compose


@pytest.fixture(scope="module")
def raw(repository):
    return YAML(typ="safe").load(repository / "compose.yaml")


@pytest.fixture(scope="module")
def filled():
    return compose(SECRETS)


def test_every_secret_must_be_given(repository):
    for name in SECRETS:
        with pytest.raises(ValueError, match=name):
            compose({**SECRETS, name: ""})
    example = dict(line.split("=", 1) for line in (repository / ".env.example").read_text().splitlines() if "=" in line)  # fmt: skip
    assert all(example[name] == "" for name in SECRETS)
    asked = set(re.findall(r"\$\{(\w+)", (repository / "compose.yaml").read_text()))
    assert asked == set(example)


def test_no_secret_is_written_down(raw):
    for service in raw["services"].values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{\w+:\?[^}]*\}", value), name


def test_images_are_pinned(filled):
    foreign = [each["image"] for each in filled["services"].values() if "build" not in each]
    assert len(foreign) == 2
    assert all(re.search(r":\d+[.\w-]*$", image) for image in foreign)


def test_ports_are_bound_to_this_host(filled):
    ports = [port for each in filled["services"].values() for port in each.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_services_wait_for_healthy_ones_and_volumes_exist(filled):
    services, volumes = filled["services"], set(filled["volumes"])
    for service in services.values():
        for name, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in services[name]
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= volumes
    assert {"--app-name=basic-auth", "--serve-artifacts"} <= set(services["mlflow"]["command"])
    assert any(word.startswith("--allowed-hosts=127.0.0.1") or "127.0.0.1:5000" in word for word in services["mlflow"]["command"])  # fmt: skip
