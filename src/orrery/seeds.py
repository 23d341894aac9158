"""Random streams derived from one seed by name, so that adding a draw here never moves a draw there."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """A 64-bit seed for the stream called `names` under `seed`; the same on every machine."""
    text = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def replica_seed(seed: int, replica: int) -> int:
    """The seed of a repeated training: `seed` itself for the first one."""
    return derive(seed, "replica", replica) if replica else seed


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """The PCG64 generator called `names` under `seed`, e.g. ``stream(7, "moon", "flat-1", "craters")``."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))
