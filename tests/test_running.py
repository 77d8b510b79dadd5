"""A run in a folder: killed at any moment and called again, it ends with the same bytes."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import torch
from lists import LEARNED, RECIPES, TINY, over

from condensery.cli import main
from condensery.data import digits, from_arrays
from condensery.data.facts import Facts
from condensery.errors import InputError, RunError
from condensery.networks.net import record
from condensery.recipes import DC, Recipe
from condensery.runs import storage
from condensery.runs.artifact import load
from condensery.runs.checkpoint import Interrupted, difference
from condensery.runs.planning import plan
from condensery.runs.run import condense, run
from condensery.runs.session import _toml, recorded, seconds_of

COMMAND = [
    sys.executable, "-m", "condensery", "run", "dc:quick", "--data", "digits", "--ipc", "2", "--outer-steps", "40",
    "--network-epochs", "3", "--real-rows", "16", "--net.width", "16", "--checkpoint-seconds", "0.1",
]  # fmt: skip


def command(out):
    said = out.with_suffix(".log").open("a")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with said:
        return subprocess.Popen([*COMMAND, "--out", str(out)], env=environment, stdout=said, stderr=said)


def few():
    """Digits of three classes."""
    return digits().of_classes(range(3))


def metrics(run):
    """A run's lines but for their times."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


@over(RECIPES)
def test_a_run_stopped_at_every_step_ends_with_the_same_bytes(part, tmp_path):
    data, out = few(), tmp_path / "whole"
    done = run(part, data, out)
    leaves_its_records(part, done, out, data)
    is_as_planned(part, done, data)
    if part.name == "random":  # in which there is nothing to stop
        return
    sessions, steps = 0, part.algorithm(data.train).steps
    while not (tmp_path / "parts" / "condensed.safetensors").exists():
        asked = iter([False] * (1 if steps else 3) + [True])  # a step a session, or three of a feature network
        sessions += 1
        try:
            run(part, data, tmp_path / "parts", stop=lambda asked=asked: next(asked, True))
        except Interrupted:
            assert not (tmp_path / "parts" / "condensed.safetensors").exists()
    assert sessions >= 2
    for name in ("condensed.safetensors", "recipe.toml"):
        assert (tmp_path / "parts" / name).read_bytes() == (out / name).read_bytes()
    if steps:
        assert metrics(tmp_path / "parts") == metrics(out)  # what the objective said of a step, too


def leaves_its_records(recipe, done, out, data):
    files = {p.name for p in out.iterdir()}
    assert {"condensed.safetensors", "recipe.toml", "run.json", "previews"} <= files
    assert "checkpoint.safetensors" not in files
    written = tomllib.loads((out / "recipe.toml").read_text())
    if "factory" in written.get("net", {}):  # of a function, a file has the name only
        assert Recipe.of_record(written | {"net": record(TINY)}) == recipe.having(net=TINY)
    else:
        assert Recipe.of_record(written) == recipe
    about = json.loads((out / "run.json").read_text())
    assert about["floats"] == done.floats
    assert about["seconds"] > 0
    assert about["sessions"][-1]["status"] == "done"
    if recipe.name != "random":
        steps = [line["step"] for line in metrics(out)]
        assert steps == list(range(1, (recipe.algorithm(data.train).steps or len(steps)) + 1))
    for preview in (out / "previews").iterdir():
        assert preview.read_bytes().startswith(b"\x89PNG")
    before = (out / "condensed.safetensors").stat().st_mtime_ns
    again = run(recipe, data, out)
    assert again.recipe == done.recipe
    assert (out / "condensed.safetensors").stat().st_mtime_ns == before
    with pytest.raises(InputError, match=r"recipe\.(base\.)*seed is 0 there, 1 here"):
        run(recipe.having(seed=1), data, out)


def is_as_planned(recipe, done, data):
    planned, made = plan(recipe, data.train, progress=False), done.synthetic
    assert (planned.floats, planned.steps) == (done.floats, done.steps)
    grids = 8 * len(list(made.parameters())) if made.format == "uint8" else 0  # not needed where pixels span 0 to 1
    assert made.bytes <= planned.bytes <= made.bytes + grids
    assert planned.seconds > planned.fixed >= 0
    assert planned.computing == "plain"
    assert planned.memory is None or planned.memory > 1e7


def test_some_of_the_runs_that_are_stopped_freeze_what_they_learned():
    def freezes(recipe):
        said = []
        recipe.algorithm(few().train).run(observe=lambda step: said.append(max(step.said.get("frozen", [0]))))
        return max(said)

    assert any(freezes(recipe) for recipe in RECIPES.values() if recipe.name == "mdc")


