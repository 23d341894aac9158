"""The one error that a user reads arrives whole from wherever it is raised."""

import pickle
from pathlib import Path

import pytest

from orrery.errors import OrreryError


@pytest.mark.parametrize("file", [None, "a.txt", Path("b/c.txt")])
def test_it_comes_whole_from_another_process(file):
    error = OrreryError("is broken", remedy="mend it", file=file)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is OrreryError
    assert str(again) == str(error)
    assert (again.problem, again.remedy, again.file) == ("is broken", "mend it", file)
