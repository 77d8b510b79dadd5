"""Classes that arrive in stages, and a memory of them."""

import json
from dataclasses import replace
from itertools import product

import pytest
import torch
from conftest import blobs
from lists import TINY
from PIL import Image
from test_leak import with_test_part

from condensery.algorithms.schedules import Fresh
from condensery.applications import Distillation, class_incremental
from condensery.applications.continual import _with_decoders_of
from condensery.cli import main
from condensery.cli.names import RECIPES
from condensery.data import TestSet, digits
from condensery.errors import InputError
from condensery.evaluation.evaluate import evaluate
from condensery.evaluation.protocols import kfs2022
from condensery.networks.convnet import ConvNet
from condensery.recipes import DC, DM, IDC, KFS, Random, Unrolled
from condensery.runs.artifact import load, save
from condensery.runs.condensed import Condensed
from condensery.runs.run import condense
from condensery.synthetic import random_real


def brief(data, condensed=None, net=None):
    return replace(kfs2022(data, condensed, net), steps=2)


CODES = KFS(ipc=8, channels=(3, 2), decoders=2, pretraining=2, steps=2, strict=True, net=TINY)


@pytest.mark.parametrize("recipe", [Random(ipc=2, net=TINY), DM(ipc=2, steps=2, real_rows=4, net=TINY), CODES])
def test_the_memory_grows_by_the_classes_of_a_stage(recipe):
    data = digits()
    told = []
    found = class_incremental(data, recipe, 2, protocol=brief, repeats=1, observe=told.append, progress=False)
    assert told == found
    assert [stage.classes for stage in found] == [data.class_names[:5], data.class_names]
    assert found[1].floats == 2 * found[0].floats
    assert found[1].bytes == 2 * found[0].bytes


def test_decoders_are_learned_once_and_counted_once():
    found = class_incremental(digits(), CODES, 2, protocol=brief, repeats=1, share_decoders=True, progress=False)
    decoders = CODES.decoder((1, 8, 8), 5).floats
    assert found[1].floats == 2 * found[0].floats - decoders
    assert found[1].bytes == 2 * found[0].bytes - 4 * decoders


def test_codes_are_learned_for_decoders_that_stay():
    data = digits()
    first, part = condense(CODES, data.of_classes(range(5)).train, progress=False), data.of_classes(range(5, 10)).train
    before = [value.clone() for value in first.synthetic.decoder.parameters()]
    alteration = _with_decoders_of(first, CODES, data.of_classes(range(5)).train)
    alone = condense(replace(CODES, steps=1, codes_lr=1e-9), part, progress=False, alteration=alteration)
    made = condense(replace(CODES, steps=5), part, progress=False, alteration=alteration)
    assert made.synthetic.decoder is first.synthetic.decoder
    assert all(torch.equal(*pair) for pair in zip(before, first.synthetic.decoder.parameters(), strict=True))
    assert not torch.allclose(made.synthetic.bases, alone.synthetic.bases, atol=1e-3)
    rows = random_real(part, CODES.codes(made.synthetic.decoder, 5), CODES.seed)
    unit = part.space.unit(rows)  # of which the codes start as encodings
    torch.testing.assert_close(alone.synthetic.bases, made.synthetic.decoder.encode(unit), rtol=0, atol=1e-4)


def test_there_must_be_decoders_to_share():
    with pytest.raises(InputError, match="no decoders to share"):
        class_incremental(digits(), Random(ipc=1, net=TINY), 2, share_decoders=True, progress=False)


@pytest.mark.parametrize(("wrong", "least"), [({"repeats": 0}, 1), ({"seed": -1}, 0)])
def test_numbers_out_of_range_are_refused(wrong, least):
    with pytest.raises(InputError, match=f"`{next(iter(wrong))}` must be a whole number of at least {least}"):
        class_incremental(digits(), Random(ipc=1, net=TINY), 2, distillation=Distillation(), progress=False, **wrong)


def test_decoders_that_would_be_learned_again_are_not_shared():
    with pytest.raises(InputError, match="would learn decoders in every stage"):
        class_incremental(digits(), Unrolled(CODES, rounds=1), 2, share_decoders=True, progress=False)


