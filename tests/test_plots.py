"""Plots say what they are given, and what is missing."""

import json
import sys

import pytest

from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy
from condensery.evaluation.plots import curves, heat_map, needed, size_curve, subset_trace
from condensery.networks.convnet import ConvNet


def reached(*runs):
    return Accuracy(runs, "fixed-steps", ConvNet(), 0.0)


def test_a_curve_is_an_svg_of_the_same_bytes_every_time():
    curves = {"convnet": {1: reached(0.5, 0.6), 10: reached(0.8, 0.9)}, "mlp": {1: reached(0.4), 10: reached(0.5)}}
    picture = size_curve(curves)
    assert picture.startswith(b"<?xml")
    assert b"</svg>" in picture
    assert size_curve(curves) == picture
    assert size_curve({"convnet": curves["convnet"]}) != picture


def test_numbers_are_drawn_as_curves_and_as_a_grid():
    lines = {"real": {1: [2.0, 3.0], 10: [1.0]}, "synthetic": {1: [2.0], 10: [0.5]}}
    picture = curves(lines, "steps", "norm", log=True)
    assert b"</svg>" in picture
    assert curves(lines, "steps", "norm") != picture
    assert curves(lines, "steps", "norm", log=True, scale=2) != picture
    grid = heat_map({(8, 1): 3.0, (4, 1): 4.0, (4, 4): 2.0}, "pixels", "rows", "loss")
    assert b"</svg>" in grid
    assert heat_map({(8, 1): 3.0, (4, 1): 4.0}, "pixels", "rows", "loss") != grid


def test_a_trace_is_drawn_of_what_a_run_chose(tmp_path):
    lines = [
        {"step": 1, "loss": 1.0, "seconds": 0.1},
        {"step": 2, "loss": 1.0, "subset": [1, 1], "frozen": [0, 0], "scores": [[3, 2], [4, 2]]},
        {"step": 4, "loss": 1.0, "subset": [2, 1], "frozen": [1, 0], "scores": [[3, 1], [2, 2]]},
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert b"</svg>" in subset_trace(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"step": 1, "loss": 1.0}', "chose no subset"),
        ('{"step": 1, "scores": [[1]]}', "not a run's metrics"),
        ("no JSON", "not a run's metrics"),
        (None, "give the folder of a run"),
    ],
)
def test_what_is_no_multisize_run_is_refused(text, words, tmp_path):
    if text is not None:
        (tmp_path / "metrics.jsonl").write_text(text)
    with pytest.raises(InputError, match=words):
        subset_trace(tmp_path)


def test_without_matplotlib_it_is_said_before_anything_is_done(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("condensery.evaluation.plots.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install 'condensery"):
        needed()
