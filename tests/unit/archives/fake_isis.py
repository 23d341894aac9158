"""Stand-ins for ISIS's programs: they write down what they were told and pass their input on."""

from __future__ import annotations

import os

SCRIPT = """#!/bin/bash
echo "$(basename "$0") $*" >> "{log}"
for word in "$@"; do export "argument_${{word%%=*}}=${{word#*=}}"; done
{action}
"""
PASS_ON = 'if [ -n "$argument_to" ]; then cp "$argument_from" "$argument_to"; fi'


def install(folder, monkeypatch, programs, **actions):
    """Put programs on PATH; returns a function that reads what was called, as lists of words."""
    folder.mkdir()
    log = folder / "log"
    for program in programs:
        path = folder / program
        path.write_text(SCRIPT.format(log=log, action=actions.get(program, PASS_ON)))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return lambda: [line.split() for line in log.read_text().splitlines()] if log.exists() else []
