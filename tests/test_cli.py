import contextlib
import csv
import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from layouts import write_svhn
from PIL import Image

from condensery.cli import RECIPES, main
from condensery.cli.evaluate import as_condensed
from condensery.cli.measure import warn_of_few
from condensery.cli.sources import Source, absolute
from condensery.data import TestSet, digits
from condensery.networks.names import NETWORKS
from condensery.networks.resnet import ResNet
from condensery.runs.artifact import NAME, load

TINY = ["--outer-steps", "2", "--net.width", "8", "--real-rows", "4"]


def test_help_imports_no_torch():
    for words in (["--help"], ["run", "--help"], ["run", "dc", "--help"], ["evaluate", "--help"], ["--version"]):
        script = (
            "import sys; from condensery.cli import main\n"
            f"assert main({words!r}) == 0\n"
            "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()


def test_help_names_every_recipe(capsys):
    assert main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in RECIPES)


def test_run_evaluate_show(tmp_path, capsys, brief):
    out = tmp_path / "run"
    assert main(["run", "dc:quick", "--data", "digits", "--ipc", "2", "--out", str(out), *TINY]) == 0
    said = capsys.readouterr()
    assert "step 4/4" in said.err
    assert f"evaluate {out}\n" in said.out
    figures = tmp_path / "figures.json"
    words = ["--data", "digits", "--repeats", "2", "--protocol", "fixed-steps", "--json", str(figures)]
    assert main(["evaluate", str(out), *words, "--networks", "mlp", "convnet"][:-1]) == 0
    record = json.loads(figures.read_text())
    assert record["recipe"]["name"] == "dc"
    assert record["results"][0]["network"]["family"] == "mlp"
    assert record["results"][0]["n"] == 2
    assert 0 < record["results"][0]["accuracy"] < 1
    said = capsys.readouterr()
    assert "fixed-steps" in said.out
    confusion = record["results"][0]["confusion"]
    least, digit = min((row[c] / sum(row), c) for c, row in enumerate(confusion))
    assert f"hardest classes: {digit} ({100 * least:.0f} %), " in said.err
    words = ["--data", "digits", "--repeats", "1", "--protocol", "fixed-steps", "--sizes", "1", "2"]
    assert main(["evaluate", str(out), *words]) == 0
    said = capsys.readouterr().out
    assert "one network; random: one draw of images, one network" in said
    rows = [line.split() for line in said.splitlines() if "fixed-steps" in line]
    # beside each, random real images of as many bytes: a real image takes a byte per value, a stored float four
    assert [(words[0], words[4]) for words in rows] == [("dc", "1"), ("random", "4"), ("dc", "2"), ("random", "8")]
    assert main(["evaluate", str(out), *words, "3"]) == 2
    assert "1 to 2" in capsys.readouterr().err
    assert main(["show", str(out / "condensed.safetensors"), "--png", str(tmp_path / "p.png")]) == 0
    said = capsys.readouterr().out
    assert "1,280 floats" in said
    assert "normalized" in said
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.height == 10 * (8 * 8 + 2)
        assert 8 < picture.width - 2 * (8 * 8 + 2) < 32  # the names of the classes


def test_a_formed_and_whitened_set_is_run_shown_and_measured(tmp_path, capsys, brief):
    out = tmp_path / "run"
    words = ["--data", "digits", "--zca", "--ipc", "2", "--inner-steps", "2", "--formation", "multi-scale", *TINY]
    assert main(["run", "idc:quick", "--out", str(out), *words]) == 0
    assert f"evaluate {out}\n" in capsys.readouterr().out
    assert main(["show", str(out)]) == 0
    said = capsys.readouterr().out
    assert "10 rows per class, 1x8x8 (MultiScale, factor 2, pad 0.5)" in said
    assert "unit" in said
    assert "ZCA" in said
    # read without --zca the test rows are still whitened as the set's own are
    figures = []
    for zca in (["--zca"], []):
        path = tmp_path / "figures.json"
        words = ["--data", "digits", *zca, "--repeats", "1", "--protocol", "fixed-steps", "--json", str(path)]
        assert main(["evaluate", str(out), *words]) == 0
        figures.append(json.loads(path.read_text())["results"][0]["runs"])
    assert figures[0] == figures[1]
    plain = tmp_path / "plain"
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--out", str(plain)]) == 0
    assert main(["evaluate", str(plain), "--data", "digits", "--zca"]) == 2
    assert "condensed without --zca" in capsys.readouterr().err


def test_whether_images_may_be_flipped_is_a_fact_of_the_data_that_a_user_can_set(tmp_path):
    made = {}
    for flip in ("auto", "yes", "no"):
        words = ["--data", "digits", "--ipc", "1", "--out", str(tmp_path / flip), "--flip", flip, *TINY]
        assert main(["run", "dsa", *words]) == 0
        made[flip] = load(tmp_path / flip)
    assert {flip: condensed.data["flip"] for flip, condensed in made.items()} == {
        "auto": False,
        "yes": True,
        "no": False,
    }
    bases = {flip: condensed.synthetic.bases for flip, condensed in made.items()}
    assert torch.equal(bases["auto"], bases["no"])
    assert not torch.equal(bases["auto"], bases["yes"])