def test_a_protocol_sees_the_memory_as_it_is_stored():
    data, recipe = digits(), IDC(ipc=1, outer_steps=1, inner_steps=1, real_rows=4, network_rows=4, net=TINY)
    seen = []

    def protocol(data, condensed=None, net=None):
        seen.append((condensed.rows_per_class, condensed.bases_per_class))
        return replace(kfs2022(data), steps=1)

    stages = class_incremental(data, recipe, 2, protocol=protocol, repeats=1, progress=False)
    assert set(seen) == {(4, 1)}
    assert len(stages) == 2
    (whole,) = class_incremental(data, recipe, 1, protocol="idc2022-equal-steps", repeats=1, progress=False)
    assert "equal steps" in whole.accuracy.protocol


@pytest.mark.parametrize("how", ["--stages 2 --protocol kfs2022", "--then digits --steps 2 1"])
def test_the_command_goes_on_from_what_is_condensed(how, tmp_path, monkeypatch, capsys):
    words = f"continual --data digits --memory random dm --ipc 1 --net.width 2 --repeats 1 --out {tmp_path}/out {how}"
    calls, usual = [], DM.algorithm
    monkeypatch.setattr(DM, "algorithm", lambda self, real: replace(usual(self, real), schedule=few(self, real, calls)))
    assert main(words.split()) == 0
    table, steps = capsys.readouterr().out, len(calls)
    assert steps
    assert (tmp_path / "out" / "dm-digits" / "stage-2" / "condensed.safetensors").is_file()
    monkeypatch.setattr("condensery.algorithms.matching.Matching.learn", None)
    assert main(words.split()) == 0
    assert capsys.readouterr().out == table
    assert main(f"{words} --seed 1".split()) == 2
    assert "contains another run" in capsys.readouterr().err


def test_memories_without_decoders_may_stand_beside_those_that_share_theirs(tmp_path, monkeypatch):
    shared = {}

    def stages(data, memory, *arguments, share_decoders, **more):
        shared[memory.name] = share_decoders
        return class_incremental(data, memory, *arguments[:2], brief, 1, share_decoders=share_decoders, progress=False)

    monkeypatch.setattr("condensery.applications.class_incremental", stages)
    words = "continual --data digits --memory kfs random --ipc 3 --stages 2 --share-decoders --net.width 2 --repeats 1"
    monkeypatch.setitem(RECIPES, "kfs:digits", replace(KFS.digits(), pretraining=2, steps=2))
    assert main([*words.split(), "--out", str(tmp_path)]) == 0
    assert shared == {"kfs": True, "random": False}


def test_a_memory_fits_into_a_budget_and_several_have_seeds_of_their_own(tmp_path, capsys):
    words = "continual --data digits --memory random --budget 5KB --sets 2 --stages 2 --protocol kfs2022"
    assert main([*words.split(), "--repeats", "1", "--net.width", "2", "--json", str(tmp_path / "found.json")]) == 0
    assert "at most 5KB; mean ± std of 2 sets x one network" in capsys.readouterr().out
    record = json.loads((tmp_path / "found.json").read_text())
    ends = [row for row in record["results"] if row["stage"] == 2]
    assert [(row["bytes"], row["n"], row["sets"]) for row in ends] == [(2 * 7 * 5 * 64, 2, 2)]
    net, data = replace(ConvNet(), width=2), digits()
    runs = [
        class_incremental(data, Random(ipc=7, seed=seed, net=net), 2, net, "kfs2022", 1, seed, progress=False)
        for seed in (0, 1)
    ]
    assert ends[0]["runs"] == [run[-1].accuracy.mean for run in runs]
    assert runs[0][-1].accuracy.runs != runs[1][-1].accuracy.runs


