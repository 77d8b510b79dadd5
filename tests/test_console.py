import logging
import os
import pty
import re
import subprocess
import sys

import pytest

from condensery.algorithms.algorithm import Step
from condensery.cli import main
from condensery.console import counted, print_table, progress, say, speak

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
    for word in (b"dc", b"learning the first 1 per class", b"4/4", b"loss", b"step", b"0:00:0"):
        assert word in said


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_process_may_be_started_without_an_output(closed, tmp_path):
    words = f"{sys.executable} -m condensery data {closed} >>{tmp_path}/said 2>>{tmp_path}/said {closed}"
    assert subprocess.run(["sh", "-c", words], check=False).returncode == 0
    assert "Traceback" not in (tmp_path / "said").read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no full device")
def test_output_that_cannot_be_written_is_one_line():
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "condensery", "--help"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, env=buffered)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "No space left on device" in done.stderr


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
    assert heard[1].endswith("learning the first 1 per class")
    assert heard[2].endswith("learning the first 2 to 3 per class")


def test_a_table_is_aligned(capsys):
    print_table("title", ("method", "%"), [("a", "1.0"), ("longer", "10.0")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "title"
    assert lines[3:] == ["method     %", "------  ----", "a        1.0", "longer  10.0", ""]


def test_words_of_a_file_cannot_move_the_cursor(capsys):
    say("a\x1b[2Jb\rc\u202ed \udcff é 漢")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\rc\\u202ed \\udcff é 漢\n"


def test_a_library_speaks_unless_the_program_has_logging_of_its_own(monkeypatch, capsys):
    log, root = logging.getLogger("condensery"), logging.getLogger()
    monkeypatch.setattr(log, "handlers", [])
    monkeypatch.setattr(log, "level", logging.NOTSET)
    monkeypatch.setattr(root, "handlers", [])
    speak()
    speak()
    log.info("5 images\nare held out")
    assert capsys.readouterr().err == "condensery: 5 images\\nare held out\n"
    root.handlers.append(logging.NullHandler())
    log.info("once more")
    assert capsys.readouterr().err == ""


def test_counting_is_silent_where_it_is_short(monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("condensery"), "info", heard.append)
    times = iter([0.0, 1.0, 11.0, 12.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with counted("networks measured") as observe:
        for done in (1, 2, 3):
            observe(done, 3)
    assert heard == ["2 of 3 networks measured, 6 s left"]


def test_what_was_done_before_does_not_shorten_the_time_left(monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("condensery"), "info", heard.append)
    times = iter([0.0, 1.0, 21.0])
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with counted("networks measured") as observe:
        for done in (4.25, 4.5):
            observe(done, 5)
    assert heard == ["4 of 5 networks measured, 40 s left"]


def shell(line, **environment):
    line = line.format(condensery=f"{sys.executable} -m condensery")
    return subprocess.run(["bash", "-c", line], capture_output=True, env={**os.environ, **environment}, timeout=120)


@pytest.mark.parametrize("words", ["--help", "run dc --help"])
def test_a_reader_that_leaves_is_no_failure(words):
    done = shell(f"{{condensery}} {words} | true; echo ${{{{PIPESTATUS[0]}}}}", PYTHONUNBUFFERED="")
    assert done.stderr == b""
    assert done.stdout.strip() in (b"0", b"141")


def test_an_output_that_lacks_signs_loses_no_figures(tmp_path):
    out, figures = tmp_path / "run", tmp_path / "figures.json"
    assert main(["run", "random", "--ipc", "1", "--net.width", "4", "--data", "digits", "--out", str(out)]) == 0
    line = f"{{condensery}} evaluate {out} --protocol kfs2022 --no-random --repeats 2 --json {figures}"
    done = shell(line, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"+-" in done.stdout
    assert figures.exists()


BAR = """
from types import SimpleNamespace
from condensery.console import progress
with progress("dc") as show:
    show(SimpleNamespace(done=1, total=2, loss=0.5, said={}))
"""


@pytest.mark.parametrize(("value", "colored"), [("", True), ("1", False)])
def test_no_color_is_obeyed(value, colored):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": value}
    process = subprocess.Popen([sys.executable, "-c", BAR], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass
    os.close(ours)
    assert process.wait() == 0
    assert b"loss 0.5" in said
    assert (re.search(rb"\x1b\[(\d+;)*[349]\d", said) is not None) == colored