def test_published_settings_of_the_data_at_hand_are_pointed_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(RECIPES, "idc:digits", RECIPES["idc:mnist"])
    words = ["--data", "digits", "--ipc", "1", "--inner-steps", "1", *TINY]
    assert main(["run", "idc", "--out", str(tmp_path / "a"), *words]) == 0
    assert "idc:digits" in capsys.readouterr().err
    assert main(["run", "idc:quick", "--out", str(tmp_path / "b"), *words]) == 0
    assert "idc:digits" not in capsys.readouterr().err


def test_evaluate_says_when_the_data_are_others(tmp_path, capsys, brief):
    out = tmp_path / "run"
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--out", str(out), "--net.width", "4"]) == 0
    x = torch.rand(40, 8, 8).numpy()
    import numpy as np

    np.savez(tmp_path / "other.npz", x_train=x, y_train=np.arange(40) % 10)
    words = ["--data", str(tmp_path / "other.npz"), "--repeats", "1", "--protocol", "fixed-steps"]
    assert main(["evaluate", str(out), *words]) == 0
    assert "other training rows (digits)" in capsys.readouterr().err


def test_compare_prints_one_table_and_keeps_the_runs(tmp_path, capsys, brief):
    words = ["compare", "--data", "digits", "--ipc", "1", "--methods", "k-center", "--repeats", "2"]
    words += [
        "--protocol",
        "fixed-steps",
        "--net.width",
        "4",
        "--out",
        str(tmp_path),
        "--json",
        str(tmp_path / "t.json"),
    ]
    assert main(words) == 0
    said = capsys.readouterr().out
    table = [line.split()[0] for line in said.splitlines() if " ± " in line and "%" not in line.split()[0]][-3:]
    assert table == ["random", "k-center", "whole"]
    assert "next:" in said
    assert load(tmp_path / "random").recipe["name"] == "random"
    record = json.loads((tmp_path / "t.json").read_text())
    assert [r["method"] for r in record["results"]] == ["random", "k-center", "whole (10 epochs)"]
    assert main([*words, "--no-whole"]) == 0  # the runs are there; only the measuring is done again
    assert "whole" not in capsys.readouterr().out
    assert main(["resume", str(tmp_path / "k-center")]) == 0


def test_compare_crosses_methods_networks_sizes_and_sets(tmp_path, capsys, brief):
    words = ["compare", "--data", "digits", "--ipc", "2", "--sizes", "1", "2", "--sets", "2", "--methods", "k-center",
             "random", "--networks", "mlp", "lenet", "--repeats", "2", "--protocol", "fixed-steps", "--net.width", "4",
             "--no-whole", "--out", str(tmp_path / "out")]  # fmt: skip
    files = {name: tmp_path / f"t.{name}" for name in ("json", "csv", "markdown")}
    assert main([*words, *(word for name, path in files.items() for word in (f"--{name}", str(path)))]) == 0
    said = capsys.readouterr().out
    rows = json.loads(files["json"].read_text())["results"]
    cells = [(r["method"], r["network"]["family"], r["images"]) for r in rows]
    assert cells == [(m, n, i) for m in ("random", "k-center") for i in (1, 2) for n in ("mlp", "lenet")]
    assert all((r["n"], r["sets"], len(r["runs"])) == (4, 2, 4) for r in rows)
    assert [r["gain"] is None for r in rows] == [True] * 4 + [False] * 4
    for first, row in zip(rows[:4], rows[4:], strict=True):
        assert row["gain"] == pytest.approx(row["accuracy"] - first["accuracy"])
        assert row["significant"] == (abs(row["gain"]) > row["gain half width"])
        mark = "" if row["significant"] else "~"
        assert f"{mark}{100 * row['gain']:+.1f}" in said
    table = list(csv.DictReader(files["csv"].read_text().splitlines()))
    assert [float(r["accuracy"]) for r in table] == [r["accuracy"] for r in rows]
    lines = files["markdown"].read_text().splitlines()
    assert lines[2].startswith("| method | network | first of 2 per class | accuracy % | 95 % interval | over random |")
    assert len(lines) == 4 + len(rows)
    runs = [tmp_path / "out" / name for name in ("random", "random-1", "k-center", "k-center-1")]
    assert [load(run).recipe["seed"] for run in runs] == [0, 1, 0, 1]
    measured = ["--data", "digits", "--repeats", "2", "--protocol", "fixed-steps", "--networks", "mlp"]
    assert main(["evaluate", str(runs[0]), str(runs[1]), *measured, "--json", str(tmp_path / "e.json")]) == 0
    assert json.loads((tmp_path / "e.json").read_text())["results"][0]["runs"] == rows[2]["runs"]
    assert main(["evaluate", str(runs[0]), str(runs[2]), *measured]) == 2
    assert "differ in their recipes (name is random there, k-center here)" in capsys.readouterr().err
    assert main(["subset", str(runs[0]), "--ipc", "1", "--out", str(tmp_path / "one.safetensors")]) == 0
    assert main(["evaluate", str(runs[0]), str(tmp_path / "one.safetensors"), *measured]) == 2
    assert "store 1 and 2 images or codes per class; evaluate them one by one" in capsys.readouterr().err
    assert main(["evaluate", str(runs[0]), str(runs[1]), str(runs[0] / NAME), *measured]) == 2
    assert "stores the same as" in capsys.readouterr().err
    assert json.loads((runs[0] / "run.json").read_text())["started"]["name"] == "random"


