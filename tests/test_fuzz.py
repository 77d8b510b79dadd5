"""Hostile bytes, some thousands of them; `fuzz.py` says what must hold, and runs many more."""

import sys

import pytest


@pytest.mark.skipif(sys.platform != "linux", reason="what a case takes is counted by Linux")
@pytest.mark.parametrize(("kind", "cases"), [("artifacts", 500), ("data", 300), ("checkpoints", 30)])
def test_hostile_bytes_are_used_or_refused(kind, cases):
    from fuzz import STUCK, fuzz  # it needs Linux, too

    tally = fuzz(kind, range(cases), longest=STUCK)  # how busy the machine is says nothing of the library
    assert not tally.violations, "\n".join([str(tally), *tally.violations])
    assert 0 < tally.refused < cases, tally  # neither is all refused before it is looked at, nor all taken
