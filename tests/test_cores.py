"""Room for other processes: how threads wait changes, how many compute never does."""

import os
import subprocess
import sys
import threading
import time

import pytest
import torch

from condensery.kernels import cores


def crowds() -> int:
    return sum(thread.name == "condensery-crowd" for thread in threading.enumerate())


def until(condition) -> bool:
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def others(monkeypatch):
    """Cores that other processes keep busy, as the test says."""
    busy, passed = [0.0], iter(range(10**6))
    spent = [0.0]

    def seconds():
        spent[0] += busy[0]
        return float(next(passed)), spent[0]

    monkeypatch.setattr(cores, "_seconds_of_others", seconds)
    monkeypatch.setattr(cores, "SECONDS", 0.01)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    return busy


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how busy its cores are")
def test_room_is_made_while_others_are_busy_and_no_longer(others):
    with cores.shared():
        time.sleep(0.1)
        assert crowds() == 0
        others[0] = 1.0
        assert until(lambda: crowds() == 1)
        others[0] = 0.2  # between the two: as it was
        time.sleep(0.1)
        assert crowds() == 1
        others[0] = 0.0
        assert until(lambda: crowds() == 0)
        others[0] = 1.0
        with cores.shared():  # a block inside another adds nothing
            assert until(lambda: crowds() == 1)
        time.sleep(0.1)
        assert crowds() == 1
    assert until(lambda: crowds() == 0)


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_what_the_user_has_set_is_left_alone(name, others, monkeypatch):
    monkeypatch.setenv(name, "1")
    others[0] = 1.0
    with cores.shared():
        time.sleep(0.1)
        assert crowds() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how busy its cores are")
def test_another_process_s_seconds_are_counted(monkeypatch):
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)
        before = cores._seconds_of_others()[1], process_seconds(busy.pid)
        time.sleep(1.0)
        after = cores._seconds_of_others()[1], process_seconds(busy.pid)
    finally:
        busy.kill()
        busy.wait()
    assert after[0] - before[0] > after[1] - before[1] - 0.1
    assert after[1] > before[1]


def process_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        return sum(map(int, file.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how busy its cores are")
def test_one_s_own_seconds_are_not(monkeypatch):
    found = []
    for own in (5.0, 1005.0):
        monkeypatch.setattr(time, "process_time", lambda own=own: own)
        found.append(cores._seconds_of_others()[1])
    assert found[1] - found[0] < -900
