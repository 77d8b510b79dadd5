"""Everything works on another device than the CPU, and gives the same there up to rounding; see `elsewhere`."""

import contextlib
from dataclasses import replace

import torch
from conftest import blobs
from elsewhere import ELSEWHERE, Pretending
from lists import NETS, PROTOCOLS, RECIPES, TINY, over
from test_leak import with_test_part

from condensery.applications import task_incremental
from condensery.evaluation.evaluate import evaluate, evaluate_whole
from condensery.evaluation.protocols import fixed_steps
from condensery.recipes import DC, IDC, Random
from condensery.runs.run import condense


def data():
    real = blobs(sizes=(9, 8, 7))
    return with_test_part(real.images, real.labels)


def few(protocol):
    def shortened(data, condensed=None, net=None):
        return replace(protocol(data, condensed, net), steps=2, seconds=None)

    return shortened


ONCE = {
    name: part for name, part in RECIPES.items()
    if not name.startswith(("mdc of", "unrolled of")) or name in ("mdc of dc", "unrolled of kfs")
}  # fmt: skip
"""The recipes; MDC and Unrolled work on any of them in the same way."""


@over(ONCE)
def test_a_set_that_is_condensed_elsewhere_is_the_same(part):
    with Pretending():
        there = condense(part, data().to(device=ELSEWHERE).train, progress=False).synthetic.state_dict()
        assert {tensor.device for tensor in there.values()} == {ELSEWHERE}
        there = {name: tensor.cpu() for name, tensor in there.items()}
    made = condense(part, data().train, progress=False).synthetic.state_dict()
    for name, tensor in there.items():
        torch.testing.assert_close(made[name], tensor, rtol=1e-9, atol=1e-9)


SOME = ("own", "convnet instance", "convnet batch", "vgg", "resnet", "densenet")


@over({name: NETS[name] for name in SOME})
def test_networks_condense_and_are_measured_elsewhere(part):
    recipe = DC(ipc=1, outer_steps=2, real_rows=6, net=part)
    found = {}
    for device in ("cpu", ELSEWHERE):
        with Pretending() if device == ELSEWHERE else contextlib.nullcontext():
            d = data().to(device=device)
            made = condense(recipe, d.train, progress=False)
            found[device] = evaluate(made, d, part, few(fixed_steps), repeats=1, progress=False).runs
    assert len(set(found.values())) == 1


def test_images_are_resized_and_measured_elsewhere():
    with Pretending():
        there = data().to(device=ELSEWHERE).resized(4, 3)
        assert {part.images.device for part in (there.train, there.test)} == {ELSEWHERE}
    here = data().resized(4, 3)
    torch.testing.assert_close((there.mean, there.std), (here.mean, here.std), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(there.train.images.here, here.train.images, rtol=1e-6, atol=1e-6)


def test_tasks_are_learned_one_after_another_elsewhere():
    found = {}
    for device in ("cpu", ELSEWHERE):
        with Pretending() if device == ELSEWHERE else contextlib.nullcontext():
            tasks = [data().to(device=device)] * 2
            stages = task_incremental(tasks, Random(ipc=2, net=TINY), steps=(4, 2), repeats=1, progress=False)
            found[device] = [stage.accuracy.runs for stage in stages]
    assert found["cpu"] == found[ELSEWHERE]


@over(PROTOCOLS)
def test_protocols_measure_elsewhere_what_was_condensed_on_the_cpu(part):
    recipe = IDC(ipc=2, outer_steps=1, inner_steps=1, real_rows=6, network_rows=6, net=TINY, base_size=8)
    made, found = condense(recipe, data().train, progress=False), {}
    for device in ("cpu", ELSEWHERE):
        with Pretending() if device == ELSEWHERE else contextlib.nullcontext():
            d = data().to(device=device)
            found[device] = [
                *evaluate(made, d, protocol=few(part), repeats=2).runs,
                *evaluate_whole(d, TINY, few(part), 1).runs,
            ]
    assert found["cpu"] == found[ELSEWHERE]