def test_shared_decoders_make_the_same_codes_when_the_first_set_is_from_a_file(tmp_path):
    def learned(folder):
        return [
            replace(stage, accuracy=stage.accuracy.runs)
            for stage in class_incremental(
                digits(), CODES, 2, protocol=brief, repeats=1, share_decoders=True, folder=folder, progress=False
            )
        ]

    alone, first = learned(None), learned(tmp_path)
    made = [(tmp_path / stage / "condensed.safetensors").read_bytes() for stage in ("stage-1", "stage-2")]
    (tmp_path / "stage-2" / "condensed.safetensors").unlink()  # codes are learned again, with a new encoder
    assert alone == first == learned(tmp_path) == learned(tmp_path)
    assert (tmp_path / "stage-2" / "condensed.safetensors").read_bytes() == made[1]
    other = load(tmp_path / "stage-1")
    with torch.no_grad():
        next(other.synthetic.decoder.parameters()).mul_(2)
    save(other, tmp_path / "stage-1" / "condensed.safetensors")
    with pytest.raises(InputError, match="stage-2: its codes are for other decoders"):
        learned(tmp_path)


def test_a_folder_of_another_run_is_refused_before_anything_is_condensed(tmp_path, monkeypatch, capsys):
    words = f"continual --data digits --net.width 2 --ipc 1 --repeats 1 --protocol kfs2022 --out {tmp_path} --memory"
    assert main([*words.split(), "random", "--stages", "2"]) == 0
    monkeypatch.setattr("condensery.cli.continual._stages", None)
    assert main([*words.split(), "herding", "random", "--stages", "5"]) == 2
    assert "random/stage-1 contains another run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--then", "--then is empty"),
        ("--then digits --size 99", "--size"),
        ("--then digits --label no", "--label"),
        ("--budget 3XB", "'3XB' is no number of bytes"),
        ("--budget 5KB --ipc 2", "--budget and --ipc both say how much is stored"),
        ("--budget 500", "--budget 500, of which a stage gets 1/2: 250 bytes are too few"),
        ("--ipc 0", "--ipc must be a whole number of at least 1"),
        ("--sets 0", "--sets must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(words, said, capsys):
    stages = [] if "--then" in words else ["--stages", "2"]
    assert main(["continual", "--data", "digits", "--memory", "random", *stages, *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "1/2: '3XB'" not in error


@pytest.mark.parametrize("distillation", [None, Distillation()])
def test_networks_are_trained_in_another_number_format_that_the_protocol_names(distillation):
    found = [
        class_incremental(digits(), Random(ipc=2, net=TINY), 2, protocol=brief, repeats=1, distillation=distillation,
                          dtype=dtype, progress=False)[-1].accuracy
        for dtype in (None, torch.float32, torch.bfloat16)
    ]  # fmt: skip
    assert found[0] == replace(found[1], seconds=found[0].seconds)
    assert "trained in bfloat16" in found[2].protocol
    with pytest.raises(InputError, match=r"must be None, torch.bfloat16 or torch.float16, got torch.float64"):
        class_incremental(digits(), Random(ipc=2, net=TINY), 2, dtype=torch.float64, progress=False)


def few(recipe, real, calls):
    """A schedule of two points."""
    calls.append(recipe)
    return Fresh(recipe.network(real), 2, recipe.seed)


def test_data_sets_of_several_kinds_follow_each_other(tmp_path):
    """An option of one of them is no hindrance for the others."""
    for c, number in product("ab", range(6)):
        folder = tmp_path / "pictures" / c
        folder.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((9 + number, 9), 50).save(folder / f"{number}.png")
    words = [
        "--memory",
        "random",
        "--ipc",
        "1",
        "--size",
        "8",
        "--steps",
        "1",
        "1",
        "--net.width",
        "2",
        "--repeats",
        "1",
    ]
    pictures = str(tmp_path / "pictures")
    assert main(["continual", "--data", pictures, "--then", "digits", *words]) == 0
    assert main(["continual", "--data", "digits", "--then", pictures, *words]) == 0


def test_what_trains_for_a_time_does_not_go_on_from_the_last_stage():
    with pytest.raises(InputError, match="trains for a time"):
        class_incremental(digits(), Random(ipc=1, net=TINY), 2, protocol="fixed-seconds", distillation=Distillation())


def test_in_one_stage_it_is_condensing_and_evaluating():
    data, recipe = digits(), Random(ipc=2, net=TINY)
    (stage,) = class_incremental(data, recipe, 1, protocol=brief, repeats=2, progress=False)
    made: Condensed = condense(recipe, data.train, progress=False)
    assert stage.accuracy.runs == evaluate(made, data, protocol=brief, repeats=2, progress=False).runs
    assert (stage.floats, stage.bytes) == (made.floats, made.bytes)


def test_a_part_of_the_classes_has_their_rows_in_the_same_space():
    data = digits()
    part = data.of_classes([7, 2])
    assert part.class_names == (data.class_names[7], data.class_names[2])
    assert part.train.sizes == [data.train.sizes[7], data.train.sizes[2]]
    assert (part.train.images[part.train.rows(1)] == data.train.images[data.train.rows(2)]).all()
    assert len(part.test) == int(((data.test.labels == 7) | (data.test.labels == 2)).sum())
    assert part.train.space == data.train.space


@pytest.mark.parametrize("classes", [[], [1, 1], [10], [-1]])
def test_classes_that_are_not_there_are_refused(classes):
    with pytest.raises(InputError, match="different ids from 0 to 9"):
        digits().of_classes(classes)


@pytest.mark.parametrize("stages", [0, 3, 10, True, 2.5])
def test_stages_that_do_not_divide_the_classes_are_refused(stages):
    with pytest.raises(InputError, match="give one of 1, 2, 5"):
        class_incremental(digits(), Random(ipc=1), stages)


def test_a_prime_number_of_classes_has_no_stages():
    with pytest.raises(InputError, match="no number above 1 does, so leave a class out"):
        class_incremental(digits().of_classes([0, 1, 2]), Random(ipc=1), 5)


def test_a_first_stage_without_test_images_is_refused():
    data = digits()
    late = data.test.labels >= 5
    test = TestSet(data.test.images[late], data.test.labels[late], data.test.space, data.test.dtype, data.test.device)
    with pytest.raises(InputError, match="no test images of the 5 classes of the first stage"):
        class_incremental(replace(data, test=test), Random(ipc=1, net=TINY), 2, progress=False)


def test_soft_labels_are_refused():
    real = blobs(sizes=(9, 8, 7))
    data = with_test_part(real.images, real.labels)
    with pytest.raises(InputError, match="soft labels"):
        class_incremental(data, DC(ipc=3, outer_steps=1, network_epochs=1, real_rows=4, net=TINY, learn="both"), 1,
                          progress=False)  # fmt: skip


def test_the_command_prints_a_row_for_every_memory(capsys, tmp_path):
    file = tmp_path / "table.json"
    words = ["continual", "--data", "digits", "--memory", "random", "herding", "--ipc", "1", "--stages", "2",
             "--protocol", "kfs2022", "--repeats", "1", "--net.width", "4", "--json", str(file)]  # fmt: skip
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "5 classes" in printed
    assert "10 classes" in printed
    rows = json.loads(file.read_text())["results"]
    assert [(row["memory"], row["stage"]) for row in rows] == [(m, s) for m in ("random", "herding") for s in (1, 2)]
    about = json.loads(file.read_text())
    assert (about["stages"], about["distill"], about["repeats"]) == (2, False, 1)


@pytest.mark.parametrize(("out", "said"), [([], "no memory is kept without --out"), (["--out", "memory"], "repeat")])
def test_an_interruption_says_what_is_kept(out, said, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("condensery.cli.continual._stages", interrupted)
    assert main(["continual", "--data", "digits", "--memory", "random", *out]) == 130
    assert f"interrupted; {said}" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "said"), [
    ("--memory", "memory"), ("--memory nothing", "nothing"), ("--memory random --stages 3", "divide"),
    ("--memory random --ipc 0", "ipc"), ("--memory random --protocol none", "none"),
    ("--memory random --share-decoders", "none of the memories has decoders"),
    ("--memory dm+warm", "only run and plan can take"), ("--memory random ld", "soft labels"),
    ("--memory random ld --then digits", "soft labels"), ("--memory random kfs --ipc 1", "does not hold one code"),
])  # fmt: skip
def test_wrong_options_are_one_line_before_anything_is_condensed(capsys, monkeypatch, words, said):
    monkeypatch.setattr("condensery.applications.continual.made", None)
    monkeypatch.setattr("condensery.applications.rehearsal.made", None)
    assert main(["continual", "--data", "digits", *words.split()]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.strip().splitlines()) == 1
