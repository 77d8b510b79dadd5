"""Networks that go on learning when classes or tasks arrive."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from lists import TINY
from torch.nn import functional as F

from condensery.applications import Distillation, class_incremental, task_incremental
from condensery.applications.rehearsal import _remembered, distilling, grown
from condensery.cli import main
from condensery.data import digits, from_arrays
from condensery.errors import InputError
from condensery.evaluation.protocols import Protocol
from condensery.evaluation.training import Training
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.randomness import rng
from condensery.recipes import DC, Random
from condensery.runs.run import condense

HOW = Training(0.05, 0.9, batch_size=32)


def brief(data, condensed=None, net=None):
    return Protocol("brief", HOW, steps=8)


def letters(data):
    """The same images, whose classes have other names."""
    names = tuple("abcdefghij")
    return replace(data, name="letters", class_names=names, train=data.train.called("letters", names))


def learned(tasks, **more):
    given = {"steps": (8, 4), "how": HOW, "repeats": 2, "progress": False} | more
    return task_incremental(tasks, Random(ipc=2, net=TINY), **given)


def test_distillation_is_the_divergence_from_softened_outputs():
    logits, before = torch.randn(5, 6).double(), torch.randn(5, 4).double()
    loss = Distillation(weight=0.5, temperature=3.0)
    assert loss(before, before).abs() < 1e-12
    p, q = F.softmax(before / 3, 1), F.softmax(logits[:, :4] / 3, 1)
    assert loss(logits, before) == pytest.approx(float(0.5 * 9 * (p * (p / q).log()).sum(1).mean()))
    assert loss(torch.cat([logits[:, :4], 9 * logits[:, 4:]], 1), before) == loss(logits, before)


def test_new_outputs_leave_the_old_ones():
    small, large = build(TINY, (1, 8, 8), 3), build(TINY, (1, 8, 8), 5)
    before = initial(small, rng(0, "before"))
    after = grown(before, large, rng(0, "after"))
    x = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(after.logits(x)[:, :3], before.logits(x))
    assert torch.equal(after.params["head.weight"][3:], initial(large, rng(0, "after")).params["head.weight"][3:])
    assert distilling(None, Distillation()) is None
    assert distilling(before, None) is None


def test_distillation_keeps_outputs_near_those_of_the_last_stage():
    data, tests = digits(), []
    for weight in (0.0, 100.0):
        found = class_incremental(data, Random(ipc=2, net=TINY), 2, protocol=brief, repeats=2,
                                  distillation=Distillation(weight), progress=False)  # fmt: skip
        assert [len(stage.classes) for stage in found] == [5, 10]
        assert found[0].accuracy.protocol == "brief, distilled"
        tests.append(found)
    assert tests[0][0].accuracy.runs == tests[1][0].accuracy.runs  # at first there is nothing to stay near
    assert tests[0][1].accuracy.runs != tests[1][1].accuracy.runs


def test_tasks_share_the_outputs_of_classes_with_the_same_name():
    data = digits()
    told = []
    found = learned([data, data, letters(data)], observe=told.append)
    assert told == found
    assert [len(stage.classes) for stage in found] == [10, 10, 20]
    assert [stage.floats for stage in found] == [1280, 2560, 3840]
    assert all(len(stage.accuracy.runs) == 2 for stage in found)


def test_a_first_task_is_learned_and_the_accuracy_is_the_mean_over_tasks():
    data = digits()
    (alone,) = learned([data], steps=(60, 4))
    assert alone.accuracy.mean > 0.3
    both = learned([data, data], steps=(60, 4))
    assert both[0].accuracy.runs == alone.accuracy.runs
    assert both[1].accuracy.mean > alone.accuracy.mean


def test_the_same_seed_gives_the_same_stages_and_distillation_changes_them():
    tasks = [digits(), letters(digits())]
    first, again, without = learned(tasks), learned(tasks), learned(tasks, distillation=None)
    assert [s.accuracy.runs for s in first] == [s.accuracy.runs for s in again]
    assert first[0].accuracy.runs == without[0].accuracy.runs
    assert first[1].accuracy.runs != without[1].accuracy.runs


def test_sets_that_are_ready_are_the_memory():
    data, recipe = digits(), Random(ipc=2, net=TINY)
    made = [condense(recipe, each.train, progress=False) for each in (data, letters(data))]
    more = {"net": TINY, "steps": (4, 2), "how": HOW, "repeats": 1, "progress": False}
    found, alike = (task_incremental([data, letters(data)], memory, **more) for memory in (made, recipe))
    assert [stage.accuracy.runs for stage in found] == [stage.accuracy.runs for stage in alike]
    smaller = condense(recipe, letters(data).resized(4, 1).train, progress=False)
    for memory, net, said in (
        (made[:1], TINY, "one for each"), (made, None, "give `net`"), ([made[0], smaller], TINY, "the rows of the set"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            task_incremental([data, letters(data)], memory, net)
    with pytest.raises(InputError, match="has other classes"):
        task_incremental([letters(data)], made[:1], TINY)


def test_a_set_that_was_normalized_otherwise_is_remembered_as_its_task_is():
    """For example, with the constants of other data, or from a part of the task."""
    data, recipe = digits(), Random(ipc=2, net=TINY)
    other = data.train.normalized_by(replace(data.train.space, mean=(0.9,), std=(0.1,)))
    ours, theirs = (condense(recipe, real, progress=False) for real in (data.train, other))
    rows = [_remembered(made, torch.arange(10), data.train).read(torch.arange(20)) for made in (ours, theirs)]
    torch.testing.assert_close(*rows, rtol=0, atol=1e-5)
    assert torch.equal(rows[0], ours.tensors()[0])


def test_a_set_in_another_number_format_is_remembered_as_its_task_is():
    """A set from a file is in float32 and on the CPU, whatever its task is."""
    tasks = [each.to(torch.float64) for each in (digits(), letters(digits()))]
    made = [condense(Random(ipc=2, net=TINY), each.train, progress=False) for each in (digits(), letters(digits()))]
    assert made[0].synthetic.bases.dtype == torch.float32
    found = task_incremental(tasks, made, TINY, steps=(4, 2), how=HOW, repeats=1, progress=False)
    assert len(found) == 2


def test_the_memory_alone_is_learned_from_the_second_stage_on():
    data = digits()
    one, other = (learned([data, letters(data)], steps=(8, count)) for count in (1, 40))
    assert one[0].accuracy.runs == other[0].accuracy.runs
    assert one[1].accuracy.runs != other[1].accuracy.runs


@pytest.mark.parametrize(("wrong", "said"), [
    ({"steps": (0, 1)}, "`steps`"), ({"steps": (-5, -5)}, "`steps`"), ({"steps": (1,)}, "`steps`"),
    ({"repeats": 0}, "`repeats`"), ({"seed": -1}, "`seed`"),
])  # fmt: skip
def test_numbers_out_of_range_are_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        learned([digits()], **wrong)


def test_tasks_of_different_shapes_and_soft_labels_are_refused():
    data = digits()
    with pytest.raises(InputError, match="one shape"):
        learned([data, data.resized(16, 1)])
    with pytest.raises(InputError, match="there are none"):
        learned([])
    soft = DC(ipc=2, outer_steps=1, network_epochs=1, real_rows=4, net=TINY, learn="both")
    with pytest.raises(InputError, match="soft labels"):
        task_incremental([data], soft, steps=(1, 1), progress=False)
    with pytest.raises(InputError, match="soft labels"):
        task_incremental([data], [condense(soft, data.train, progress=False)], TINY, steps=(1, 1), progress=False)


@pytest.mark.parametrize("kind", ["uint8", "float"])
def test_images_are_resized(kind):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 6, 8), dtype=np.uint8)
    images = images if kind == "uint8" else (images / 255).astype(np.float32)
    labels = np.arange(20) % 2
    data = from_arrays(images, labels, images, labels, name="rows").to(torch.float64)
    gray, same = data.resized(4, 1), data.resized(6, 3)
    assert gray.shape == (1, 4, 4)
    assert same.shape == (3, 6, 6)
    assert gray.train.images.dtype == data.train.images.dtype
    unit = gray.train.space.unit(gray.train.read(slice(None)))
    means = data.train.space.unit(data.train.read(slice(None))).mean((1, 2, 3))
    torch.testing.assert_close(unit.mean((1, 2, 3)), means, rtol=0, atol=0.02)
    colored = gray.resized(4, 3)
    assert torch.equal(colored.train.images, gray.train.images.expand(-1, 3, -1, -1))
    assert colored.train.dtype == torch.float64
    for side, channels in ((0, 3), (4, 2)):
        with pytest.raises(InputError, match="resized"):
            data.resized(side, channels)


def test_on_the_command_line(capsys):
    words = ["continual", "--data", "digits", "--memory", "random", "--ipc", "1", "--repeats", "1", "--net.width", "4"]
    assert main([*words, "--distill", "--stages", "2", "--protocol", "kfs2022"]) == 0
    assert "distilled" in capsys.readouterr().out
    assert main([*words, "--then", "digits", "--steps", "3", "2", "--dtype", "bfloat16"]) == 0
    out = capsys.readouterr().out
    assert "to digits" in out
    assert "(3 + 2 steps), trained in bfloat16" in out
    for wrong, said in ((["--then", "nothing"], "--then nothing: neither"),
                        (["--then", "digits", "--stages", "2"], "--stages"),
                        (["--then", "digits", "--protocol", "kfs2022"], "--protocol"),
                        (["--then", "digits", "--share-decoders"], "--share-decoders"),
                        (["--steps", "1", "1"], "--steps"),
                        (["--then", "digits", "--zca"], "--zca")):  # fmt: skip
        assert main([*words, *wrong]) == 2
        assert said in capsys.readouterr().err