@pytest.mark.parametrize(
    ("data", "recorded"),
    [("digits", "digits"), ("Digits", "Digits"), ("pictures", "{}/pictures"), ("hub:mnist", "hub:mnist"),
     ("hub:pictures", "hub:{}/pictures"), ("hub:owner/name", "hub:owner/name")],
)  # fmt: skip
def test_a_named_data_set_is_no_folder_of_that_name(data, recorded, tmp_path, monkeypatch):
    for name in ("digits", "Digits", "pictures", "mnist"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    assert absolute(Source(data, data_dir=".")) == Source(recorded.format(tmp_path), data_dir=str(tmp_path))


def test_compare_takes_the_recipe_of_a_file(tmp_path, capsys, monkeypatch, brief):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    options = ["--data", "digits", "--ipc", "2", "--net", "mlp", "--net.width", "4"]
    assert main(["run", "random", *options, "--out", "../a"]) == 0
    files = [f"{tmp_path}/a/recipe.toml", "../a/recipe.toml"]
    words = ["--data", "digits", "--protocol", "fixed-steps", "--repeats", "1", "--no-whole", "--out", "out"]
    capsys.readouterr()
    assert main(["compare", *words, "--methods", *files]) == 0
    said = capsys.readouterr().err
    assert all(f"{file}: --net convnet in place of mlp width 4, --ipc 1 in place of 2" in said for file in files)
    assert {path.name.partition("-")[0] for path in Path("out").iterdir()} == {"random"}
    assert len(list(Path("out").iterdir())) == 3


def test_evaluate_gives_scores_against_random_images(tmp_path, capsys, brief):
    out, figures = tmp_path / "run", tmp_path / "t.json"
    assert main(["run", "dm", "--data", "digits", "--ipc", "1", "--steps", "1", "--out", str(out), "--net", "mlp"]) == 0
    words = ["--data", "digits", "--repeats", "2", "--protocol", "fixed-steps", "--scores", "--no-whole"]
    assert main(["evaluate", str(out), *words, "--json", str(figures)]) == 0
    found, said = json.loads(figures.read_text())["scores"], capsys.readouterr().out
    assert found["random images per class"] == {"equal floats": 1, "equal bytes": 4}
    ours, theirs = (found["accuracy"][name]["accuracy"] for name in ("the set", "random, 1 per class (equal floats)"))
    assert found["ior"] == pytest.approx(ours - theirs)
    assert f"{found['ior']:+.3f}" in said
    assert f"{found['ior at equal bytes']:+.3f}" in said
    assert found["hlr"] is None


def test_compare_tells_presets_apart(capsys, monkeypatch, brief):
    for quick in ("dc:quick", "dc:digits"):
        monkeypatch.setitem(RECIPES, quick, replace(RECIPES[quick], outer_steps=1, real_rows=4))
    monkeypatch.setitem(RECIPES, "dc", replace(RECIPES["dc"], outer_steps=2, real_rows=4))
    words = ["compare", "--data", "Digits", "--repeats", "2", "--no-whole", "--protocol", "fixed-steps"]
    words += ["--net.width", "4", "--methods", "dc", "dc:quick", "dc:paper"]
    assert main(words) == 0
    said = capsys.readouterr()
    table = [line.split()[0] for line in said.out.splitlines() if " ± " in line]
    assert table[-4:] == ["random", "dc:digits", "dc:quick", "dc"]
    assert "dc:digits: step 1/1" in said.err
    assert "dc: step 2/2" in said.err
    assert main([*words, "dc"]) == 2
    assert "dc:digits is named twice" in capsys.readouterr().err


@pytest.mark.parametrize(("count", "ipc"), [((40, 7, 3), 2)])
def test_a_small_unbalanced_folder_of_odd_sizes_condenses(tmp_path, capsys, count, ipc):
    folder = tmp_path / "pictures"
    for c, n in enumerate(count):
        (folder / f"class{c}").mkdir(parents=True)
        for i in range(n):
            Image.new("RGB", (30 + i, 45 - i), (80 * c, 5 * i, 99)).save(folder / f"class{c}" / f"{i}.png")
    words = ["run", "dc:quick", "--data", str(folder), "--ipc", str(ipc), "--out", str(tmp_path / "out"), *TINY]
    assert main(words) == 2
    assert "--size 32" in capsys.readouterr().err
    assert main([*words, "--size", "32"]) == 0
    assert "held out" in capsys.readouterr().err
    condensed = load(tmp_path / "out")
    assert condensed.synthetic.bases.shape == (3, 2, 3, 32, 32)
    assert condensed.class_names == ("class0", "class1", "class2")


def test_methods_are_added_to_a_recipe_and_shown(tmp_path, capsys, brief):
    out, curve, trace = tmp_path / "run", tmp_path / "curve.svg", tmp_path / "trace.svg"
    words = ["--data", "digits", "--ipc", "3", "--net.width", "4", "--real-rows", "4", "--network-rows", "8"]
    loops = ["--outer-steps", "4", "--inner-steps", "2", "--window", "1"]
    assert main(["run", "idc-i:quick+dream+mdc", *words, *loops, "--out", str(out)]) == 0
    capsys.readouterr()
    measured = ["--data", "digits", "--protocol", "fixed-steps", "--repeats", "1", "--sizes", "1", "3"]
    assert main(["evaluate", str(out), *measured, "--plot", str(curve)]) == 0
    assert "idc+dream+mdc on the" in capsys.readouterr().out
    assert main(["show", str(out), "--trace", str(trace)]) == 0
    said = capsys.readouterr().out
    assert "metric features" in said
    assert "candidates 256" in said
    assert b"</svg>" in curve.read_bytes()
    assert b"</svg>" in trace.read_bytes()
    assert main(["show", str(out), "--trace", str(tmp_path / "trace.png")]) == 2
    assert "ends in .svg" in capsys.readouterr().err
    assert main(["plan", "dm:quick+mdc", "--data", "digits", "--net.width", "4", "--steps", "40", "--ipc", "10"]) == 0
    assert "6,400 floats" in capsys.readouterr().out
    labels = ["--data", "digits", "--net.width", "4", "--ipc", "2", "--network-epochs", "0", "--real-rows", "4"]
    assert main(["plan", "ld:quick+mdc", *labels]) == 2  # features say nothing of labels
    assert main(["plan", "ld:quick+mdc", *labels, "--metric", "gradients"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "random+mdc"], "cannot wrap random"),
        (["run", "mdc+mdc"], "mdc is applied twice"),
        (["run", "dc+"], "a name is missing before or after +"),
        (
            ["run", "kfs:quick+dream", "--real-rows", "None"],
            "wrap one that draws some (kfs: give --real-rows)",
        ),
        (["run", "dream", "--candidates", "10"], "--candidates 10 is below --real-rows 128"),
        (["run", "kfs:quick+anchor+dream"], "same ones in every step"),
        (["run", "dm:quick+dream+anchor"], "dream picks others"),
        (["run", "kfs:quick+mdc+anchor", "--ipc", "3"], "wrap dm or kfs first, as in `dm:quick+anchor+mdc`"),
        (["run", "dc:quick+anchor"], "dc matches something else; wrap dm or kfs"),
        (["run", "dc", "--match", "convolutions", "--net", "mlp"], "no parameter of the kind"),
        (["run", "dc+mcd"], "did you mean mdc"),
        (["run", "idc", "--period", "3"], "--period"),
        (["run", "idc:quick+mdc", "--period", "3"], "None for the other"),
        (["run", "mdc", "--ipc", "1"], "at least two stored images"),
        (["compare", "--methods", "idc", "mdc"], "at least two stored images"),
    ],
)
def test_additions_that_do_not_fit_are_refused_at_once(words, said, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main([*words, "--data", "digits", *out]) == 2
    error = capsys.readouterr().err
    assert said in error.splitlines()[-1]
    assert "random:" not in error  # nothing was run
    assert not (tmp_path / "out").exists()


def test_a_network_is_chosen_by_name_and_set_by_its_own_fields(tmp_path, capsys, brief):
    words = ["--data", "digits", "--ipc", "2", "--out", str(tmp_path / "out"), "--real-rows", "4"]
    loops = ["--outer-steps", "3", "--inner-steps", "1", "--window", "1"]
    chosen = ["--net", "resnet10", "--net.width", "2"]
    assert main(["run", "dc:quick+mdc", *words, *loops, *chosen]) == 0
    assert load(tmp_path / "out").net == ResNet(depth=10, width=2)
    measured = ["--data", "digits", "--protocol", "fixed-steps", "--repeats", "1", "--net=lenet"]
    assert main(["compare", *measured, "--methods", "k-center", "--no-whole"]) == 0
    assert "lenet" in capsys.readouterr().out
    assert main(["plan", "random", "--data", "digits", *chosen]) == 0


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        ([], {"width", "depth", "norm", "activation", "pooling"}),
        (["--net", "mlp"], {"width"}),
        (["--net=lenet"], set()),
        (["--net", "densenet121"], {"growth", "blocks", "norm"}),
        (["--net", "resnet10"], {"depth", "width", "norm", "downsampling", "features", "init"}),
    ],
    ids=["default", "mlp", "lenet", "densenet121", "resnet10"],
)
@pytest.mark.parametrize("command", ["run dc:quick+mdc", "plan kfs", "compare"])
def test_help_lists_the_names_of_networks_and_the_fields_of_the_chosen_one(command, chosen, fields, capsys):
    assert main([*command.split(), *chosen, "--help"]) == 0
    said = capsys.readouterr().out
    assert set(re.findall(r"--net\.([a-z]+)", said)) == fields
    assert "--net NAME" in said
    assert all(name in said for name in NETWORKS)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_help(name, capsys):
    assert main(["run", name, "--help"]) == 0
    assert "--ipc" in capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 80, 300])
