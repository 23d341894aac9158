"""The one error that a user is meant to read."""

from __future__ import annotations

from functools import partial
from os import PathLike
from typing import Any


class OrreryError(Exception):
    """A problem that the user can act on: what is wrong, in which file, and the remedy.

    The command line prints it as one line and exits with status 2; nothing half written is left behind.

    Args:
        problem: what is wrong, one clause, without a full stop.
        remedy: what the user can do about it, one clause.
        file: the file or directory concerned, where there is one.
    """

    def __init__(self, problem: str, *, remedy: str, file: str | PathLike[str] | None = None) -> None:
        self.problem, self.remedy, self.file = problem, remedy, file
        where = f"{file}: " if file is not None else ""
        super().__init__(f"{where}{problem}; {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Whole, too, where it comes from a worker in another process."""
        return partial(type(self), self.problem, remedy=self.remedy, file=self.file), ()
