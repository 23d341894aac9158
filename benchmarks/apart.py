"""A measurement in a process of its own, so that its memory is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from orrery.errors import OrreryError


def measured(module: str, folder: Path) -> dict[str, float]:
    """What ``python -m module folder`` prints as its last line, with one thread.

    Raises:
        OrreryError: it failed.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise OrreryError(
            f"the large scene failed ({done.stderr.strip()[-300:]})", remedy="free memory and disk"
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak_gib() -> float:
    """Largest resident size of this process (the kernel's, which getrusage would mix with the parent's)."""
    line = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 2**20