@pytest.mark.parametrize("command", ["run idc", "plan dc:quick+mdc"])
def test_help_of_a_recipe_lists_the_options_first_that_are_set_most_often(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([*command.split(), "--help"]) == 0
    main_ones, more, net = re.split("─ more options ─|─ net options ─", capsys.readouterr().out)
    assert {"--data ", "--ipc ", "--budget ", "--outer-steps "} <= set(re.findall("--[a-z-]+ ", main_ones))
    assert {"--flip ", "--device ", "--real-rows "} <= set(re.findall("--[a-z-]+ ", more))
    assert "--net.width" in net


def test_a_table_that_is_wider_than_the_terminal_is_printed_as_lists(capsys, monkeypatch):
    from condensery.console import print_table

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    shown = []
    for width in (20, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table("a table", ("method", "accuracy", "bytes"), [("random", "50.0", "100"), ("dc", "60.0", "200")])
        shown.append([line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()])
    assert shown[0] == ["a table", "random", "accuracy: 50.0", "bytes: 100", "dc", "accuracy: 60.0", "bytes: 200"]
    assert [line.split() for line in shown[1][3:]] == [["random", "50.0", "100"], ["dc", "60.0", "200"]]


def test_rows_under_different_variants_of_a_protocol_say_so(tmp_path):
    import condensery as cd
    from condensery.cli.compare import _compared
    from condensery.cli.options import CompareOptions
    from condensery.cli.sources import Source
    from condensery.evaluation.compare import Comparison
    from condensery.evaluation.evaluate import Accuracy

    def row(method, protocol, images=1):
        return Comparison(method, images, Accuracy((0.5,), protocol, cd.ConvNet(), 0.0), 1, 1, 0.0)

    options, data, whole = CompareOptions(Source("digits"), ("random", "idc")), cd.digits(), row("whole", "whole", None)
    alike = _compared([row("random", "idc2022"), row("idc", "idc2022"), whole], options, [cd.ConvNet()], data)
    assert "protocol idc2022" in alike.title
    assert "protocol" not in alike.head
    other = _compared([row("random", "idc2022"), row("idc", "no CutMix"), whole], options, [cd.ConvNet()], data)
    assert "protocol" not in other.title
    assert [line[other.head.index("protocol")] for line in other.lines] == ["idc2022", "no CutMix", "whole"]


def test_resume_goes_on_from_the_folder_alone(tmp_path, capsys, monkeypatch):
    from condensery.runs.session import Session

    words = ["run", "dsa", "--data", "digits", "--flip", "yes", "--ipc", "1", *TINY]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    told = Session.step

    def killed(self, step):
        told(self, step)
        if step.done == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(Session, "step", killed)
    assert main([*words, "--out", str(tmp_path / "part"), "--checkpoint-seconds", "0"]) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(["resume", "part"]) == 0
    assert (tmp_path / "part" / NAME).read_bytes() == (tmp_path / "whole" / NAME).read_bytes()
    assert "evaluate part\n" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["resume", "empty"]) == 2
    assert "no run" in capsys.readouterr().err


def test_resume_finds_the_data_again_or_takes_others(tmp_path, capsys, monkeypatch):
    write_svhn(tmp_path / "here")
    out = ["--out", str(tmp_path / "r")]
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path / "here"))
    assert main(["run", "random", "--data", "svhn", "--ipc", "1", *out]) == 0
    monkeypatch.delenv("CONDENSERY_DATA")
    assert main(["resume", str(tmp_path / "r")]) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert main(["resume", str(tmp_path / "r")]) == 2
    assert "--data-dir" in capsys.readouterr().err
    assert main(["resume", str(tmp_path / "r"), "--data-dir", str(tmp_path / "there"), "--device", "cpu"]) == 0


