"""`orrery …`: the pipeline's stages as verbs, models at work, and the runs and the registry.

Every command imports what it needs when it runs, so that `--help` is instant.
"""

from orrery.cli import pipeline, product, runs
from orrery.cli.group import cli, main

__all__ = ["cli", "main", "pipeline", "product", "runs"]
