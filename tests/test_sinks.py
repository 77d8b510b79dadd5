"""Where the numbers of a run are sent."""

import json
import sys
import types
from contextlib import suppress

import pytest
from lists import LEARNED

import condensery as cd
from condensery.cli import main
from condensery.runs.checkpoint import Interrupted
from condensery.runs.sinks import TensorBoard

RECIPE = LEARNED["dm 2"]


class Kept:
    """A sink of one's own."""

    def __init__(self):
        self.said = []

    def start(self, out, about):
        self.said.append(("start", out.name, about["recipe"]["name"]))

    def log(self, step, values):
        self.said.append((step, values))

    def close(self):
        self.said.append("close")


def test_a_sink_hears_every_step_and_the_end(tmp_path):
    sink = Kept()
    cd.run(RECIPE, cd.digits(), tmp_path / "r", progress=False, sinks=[sink])
    lines = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert sink.said[0] == ("start", "r", "dm")
    assert sink.said[-1] == "close"
    names = ("loss", "gradient", "seconds")
    heard = [(step, *(values[name] for name in names)) for step, values in sink.said[1:-1]]
    assert heard == [(line["step"], *(line[name] for name in names)) for line in lines]


def test_a_sink_is_closed_when_a_run_stops(tmp_path):
    sink = Kept()
    with pytest.raises(Interrupted):
        cd.run(RECIPE, cd.digits(), tmp_path / "r", progress=False, sinks=[sink], stop=lambda: len(sink.said) > 2)
    assert sink.said[-1] == "close"
    other = Kept()
    with pytest.raises(cd.InputError, match="another run"):
        cd.run(RECIPE.having(seed=1), cd.digits(), tmp_path / "r", sinks=[other])
    assert other.said == []


def test_tensorboard_gets_its_event_files(tmp_path):
    pytest.importorskip("tensorboard")
    words = ["run", "dm", "--data", "digits", "--ipc", "1", "--steps", "2", "--net.width", "4", "--real-rows", "4"]
    assert main([*words, "--log", "tensorboard", "--out", str(tmp_path / "r")]) == 0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "r" / "tensorboard"))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == [1, 2]


def test_steps_that_a_resumed_run_repeats_are_in_tensorboard_once(tmp_path):
    pytest.importorskip("tensorboard")

    def killed(step):
        if step.done == 2:
            raise KeyboardInterrupt

    for observe in (killed, None):
        with suppress(KeyboardInterrupt):
            cd.run(RECIPE, cd.digits(), tmp_path, 1e9, observe=observe, progress=False, sinks=[TensorBoard()])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [scalar.step for scalar in events.Scalars("loss")] == [line["step"] for line in lines]


def test_trackio_is_started_and_finished(tmp_path, monkeypatch, capsys):
    said = []
    fake = types.SimpleNamespace(
        init=lambda **about: said.append(about["name"]),
        log=lambda values, step: said.append(step),
        finish=lambda: said.append("finish"),
    )
    words = ["run", "dm", "--data", "digits", "--ipc", "1", "--steps", "2", "--net.width", "4", "--real-rows", "4"]
    monkeypatch.setitem(sys.modules, "trackio", fake)
    assert main([*words, "--log", "trackio", "--out", str(tmp_path / "r")]) == 0
    assert said == ["r", 1, 2, "finish"]
    (tmp_path / "r" / "condensed.safetensors").unlink()
    assert main(["resume", str(tmp_path / "r")]) == 0
    assert said == ["r", 1, 2, "finish"] * 2
    monkeypatch.setitem(sys.modules, "trackio", None)
    assert main([*words, "--log", "trackio", "--out", str(tmp_path / "s")]) == 2
    assert "pip install trackio" in capsys.readouterr().err