def test_resume_goes_on_with_data_in_a_renamed_folder(tmp_path, capsys):
    for c, number in product("ab", range(6)):
        (tmp_path / "here" / c).mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8, 8), 50).save(tmp_path / "here" / c / f"{number}.png")
    run = str(tmp_path / "r")
    assert main(["run", "random", "--data", str(tmp_path / "here"), "--ipc", "1", "--out", run]) == 0
    (tmp_path / "here").rename(tmp_path / "there")
    assert main(["resume", run, "--data", str(tmp_path / "there")]) == 0
    for number in range(6):
        Image.effect_noise((8, 8), 40).save(tmp_path / "there" / "a" / f"{number}.png")
    assert main(["resume", run, "--data", str(tmp_path / "there")]) == 2
    assert "contains another run" in capsys.readouterr().err


def test_a_recipe_may_be_a_file_or_stand_in_a_module_of_the_user(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom condensery.recipes import DM, Recipe\n"
        "@dataclass(frozen=True)\nclass Mine(DM):\n"
        '    """My method."""\n    name: ClassVar[str] = "mine"\n    twist: float = 1.0\n    """My own field."""\n'
        "    @classmethod\n    def brief(cls):\n        return cls(steps=2)\n"
    )
    words = ["--data", "digits", "--ipc", "1", "--net.width", "8", "--real-rows", "4"]
    assert main(["run", "mine:Mine.brief", *words, "--twist", "2", "--out", "a"]) == 0
    assert load("a").recipe["twist"] == 2.0
    assert main(["run", "--recipe=a/recipe.toml", "--data", "digits", "--out", "b"]) == 0
    assert main(["run", "a/recipe.toml", "--data", "digits", "--seed", "1", "--out", "c"]) == 0
    assert (tmp_path / "b" / NAME).read_bytes() == (tmp_path / "a" / NAME).read_bytes()
    assert load("c").recipe == load("a").recipe | {"seed": 1}
    (tmp_path / "a+mdc.toml").write_text((tmp_path / "a" / "recipe.toml").read_text())
    assert main(["run", "a+mdc.toml+compact", "--data", "digits", "--out", "e"]) == 0
    assert load("e").recipe["base"] == load("a").recipe
    capsys.readouterr()
    (tmp_path / "bad.toml").write_text('name = "dm"\nsteeps = 3\n')
    for name, complaint in (
        ("mine:Other", "no Other in it"),
        ("nowhere:Mine", "No module named"),
        ("pathlib:Path", "recipes.Recipe"),
        ("nowhere.toml", "nowhere.toml"),
        ("bad.toml", "steeps"),
    ):
        assert main(["run", name, *words, "--out", "d"]) == 2
        said = capsys.readouterr().err
        assert complaint in said
        assert said.count("\n") == 1


