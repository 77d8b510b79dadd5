import logging
import os
import pty
import subprocess
import sys

from condensery.condensing import Step
from condensery.console import print_table, progress

COMMAND = (
    "run dc:quick+mdc --data digits --ipc 2 --outer-steps 4 --inner-steps 1 --network-epochs 0 --real-rows 4 "
    "--net.width 4 --out"
)


def test_a_terminal_shows_a_bar_with_loss_speed_and_time_left(tmp_path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(
        [sys.executable, "-m", "condensery", *COMMAND.split(), str(tmp_path / "out")],
        stdout=subprocess.DEVNULL, stderr=theirs, env=environment,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # the terminal closed with its process
        pass
    os.close(ours)
    assert process.wait() == 0
    for word in (b"dc", b"learning the first 1", b"4/4", b"loss", b"step", b"0:00:0"):
        assert word in said


def test_without_a_terminal_steps_are_plain_lines(monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("condensery"), "info", heard.append)
    with progress("dc") as observe:
        for done in range(1, 6):
            observe(Step(done, 5, 1.5, None))
    assert len(heard) == 2
    assert heard[0] == "dc: step 1/5, loss 1.5"
    assert heard[1].startswith("dc: step 5/5, loss 1.5")
    assert heard[1].endswith("0 s left")


def test_what_mdc_chose_is_said_at_once(monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("condensery"), "info", heard.append)
    with progress("mdc") as observe:
        for done, subset in ((1, None), (2, [1, 1]), (3, None), (4, [2, 3]), (5, None)):
            observe(Step(done, 9, 1.5, None, {"subset": subset} if subset else {}))
    assert len(heard) == 3
    assert heard[1].startswith("mdc: step 2/9")
    assert heard[1].endswith("learning the first 1")
    assert heard[2].endswith("learning the first 2 to 3")


def test_a_table_is_aligned(capsys):
    print_table("title", ("method", "%"), [("a", "1.0"), ("longer", "10.0")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "title"
    assert lines[3:] == ["method     %", "------  ----", "a        1.0", "longer  10.0", ""]
