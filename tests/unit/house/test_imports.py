"""What a stage does not use it must not import: sixty processes of a pipeline that wait for torch wait for minutes."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from orrery.systems.base import GROUP

HEAVY = {"torch", "pytorch_lightning", "mlflow", "timm", "great_expectations"}
SYSTEMS = sorted(entry.module for entry in entry_points(group=GROUP))


def imported(*modules):
    code = f"import json, sys, {', '.join(modules)}; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("system", SYSTEMS)
def test_stages_without_a_network_import_nothing_of_it(system):
    stages = [f"orrery.stages.{stage}" for stage in ("align", "gate", "patch", "tables")]
    assert not imported(system, *stages) & HEAVY


@pytest.mark.parametrize("system", SYSTEMS)
def test_judging_a_model_needs_no_trainer(system):
    assert imported(f"{system.rpartition('.')[0]}.evaluate", "orrery.stages.evaluate") & HEAVY == {"torch"}