@pytest.mark.parametrize(("name", "ipc"), [("dm", 3), ("ld", 2), ("kfs:digits", 3), ("dm+mdc", 3)])
def test_a_budget_is_filled_but_not_exceeded(name, ipc, tmp_path, capsys):
    image = 10 * 64 * 4
    fields = {"dm": ["--steps", "1"], "ld": TINY[:2], "kfs:digits": ["--pretraining", "1", "--steps", "1"]}
    words = ["--data", "digits", "--net.width", "8", *fields.get(name, ["--steps", "2", "--no-compare"])]
    assert main(["run", name, *words, "--budget", str(3 * image + 99), "--out", str(tmp_path / "a")]) == 0
    made = load(tmp_path / "a")
    assert made.recipe.get("base", made.recipe)["ipc"] == ipc
    assert made.bytes <= 3 * image + 99
    capsys.readouterr()
    for more, complaint in ((["--ipc", "1"], "give one of them"), ([], "give more")):
        assert main(["run", name, *words, *more, "--budget", "500", "--out", str(tmp_path / "b")]) == 2
        assert complaint in capsys.readouterr().err


def test_compare_keeps_within_a_budget(tmp_path, capsys, brief, monkeypatch):
    for name in ("ld", "ld:quick", "ld:digits"):
        if name in RECIPES:
            monkeypatch.setitem(RECIPES, name, RECIPES[name].having(outer_steps=1))
    table = tmp_path / "t.json"
    words = ["compare", "--data", "digits", "--budget", "6KB", "--methods", "herding", "ld", "--repeats", "1"]
    assert main([*words, "--no-whole", "--protocol", "fixed-steps", "--net.width", "4", "--json", str(table)]) == 0
    rows = json.loads(table.read_text())["results"]
    assert [row["bytes"] for row in rows] == [9 * 640, 9 * 640, 2 * 4 * (640 + 100)]
    capsys.readouterr()
    assert main([*words, "--sets", "2", "--sizes", "3"]) == 2
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "9 images" in line] == [
        f"condensery: {name}, --budget 6KB: 9 images per class, 5,760 bytes" for name in ("random", "herding")
    ]
    assert main([*words, "--sizes", "3"]) == 2  # the set of ld has two images per class
    assert main([*words, "--sizes", "1", "--methods", "kfs"]) == 2
    assert "kfs:digits stores codes" in capsys.readouterr().err


