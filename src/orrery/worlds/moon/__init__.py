"""The lunar twin: places with known heights and albedo, and the scenes that LRO's instruments would bring home of them."""

from orrery.worlds.moon.scenes import make

__all__ = ["make"]
