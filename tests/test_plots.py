"""Plots say what they are given, and what is missing."""

import json
import sys

import pytest

from condensery.errors import InputError
from condensery.evaluation.evaluate import Accuracy
from condensery.evaluation.plots import needed, plot_choices, plot_curves, plot_heat_map, plot_points, plot_sizes, svg
from condensery.networks.convnet import ConvNet


def reached(*runs):
    return Accuracy(runs, "fixed-steps", ConvNet(), 0.0)


def test_a_curve_is_an_svg_of_the_same_bytes_every_time():
    curves = {"convnet": {1: reached(0.5, 0.6), 10: reached(0.8, 0.9)}, "mlp": {1: reached(0.4), 10: reached(0.5)}}
    picture = svg(plot_sizes(curves))
    assert picture.startswith(b"<?xml")
    assert b"</svg>" in picture
    assert svg(plot_sizes(curves)) == picture
    assert svg(plot_sizes({"convnet": curves["convnet"]})) != picture


def test_numbers_are_drawn_as_curves_and_as_a_grid():
    lines = {"real": {1: [2.0, 3.0], 10: [1.0]}, "synthetic": {1: [2.0], 10: [0.5]}}
    picture = svg(plot_curves(lines, "steps", "norm", log=True))
    assert b"</svg>" in picture
    assert svg(plot_curves(lines, "steps", "norm")) != picture
    assert svg(plot_curves(lines, "steps", "norm", log=True, scale=2)) != picture
    grid = svg(plot_heat_map({(8, 1): 3.0, (4, 1): 4.0, (4, 4): 2.0}, "pixels", "rows", "loss"))
    assert b"</svg>" in grid
    assert svg(plot_heat_map({(8, 1): 3.0, (4, 1): 4.0}, "pixels", "rows", "loss")) != grid


def test_plots_go_into_the_axes_that_are_given():
    from matplotlib.figure import Figure

    axes = Figure().subplots(1, 4)
    assert plot_sizes({"convnet": {1: reached(0.5, 0.7), 10: reached(0.8)}}, axes=axes[0]) is axes[0]
    assert list(axes[0].lines[0].get_ydata()) == [60, 80]
    assert list(plot_sizes({"convnet": {1: 0.25, 10: reached(0.5)}}).lines[0].get_ydata()) == [25, 50]
    assert plot_curves({"real": {1: [2.0, 3.0]}}, "steps", "norm", axes=axes[1]) is axes[1]
    assert plot_heat_map({(8, 1): 3.0}, "pixels", "rows", "loss", axes=axes[2]) is axes[2]
    assert axes[2].get_xlabel() == "pixels"
    points = plot_points({"with": [(0.5, 0.75), (0.25, 0.5)], "without": [(1.0, 1.0)]}, "proxy", "whole", 100, axes[3])
    assert points is axes[3]
    assert [each.get_offsets().tolist() for each in points.collections] == [[[50, 75], [25, 50]], [[100, 100]]]


def test_a_trace_is_drawn_of_what_a_run_chose(tmp_path):
    lines = [
        {"step": 1, "loss": 1.0, "seconds": 0.1},
        {"step": 2, "loss": 1.0, "subset": [1, 1], "frozen": [0, 0], "scores": [[3, 2], [4, 2]]},
        {"step": 4, "loss": 1.0, "subset": [2, 1], "frozen": [1, 0], "scores": [[3, 1], [2, 2]]},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5, "sub')
    above, below = plot_choices(tmp_path)
    assert b"</svg>" in svg(above)
    assert {line.get_label() for line in above.lines} >= {"subset, mean of classes", "frozen, mean of classes"}
    assert [line.get_label() for line in below.lines] == ["first 1", "first 2"]


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
        (tmp_path / "metrics.jsonl").write_text(text + "\n")
    with pytest.raises(InputError, match=words):
        plot_choices(tmp_path)


def test_without_matplotlib_it_is_said_before_anything_is_done(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("condensery.evaluation.plots.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        needed()