def test_every_recipe_has_a_line_of_meaning(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["run", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    lines = lines[lines.index("recipes:") + 1 :]
    assert max(map(len, lines[: lines.index(next(line for line in lines if "a file such as" in line))])) <= 60
    for name in RECIPES:
        place = next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
        assert len(" ".join(lines[place : place + 2]).split()) > 4


def test_the_list_of_data_says_what_is_ready(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("CONDENSERY_DATA", raising=False)
    (tmp_path / "USPS").mkdir()
    assert main(["data", "--data-dir", str(tmp_path), "--json", str(tmp_path / "data.json")]) == 0
    states = {row["name"]: row["state"] for row in json.loads((tmp_path / "data.json").read_text())}
    assert {name for name, state in states.items() if state == "ready"} == {"digits", "usps"}
    assert main(["data"]) == 0
    assert "its files in DIR/MNIST/raw" in capsys.readouterr().out


def test_a_run_remembers_the_folder_that_the_environment_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path))
    assert absolute(Source("mnist")).data_dir == str(tmp_path)
    assert absolute(Source("digits")).data_dir is None


def test_names_are_completed_in_a_shell(capsys):
    assert main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    ask = 'COMP_WORDS=(condensery run dc:); COMP_CWORD=2; _condensery; echo "${COMPREPLY[@]}"'
    done = subprocess.run(["bash", "-c", f"{script}\n{ask}"], capture_output=True, text=True)
    assert done.stdout.split() == ["dc:quick", "dc:digits"]
    assert main(["nosuch"]) == 2
    known = capsys.readouterr().err.partition("known: ")[2].strip().split(", ")
    assert script.partition('words="run')[2].partition('"')[0].split() == known[1:]
    assert done.stderr == ""


def test_more_images_than_a_picture_shows_are_said(tmp_path, capsys):
    assert main(["run", "random", "--data", "digits", "--ipc", "17", "--out", str(tmp_path / "r")]) == 0
    capsys.readouterr()
    assert main(["show", str(tmp_path / "r"), "--png", str(tmp_path / "a.png")]) == 0
    assert "16 of 17 images per class; --columns 17" in capsys.readouterr().out
    assert main(["show", str(tmp_path / "r"), "--png", str(tmp_path / "b.png"), "--columns", "17"]) == 0
    assert "note:" not in capsys.readouterr().out
    assert main(["show", str(tmp_path / "r"), "--png", str(tmp_path / "c.png"), "--columns", "0"]) == 2
    said = capsys.readouterr()
    assert "--columns must be at least 1" in said.err
    assert said.out == ""
    with Image.open(tmp_path / "a.png") as cut, Image.open(tmp_path / "b.png") as whole:
        assert cut.width < whole.width


def test_more_classes_than_a_picture_shows_are_said():
    from condensery.cli.show import _drawn
    from condensery.data.pixels import PixelSpace
    from condensery.runs.picture import grid
    from condensery.synthetic import SyntheticSet

    many = SyntheticSet(torch.zeros(300, 1, 1, 4, 4), PixelSpace((0.5,), (0.5,)))
    for columns, shown in ((1, 256), (16, 256), (19, 300)):
        assert grid(many, least=4, most=columns).height == shown * (4 + 2)
        assert _drawn(many, columns)[0] == (16 * max(columns, 16), 300, "classes", 19)


def test_plans_and_descriptions_are_written_as_json(tmp_path, capsys, monkeypatch):
    words = ["dc", "--data", "digits", "--budget", "3KB", *TINY]
    assert main(["plan", *words, "--json", str(tmp_path / "plan.json")]) == 0
    planned = json.loads((tmp_path / "plan.json").read_text())
    assert (planned["floats"], planned["steps"], planned["recipe"]["ipc"]) == (640, 2, 1)
    assert main(["run", *words, "--out", str(tmp_path / "r")]) == 0
    assert main(["show", str(tmp_path / "r"), "--json", str(tmp_path / "show.json")]) == 0
    shown = json.loads((tmp_path / "show.json").read_text())
    assert (shown["floats"], shown["rows per class"], shown["recipe"]) == (640, 1, load(tmp_path / "r").recipe)
    monkeypatch.setattr("condensery.cli.condense.read", lambda source: pytest.fail("work has begun"))
    capsys.readouterr()
    for command in (["plan", *words], ["show", str(tmp_path / "r")]):
        assert main([*command, "--json", str(tmp_path / "none" / "a.json")]) == 2
        said = capsys.readouterr()
        assert "cannot be written" in said.err
        assert said.out == ""


def test_a_notebook_shows_picture_and_size(tmp_path):
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--out", str(tmp_path / "r")]) == 0
    shown = load(tmp_path / "r")._repr_html_()
    assert "data:image/png;base64," in shown
    assert "640 floats" in shown


OWN = """
from dataclasses import dataclass
from typing import ClassVar
import condensery as cd

@dataclass(frozen=True)
class Mine(cd.DM):
    name: ClassVar[str] = "mine"
    presets: ClassVar[tuple[str, ...]] = ("quick",)

    @classmethod
    def quick(cls):
        return cls(ipc=1, steps=3, real_rows=4, net=cd.ConvNet(width=4, depth=1))

@dataclass(frozen=True)
class Takes(cd.Recipe):
    ipc: int
    def algorithm(self, real): ...

class Abstract(cd.Recipe):
    pass

class Around(cd.Wrapper):
    name = "around"

@dataclass(frozen=True)
class Unseeded(cd.Recipe):
    name: ClassVar[str] = "unseeded"
    ipc: int = 1
    def algorithm(self, real): ...

@dataclass(frozen=True)
class Nameless(cd.Recipe):
    ipc: int = 1
    def algorithm(self, real): ...
"""


@pytest.fixture
def own_module(tmp_path, monkeypatch):
    (tmp_path / "a_module_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "a_module_of_mine", raising=False)
    return "a_module_of_mine"


def test_a_run_of_one_s_own_recipe_says_how_to_go_on(own_module, capsys):
    words = ["--data", "digits", "--out", "r"]
    assert main(["run", f"{own_module}:Mine.quick", *words]) == 0
    assert main(["resume", "r"]) == 2
    assert f"condensery run {own_module}:Mine.quick ... --out r" in capsys.readouterr().err
    assert main(["run", f"{own_module}:Mine:quick", *words]) == 2
    assert "MODULE:CLASS.PRESET" in capsys.readouterr().err
    assert main(["run", f"{own_module}:Nameless", *words]) == 2
    assert "Nameless has no name" in capsys.readouterr().err
    Path("broken.py").write_text("a b")
    for wrong, said in (
        *((f"{own_module}:{name}", "cannot be made without arguments") for name in ("Takes", "Abstract", "Around")),
        (f"{own_module}:Unseeded", "no field seed"), ("broken:Mine", "invalid syntax (broken.py, line 1)"),
    ):  # fmt: skip
        for command in (["run"], ["compare", "--methods"]):
            assert main([*command, wrong, *words]) == 2
            assert said in capsys.readouterr().err
    pytest.importorskip("jinja2")
    wrapped = [f"{own_module}:Mine.quick+compact", "--net", "mlp", "--net.width", "5", "--seed", "3", *words[:2]]
    assert main(["run", *wrapped, "--out", "w"]) == 0
    for folder, out in (("r", "again"), ("w", "wrapped again")):
        assert main(["report", folder, "-o", "page.html"]) == 0
        command = re.search(r"condensery (run [^<\n]*) --out runs/again", Path("page.html").read_text())
        assert main([*command[1].split(), "--out", out]) == 0
        assert load(out).recipe == load(folder).recipe
    assert "--measure" in capsys.readouterr().out


def test_compare_takes_the_quick_preset_of_one_s_own_recipe(own_module, capsys, brief):
    words = [
        "--data",
        "digits",
        "--methods",
        f"{own_module}:Mine",
        "--net.width",
        "4",
        "--net.depth",
        "1",
        "--no-whole",
    ]
    assert main(["compare", *words, "--protocol", "fixed-steps", "--repeats", "1", "--json", "found.json"]) == 0
    said = capsys.readouterr()
    assert f"{own_module}:Mine.quick" in said.out
    assert "?: a single value" in said.out
    recipes = json.loads(Path("found.json").read_text())["recipes"]
    assert recipes[1]["steps"] == 3


def test_a_name_among_the_networks_has_the_given_fields(tmp_path, brief):
    file = tmp_path / "found.json"
    words = ["--data", "digits", "--methods", "random", "--net.width", "4", "--no-whole", "--repeats", "1"]
    networks = ["--networks", "convnet", "mlp", "--protocol", "fixed-steps"]
    assert main(["compare", *words, *networks, "--json", str(file)]) == 0
    nets = [row["network"] for row in json.loads(file.read_text())["results"]]
    assert [(net["family"], net["width"]) for net in nets] == [("convnet", 4), ("mlp", 128)]


@pytest.mark.usefixtures("stopped_at_the_second", "brief")
def test_compare_that_is_stopped_keeps_the_rows_so_far(tmp_path, capsys):
    file = tmp_path / "found.json"
    words = ["--data", "digits", "--methods", "random", "herding", "--net.width", "4", "--no-whole", "--repeats", "1"]
    assert main(["compare", *words, "--protocol", "fixed-steps", "--json", str(file)]) == 130
    assert [row["method"] for row in json.loads(file.read_text())["results"]] == ["random"]
    assert "random" in capsys.readouterr().out


def test_compare_is_stopped_in_the_last_step_of_a_method(tmp_path, capsys, monkeypatch):
    @contextlib.contextmanager
    def pressed(label):
        yield lambda step: signal.raise_signal(signal.SIGINT) if step.done == step.total else None

    monkeypatch.setattr("condensery.cli.condense.progress", pressed)
    words = ["--data", "digits", "--methods", "random", "dm", "herding", "--net.width", "4", "--no-whole"]
    assert main(["compare", *words, "--protocol", "fixed-steps", "--repeats", "1", "--out", str(tmp_path)]) == 130
    assert "stopped after the last step" in capsys.readouterr().err
    assert sorted(path.parent.name for path in tmp_path.glob("*/*.safetensors")) == ["dm-digits", "random"]


def test_evaluate_mirrors_no_images_of_a_set_that_was_not_mirrored(tmp_path, capsys, brief):
    assert main(["run", "random", "--data", "digits", "--ipc", "1", "--out", str(tmp_path / "r")]) == 0
    file = tmp_path / "r" / "condensed.safetensors"
    mirrored = digits().having(flip=True)
    assert [as_condensed(load(file), mirrored, flip).facts.flip for flip in ("auto", "yes")] == [False, True]
    assert "images are not mirrored" in capsys.readouterr().err


def test_evaluate_takes_the_data_and_the_protocol_of_the_run(tmp_path, capsys, brief):
    out = tmp_path / "r"
    assert main(["run", "dm:digits", "--data", "digits", "--flip", "yes", "--steps", "1", "--net.width", "4",
                 "--out", str(out)]) == 0  # fmt: skip
    found = tmp_path / "found.json"
    assert main(["evaluate", str(out), "--repeats", "1", "--no-random", "--json", str(found)]) == 0
    assert json.loads(found.read_text())["results"][0]["protocol"].startswith("dsa2021")
    assert main(["evaluate", str(out / "condensed.safetensors"), "--repeats", "1", "--protocol", "fixed-steps",
                 "--no-random"]) == 0  # fmt: skip
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((out / "condensed.safetensors").read_bytes())
    capsys.readouterr()
    assert main(["evaluate", str(alone)]) == 2
    assert "give --data" in capsys.readouterr().err


def test_data_are_described(tmp_path, capsys):
    file = tmp_path / "digits.json"
    assert main(["data", "--data", "digits", "--json", str(file)]) == 0
    assert "1438" in capsys.readouterr().out
    described = json.loads(file.read_text())
    assert len(described["classes"]) == 10
    assert sum(row["test"] for row in described["classes"]) == described["test"] == 359
    assert sum(row["training"] for row in described["classes"]) == described["training"]


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (1, "has only 1 test row, so accuracies are coarse"),
        (0, "has no test rows, so accuracies say nothing"),
    ],
)
def test_classes_that_are_hardly_tested_are_named(kept, said, caplog):
    data = digits()
    chosen = (data.test.labels != 3).nonzero().flatten().tolist() + (data.test.labels == 3).nonzero()[:kept, 0].tolist()
    test = TestSet(
        data.test.images[chosen], data.test.labels[chosen], data.test.space, data.test.dtype, data.test.device
    )
    warn_of_few(replace(data, test=test))
    assert f"class '3' {said}" in caplog.text