def test_an_unfinished_run_is_not_mixed_with_another(tmp_path):
    data, recipe = digits(), LEARNED["dc 1"]
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=lambda: next(asked))
    kept = (tmp_path / "checkpoint.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"recipe\.lr is 0\.1 there, 0\.2 here"):
        run(replace(recipe, lr=0.2), data, tmp_path)
    with pytest.raises(InputError, match="data"):
        run(recipe, data.validation(0.5), tmp_path)
    assert (tmp_path / "checkpoint.safetensors").read_bytes() == kept


@pytest.mark.parametrize("left", ["recipe.toml", "metrics.jsonl"])
def test_a_folder_s_records_belong_to_its_run_even_without_a_checkpoint(left, tmp_path):
    """A kill before the first checkpoint leaves records; so does a user who moves the set away."""
    data, recipe = few(), LEARNED["dc 1"]
    run(recipe, data, tmp_path)
    (tmp_path / "condensed.safetensors").unlink()
    before = (tmp_path / left).read_bytes()
    with pytest.raises(InputError, match=r"contains another run \(recipe\.name is dc there, dm here\)"):
        run(LEARNED["dm 2"], data, tmp_path)
    assert (tmp_path / left).read_bytes() == before
    run(recipe, data, tmp_path)


def test_a_picture_that_cannot_be_drawn_stops_no_run(tmp_path, monkeypatch, caplog):
    def too_large(synthetic, names):
        raise InputError("decoding 9 rows at once would take too much memory")

    monkeypatch.setattr("condensery.runs.session.grid", too_large)
    with caplog.at_level(logging.WARNING):
        made = run(LEARNED["dc 1"], few(), tmp_path)
    assert "no picture of step" in caplog.text
    assert torch.equal(load(tmp_path).synthetic.bases, made.synthetic.bases)


@pytest.mark.parametrize("name", ["unrolled of kfs", "dream of idc"])
def test_what_comes_before_the_first_step_is_done_once(name, tmp_path, monkeypatch):
    data, recipe = few(), RECIPES[name]

    def begun():
        path = tmp_path / "checkpoint.safetensors"
        return path.exists() and storage.read_tensors(path)[0]["step"] > 0

    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=begun, checkpoint_seconds=0)
    algorithm = recipe.algorithm

    def without(self, real):
        def again(synthetic, aside):
            raise AssertionError("it is done again")

        made = algorithm(real)
        return replace(made, beginnings=[again for _ in made.beginnings])

    monkeypatch.setattr(type(recipe), "algorithm", without)
    monkeypatch.setattr("condensery.runs.run.updates", lambda algorithm: 1)
    run(recipe, data, tmp_path)


def test_the_same_images_read_in_another_way_are_another_run(tmp_path):
    data, recipe = digits(), LEARNED["dc 1"]
    first = data.whitened(0.1)
    others = [
        data.whitened(0.5),
        replace(data, class_names=tuple("abcdefghij")).whitened(0.1),
        from_arrays(data.train.images, data.train.labels, data.test.images, data.test.labels, name="digits",
                    facts=Facts(flip=False, mean=(0.5,), std=(0.25,))).whitened(0.1),
    ]  # fmt: skip
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        run(recipe, first, tmp_path / "half", stop=lambda: next(asked))
    run(recipe, first, tmp_path / "whole")
    for other in others:
        assert other.train.fingerprint == first.train.fingerprint
        for folder in ("half", "whole"):
            with pytest.raises(InputError, match="contains another run"):
                run(recipe, other, tmp_path / folder)
    plain = replace(first, train=first.train.with_facts(Facts(flip=False, pictures=False)))
    for folder in ("half", "whole"):
        with pytest.raises(InputError, match=r"read\.facts\.pictures is True there, False here"):
            run(recipe, plain, tmp_path / folder)
        with pytest.raises(InputError, match=r"read\.dtype is torch\.float32 there, torch\.float64 here"):
            run(recipe, first.to(torch.float64), tmp_path / folder)
    ends = [run(recipe, first, tmp_path / folder).synthetic.bases for folder in ("half", "whole")]
    assert torch.equal(*ends)


def test_a_finished_run_is_found_again_where_the_recipe_has_other_statistics(tmp_path):
    x, y = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8), torch.arange(12) % 2
    data, recipe = from_arrays(x, y, x, y), replace(LEARNED["idc 2"], constants="CIFAR10")
    made = run(recipe, data, tmp_path / "a", progress=False)
    assert made.space.mean != data.train.space.mean
    assert torch.equal(run(recipe, data, tmp_path / "a", progress=False).synthetic.bases, made.synthetic.bases)


