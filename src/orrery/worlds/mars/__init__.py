"""The Martian twin: places of known relief and minerals, and the pairs that CTX and CRISM would bring home of them."""

from orrery.worlds.mars.scenes import make

__all__ = ["make"]
