"""What a stage does not use it must not import: sixty processes of a pipeline that wait for torch wait for minutes."""

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from orrery.systems.base import GROUP

HEAVY = {"torch", "pytorch_lightning", "mlflow", "timm", "great_expectations"}
CODE = """
import json, sys
from orrery.params import load_params
from orrery.systems.base import get_section
from orrery.stages import {stages}
for system in {systems}:
    get_section(load_params(), system)
print(json.dumps(sorted(sys.modules)))
"""


def imported(stages: str, systems: list[str]) -> set[str]:
    code = CODE.format(stages=stages, systems=systems)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("system", sorted(entry.name for entry in entry_points(group=GROUP)))
def test_a_system_is_told_its_parameters_without_what_trains_it(system):
    loaded = imported("align, gate, patch, tables", [system])
    assert any(name.startswith(f"orrery.systems.{system.replace('-', '_')}") for name in loaded)
    assert not loaded & HEAVY


def test_judging_a_model_needs_no_trainer():
    loaded = imported("evaluate", [])
    assert "torch" in loaded
    assert not loaded & (HEAVY - {"torch"})