def test_a_run_goes_on_from_data_whose_name_is_not_utf8(tmp_path):
    data, out = os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9.npz"), tmp_path / "run"
    x, y = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8), np.arange(20) % 2
    np.savez(data, x_train=x, y_train=y)
    words = ["run", "random", "--data", data, "--ipc", "1", "--out", str(out)]
    assert main(words) == 0
    (out / "condensed.safetensors").unlink()
    assert main(["resume", str(out)]) == 0
    assert main([*words[:-1], os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9")]) == 2


def test_a_stranger_s_record_without_end_is_none(tmp_path):
    (tmp_path / "run.json").symlink_to("/dev/zero")
    assert recorded(tmp_path) is None


def test_two_processes_do_not_run_in_one_folder(tmp_path):
    data, recipe = digits(), RECIPES["dc 1"]
    refused = []

    def meanwhile(step):
        with pytest.raises(InputError, match="another process"):
            run(recipe, data, tmp_path / "out")
        refused.append(step.done)

    run(recipe, data, tmp_path / "out", observe=meanwhile)
    assert len(refused) == recipe.algorithm(data.train).steps
    run(recipe, data, tmp_path / "out")


@pytest.mark.parametrize(("name", "phase"), [("dc 1", ""), ("unrolled of kfs", "kfs")])
def test_time_is_counted_over_all_sessions_even_killed_ones(name, phase, tmp_path):
    data, recipe = digits(), RECIPES[name]

    def stop():
        return any(phase in path.name for path in tmp_path.glob("checkpoint*.safetensors"))

    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=stop, checkpoint_seconds=0)
    late = sorted(tmp_path.glob("checkpoint*.safetensors"), key=lambda path: path.stat().st_mtime_ns)[-1]
    assert phase in late.name
    head, tensors = storage.read_tensors(late)
    storage.write_tensors(late, tensors, head | {"seconds": head["seconds"] + 1000})
    record = json.loads((tmp_path / "run.json").read_text())
    record["seconds"] = 0.0  # as a kill in the first session would leave it
    (tmp_path / "run.json").write_text(json.dumps(record))
    run(recipe, data, tmp_path)
    assert 1000 < json.loads((tmp_path / "run.json").read_text())["seconds"] < 1100
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[-1])["seconds"] > 1000


def test_a_kill_in_a_later_session_loses_no_seconds_of_earlier_ones(tmp_path):
    data, recipe, asked = few(), LEARNED["dc 1"], iter([False, True])
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=lambda: next(asked))
    before, during = seconds_of(tmp_path), []
    assert before > 0
    run(recipe, data, tmp_path, observe=lambda step: during.append(seconds_of(tmp_path)))  # what a kill would leave
    assert min(during) >= before


def test_a_recipe_of_any_words_is_read_back():
    words = {"name": "dm", "start": 'caf\u00e9 \U0001f3a8 "\\'}
    assert tomllib.loads(_toml(words)) == words


def test_a_failed_run_says_so(tmp_path):
    with pytest.raises(RunError):
        run(replace(LEARNED["dc 1"], lr=1e38, distance="l1"), digits(), tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["sessions"][-1]["status"] == "failed"


@pytest.mark.parametrize(
    ("what", "said"),
    [("torch.get_num_threads", "threads is 1 there, 64 here"), ("condensery.runs.checkpoint.code", "code 64 here")],
)
def test_resuming_on_another_set_up_is_said_aloud(what, said, tmp_path, monkeypatch):
    data, recipe = digits(), LEARNED["dc 1"]
    asked = iter([False, True])
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=lambda: next(asked))
    log = logging.getLogger("condensery")
    heard: list[str] = []
    monkeypatch.setattr(log, "warning", heard.append)
    monkeypatch.setattr(what, lambda: 64)
    run(recipe, data, tmp_path)
    assert said in heard[0]
    assert "not have the same bytes" in heard[0]


def test_a_run_killed_at_random_moments_ends_with_the_same_bytes(tmp_path):
    whole = command(tmp_path / "whole")
    started = time.monotonic()
    assert whole.wait() == 0
    length = time.monotonic() - started
    moments = random.Random(0)
    kills = ended = resumed = 0
    while kills < 3:  # at any moment from the import of torch to the last write
        process = command(tmp_path / "killed")
        time.sleep(moments.uniform(0.05, 1.0) * length)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        if (tmp_path / "killed" / "condensed.safetensors").exists():  # ended before its kill: begin another
            ended += 1
            (tmp_path / "killed").rename(tmp_path / f"ended {ended}")
    assert main([*COMMAND[3:], "--out", str(tmp_path / "killed")]) == 0
    expected = (tmp_path / "whole" / "condensed.safetensors").read_bytes()
    for folder in (tmp_path / "killed", *tmp_path.glob("ended *")):
        assert (folder / "condensed.safetensors").read_bytes() == expected
        sessions = json.loads((folder / "run.json").read_text())["sessions"]
        resumed += sum(session.get("from_step", 1) > 1 for session in sessions)
    assert resumed >= 1


def test_ctrl_c_keeps_the_steps_done_and_the_same_command_resumes(tmp_path):
    process = command(tmp_path / "out")
    while not (tmp_path / "out" / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait() == 130
    said = (tmp_path / "out.log").read_text()
    assert "repeat the command to resume" in said
    assert "Traceback" not in said
    done = len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines())
    assert main([*COMMAND[3:], "--out", str(tmp_path / "out")]) == 0
    sessions = json.loads((tmp_path / "out" / "run.json").read_text())["sessions"]
    assert [s["status"] for s in sessions] == ["interrupted", "done"]
    assert sessions[1]["from_step"] == done + 1


@pytest.mark.parametrize(
    "name", ["run.json", "recipe.toml", "metrics.jsonl", "checkpoint-best.safetensors", ".movie.mkv.part", "thesis.tex"]
)
def test_a_folder_with_somebody_s_files_is_refused_and_left_alone(name, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(InputError, match="not empty and contains no run"):
        run(RECIPES["dc 1"], digits(), tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {name: "mine"}


def test_a_run_removes_what_it_made_and_nothing_else(tmp_path):
    data, recipe = digits(), RECIPES["idc early"]
    asked = iter([False] * 5 + [True])
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path, stop=lambda: next(asked))
    mine = ["checkpoint-best.safetensors", ".movie.mkv.part", "notes.txt", "previews/.holiday.png.12.part"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    left = [".run.json.12.part", ".checkpoint.safetensors.12.part", ".checkpoint-early.safetensors.7.part",
            "previews/.step-000001.png.12.part"]  # fmt: skip
    for name in left:
        (tmp_path / name).write_text("half")
    run(recipe, data, tmp_path)
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert [(tmp_path / name).read_text() for name in mine] == ["mine"] * len(mine)
    checkpoints = {path.name for path in tmp_path.glob("checkpoint*")}
    assert checkpoints == {"checkpoint-best.safetensors"}


def test_what_a_kill_after_the_last_write_leaves_is_tidied_up(tmp_path, monkeypatch):
    data, recipe = digits(), RECIPES["dc 1"]
    with monkeypatch.context() as patched:
        patched.setattr("condensery.runs.checkpoint.Keeper.remove", lambda keeper: None)  # killed before it
        run(recipe, data, tmp_path)
    (tmp_path / "previews" / ".step-000001.png.12.part").write_text("half")
    assert (tmp_path / "checkpoint.safetensors").exists()
    run(recipe, data, tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith("checkpoint") or path.suffix == ".part"]


def test_a_lock_that_is_a_link_is_neither_followed_nor_emptied(tmp_path):
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(InputError, match="lock"):
        run(RECIPES["dc 1"], digits(), tmp_path / "out")
    assert (tmp_path / "precious").read_text() == "mine"


@pytest.mark.parametrize("recipe", [object(), DC, "dc"], ids=["object", "class", "name"])
def test_what_is_no_recipe_is_refused_before_anything_is_written(recipe, tmp_path):
    with pytest.raises(InputError, match="not a recipe"):
        run(recipe, digits(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_stop_while_a_file_is_written_leaves_no_part_of_it(tmp_path, monkeypatch):
    def stopped(*paths):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        storage.write(tmp_path / "figures.json", b"{}")
    assert not list(tmp_path.iterdir())


def test_a_set_that_would_not_load_is_no_success(tmp_path, monkeypatch):
    recipe = RECIPES["random"]
    broken = recipe.algorithm(digits().train)
    broken.synthetic.bases.data[0, 0] = float("nan")
    monkeypatch.setattr(type(recipe), "algorithm", lambda *_: broken)
    with pytest.raises(RunError, match="cannot be saved"):
        run(recipe, digits(), tmp_path)
    assert not (tmp_path / "condensed.safetensors").exists()
    assert json.loads((tmp_path / "run.json").read_text())["sessions"][-1]["status"] == "failed"


def test_a_missing_entry_is_named_in_a_difference():
    assert difference({"a": {"b": None}}, {"a": {}}) == "a.b is None there, missing here"


def test_a_python_program_s_user_sees_how_far_it_is_unless_told_otherwise(tmp_path, monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(logging.getLogger("condensery"), "info", heard.append)
    recipe = RECIPES["dc 1"]
    run(recipe, digits(), tmp_path / "a")
    assert any("step 1/" in line for line in heard)
    heard.clear()
    condense(recipe, digits().train)
    assert any("step 1/" in line for line in heard)
    heard.clear()
    run(recipe, digits(), tmp_path / "b", progress=False)
    assert heard == []
