"""The fast passes against the oracle: autograd alone."""

import gc
import logging
import shutil
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle, product
from weakref import ref

import pytest
import torch
from conftest import blobs
from lists import DISTANCES, MATCHES, NETS, SHAPES, over
from test_objectives import place, rows
from torch.nn import functional as F

import condensery as cd
from condensery.augment import Augmentation, Color, CutMix
from condensery.data import Batch, digits
from condensery.evaluation.training import Training, classifying, computing, fit
from condensery.kernels import compiling
from condensery.kernels.compiling import during
from condensery.kernels.convolution import Columns, Direct, Winograd
from condensery.kernels.passes import chunked, jointly
from condensery.networks.convnet import ConvNet
from condensery.networks.lenet import LeNet
from condensery.networks.net import build
from condensery.networks.network import initial
from condensery.networks.resnet import ResNet
from condensery.objectives import DistributionMatching, GradientMatching, Unrolling
from condensery.objectives.means import LastLayer, MeanEmbedding
from condensery.randomness import rng
from condensery.recipes import DC, DM, KFS, MDC, Forgetting, Herding, Random, Unrolled
from condensery.runs.checkpoint import Interrupted, Keeper


def gradient(objective, point, real, mode, images=4):
    """Loss and gradient in the images of one match, computed so."""
    with during(mode):
        x = rows(real, images, "synthetic").x.clone().requires_grad_()
        y = rows(real, images, "synthetic").y
        loss = objective.loss(point, Batch(x, y), objective.target(point, rows(real, 7)))
        loss.sum().backward()
    return loss.detach(), x.grad


def apart(a, b):
    return ((a - b).norm() / a.norm()).item()


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_passes_are_the_oracle(part, shape):
    real = blobs(shape)
    point = place(part, real)
    pairs = [
        (distance, match) for distance, match in zip(DISTANCES.values(), cycle(MATCHES.values()), strict=False)
        if any(match(k, v) for k, v in point.params.items())
    ]  # fmt: skip
    if point.network.chain is None:  # the distances know nothing of the network: another one for every shape
        pairs = [pairs[SHAPES.index(shape) % len(pairs)]]
    for distance, match in pairs:
        objective = GradientMatching(distance, match, chunk=3)
        plain, passes = (gradient(objective, point, real, mode) for mode in ("plain", "passes"))
        assert apart(plain[0], passes[0]) < 1e-9
        assert apart(plain[1], passes[1]) < 1e-9


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_mean_embeddings_by_passes_are_the_oracle(part, shape):
    real = blobs(shape)
    point = place(part, real)
    for some in (None,) if point.network.chain is None else (None, 3):
        objective = DistributionMatching(chunk=3, part=some)
        plain, passes = (gradient(objective, point, real, mode) for mode in ("plain", "passes"))
        assert apart(plain[0], passes[0]) < 1e-9
        assert apart(plain[1], passes[1]) < 1e-9


@over(NETS)
@pytest.mark.parametrize("shape", SHAPES[::3], ids=str)
def test_the_way_back_through_training_is_the_oracle(part, shape):
    real = blobs(shape)
    point = place(part, real)
    how, changes = Training(1e-3, 0.9, 1e-2, batch_size=5), (Augmentation((Color(),)), CutMix(1.0))
    momenta = {k: torch.full_like(v, 1e-3) for k, v in point.params.items()}
    for begun, augmented in ((point, 0), (replace(point, momenta=momenta), 1)):
        objective = Unrolling(point.network, 3, how, 0, augmented=augmented, augment=changes[0], mix=changes[1])
        plain, passes = (gradient(objective, begun, real, mode) for mode in ("plain", "passes"))
        assert apart(plain[0], passes[0]) < 1e-9
        assert apart(plain[1], passes[1]) < 1e-9
        assert torch.equal(plain[1], passes[1]) == point.network.plain_training  # the passes were taken


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64)], ids=str)
def test_the_passes_are_the_oracle_at_the_papers_sizes(shape):
    real = blobs(shape, sizes=(3, 4))
    point = place(ConvNet(width=32), real)
    plain, passes = (gradient(GradientMatching(), point, real, mode, 2) for mode in ("plain", "passes"))
    assert apart(plain[0], passes[0]) < 1e-9
    assert apart(plain[1], passes[1]) < 1e-9


TILED, OTHERS = [((8, 12), 1), ((4, 4), 1)], [((7, 5), 1), ((8, 8), 3)]
CONVOLUTIONS = [
    *((way, *given) for way in (Direct, Columns) for given in TILED + OTHERS),
    *((Winograd, *given) for given in TILED),  # whose products are of tiles of 4 x 4 results
]


@pytest.mark.parametrize(("way", "sides", "padding"), CONVOLUTIONS)
def test_a_convolution_is_a_convolution(way, sides, padding):
    convolution, generator = way(sides, padding), rng(0)
    draws = ((2, *sides, 3), (5, 3, 3, 3), (2, *convolution.out, 5), (2, *sides, 3), (5, 3, 3, 3))
    x, w, du, x2, w2 = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in draws)
    x.requires_grad_()
    w.requires_grad_()
    u = F.conv2d(x.permute(0, 3, 1, 2), w, padding=padding).permute(0, 2, 3, 1)
    dx, dw = torch.autograd.grad((u * du).sum(), (x, w))
    with torch.no_grad():
        ready, filters = convolution.rows(x), convolution.filters(w)
        assert apart(u, convolution.apply([(ready, filters)])) < 1e-12
        assert apart(dw, convolution.filters_gradient(ready, du)) < 1e-12
        gradients = convolution.result_gradient(du)
        assert apart(dx, convolution.back([(gradients, convolution.filters_back(w))])) < 1e-12
        other = convolution.apply([(convolution.rows(x2), convolution.filters(w2))])
        both = convolution.apply([(ready, filters), (convolution.rows(x2), convolution.filters(w2))])
        assert apart(u + other, both) < 1e-12
        back = convolution.back([(gradients, convolution.filters_back(v)) for v in (w, w2)])
        assert apart(back, convolution.back([(gradients, convolution.filters_back(w + w2))])) < 1e-12


def test_in_float32_one_step_is_near_and_bfloat16_points_the_same_way():
    real = digits().train
    point = initial(build(ConvNet(), real.shape, 10), rng(0))
    exact = gradient(GradientMatching(), point, real, "plain")[1]
    near = gradient(GradientMatching(), point, real, "passes")[1]
    assert apart(exact, near) < 5e-3
    for mode in ("plain", "passes"):
        rough = gradient(GradientMatching(real_dtype=torch.bfloat16), point, real, mode)[1]
        assert apart(exact, rough) > 1e-6  # it is rough indeed
        assert F.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.999
    for mean in (None, LastLayer()):
        formats = {"real_dtype": torch.bfloat16}, {"synthetic_dtype": torch.bfloat16}
        exact, *roughs = (DistributionMatching(mean=mean or MeanEmbedding(), **each) for each in ({}, *formats))
        exact = gradient(exact, point, real, "passes")[1]
        for objective, mode in product(roughs, ("plain", "passes")):
            rough = gradient(objective, point, real, mode)[1]
            assert apart(exact, rough) > 1e-6
            assert F.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.99
    trained = [Unrolling(point.network, 5, Training(0.01, 0.9, dtype=dtype), 0) for dtype in (None, torch.bfloat16)]
    exact = gradient(trained[0], point, real, "passes")[1]
    for mode in ("plain", "passes"):
        rough = gradient(trained[1], point, real, mode)[1]
        assert apart(exact, rough) > 1e-6
        assert F.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.95


@over({name: NETS[name] for name in ("convnet instance", "convnet wide", "convnet swish", "mlp")})
def test_training_by_passes_is_training(part):
    real = blobs(sizes=(9, 7, 6))
    how, seen = Training(0.05, 0.9, 5e-4, batch_size=5), {"plain": [], "passes": []}
    points = []
    for mode, logits in seen.items():
        with during(mode):
            points.append(
                fit(place(part, real), real, how, 12, 0, (), Augmentation((Color(),)), CutMix(0.5),
                    lambda index, given, y, logits=logits: logits.append(given))
            )  # fmt: skip
    assert all(apart(a, b) < 1e-9 for a, b in zip(*seen.values(), strict=True))
    for name, value in points[0].params.items():
        assert torch.allclose(value, points[1].params[name], atol=1e-9)


def test_training_in_bfloat16_is_near_and_keeps_its_weights():
    real = digits().train
    start = initial(build(ConvNet(width=32), real.shape, 10), rng(0))
    ends = {}
    for mode in ("plain", "passes"):
        for dtype in (None, torch.bfloat16):
            with during(mode):
                ends[mode, dtype] = fit(start, real, Training(0.05, 0.9, dtype=dtype), 5, 0, ()).params
    for mode in ("plain", "passes"):
        exact, rough = (
            torch.cat([(ends[mode, dtype][k] - v).flatten() for k, v in start.params.items()])
            for dtype in (None, torch.bfloat16)
        )
        assert rough.dtype == torch.float32
        assert 1e-6 < apart(exact, rough) < 0.1


def test_passes_do_not_keep_their_network():
    real = blobs()
    point = place(LeNet(), real)
    gradient(GradientMatching(), point, real, "passes")
    network = ref(point.network)
    del point
    gc.collect()
    assert network() is None


# ---- compiled


compiles = pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler here")
RECIPE = DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, init="real", net=ConvNet(width=8, depth=2))
MULTISIZE = MDC(replace(RECIPE, ipc=4, inner_steps=1, outer_steps=4), period=1, window=1)
ROUNDS = Unrolled(
    DM(ipc=2, steps=1, real_rows=6, net=ConvNet(width=8, depth=2)), rounds=5, unrolled_updates=2, network_pool=1,
    outer_rows=6,
)  # fmt: skip
HALF = replace(ROUNDS, unrolled_dtype="bfloat16")
EMBEDDING = KFS(channels=(3,), decoders=2, pretraining=5, steps=5, real_rows=6, net=ConvNet(width=8, depth=2))


@compiles
@pytest.mark.parametrize(
    ("recipe", "most", "near"),
    # MDC: also its features, and synthetic rows in two sizes
    [(RECIPE, 4, 1e-3), (EMBEDDING, 4, 1e-3), (MULTISIZE, 7, 1e-3), (ROUNDS, 6, 1e-3), (HALF, 6, 2.0)],
    ids=["gradient", "distribution", "multisize", "unrolled", "unrolled in bfloat16"],
)
def test_compiled_is_the_same_step_and_a_kill_changes_nothing(recipe, most, near, tmp_path, monkeypatch, caplog):
    real = digits().train
    with during("plain"):
        plain = recipe.algorithm(real).run().bases
    with caplog.at_level(logging.INFO, "condensery"), during("compiled"):
        whole = recipe.algorithm(real).run().bases
    assert 2 <= sum("compiling" in record.message for record in caplog.records) <= most  # each once, whatever the steps
    assert not any("without" in record.message for record in caplog.records)
    assert torch.allclose(plain, whole, atol=near)
    start = recipe.algorithm(real).synthetic.bases
    assert F.cosine_similarity((plain - start).flatten(), (whole - start).flatten(), 0) > 0.95
    assert not torch.equal(plain, whole)
    steps = iter([False] * (8 if recipe is EMBEDDING else 3) + [True])
    with during("compiled"), pytest.raises(Interrupted):
        recipe.algorithm(real).run(Keeper(tmp_path / "c.safetensors", {}, 0.0, lambda: next(steps)))
    resumed = recipe.algorithm(real).run(
        Keeper(tmp_path / "c.safetensors", {})
    )  # goes on compiled, as the checkpoint says
    assert torch.equal(whole, resumed.bases)


def test_a_run_goes_on_as_it_began(tmp_path):
    real = digits().train
    steps = iter([False] * 3 + [True])
    with during("passes"):
        whole = RECIPE.algorithm(real).run().bases
        with pytest.raises(Interrupted):
            RECIPE.algorithm(real).run(Keeper(tmp_path / "c.safetensors", {}, 0.0, lambda: next(steps)))
    assert torch.equal(whole, RECIPE.algorithm(real).run(Keeper(tmp_path / "c.safetensors", {})).bases)
    assert not torch.equal(whole, RECIPE.algorithm(real).run().bases)


def test_without_a_compiler_it_is_said_and_steps_are_plain(monkeypatch, caplog):
    def broken(*arguments):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(torch._inductor, "compile", broken)
    compiling._works.cache_clear()
    try:
        with caplog.at_level(logging.WARNING, "condensery"), during("compiled"):
            assert compiling.mode() == "plain"
        assert [record.message for record in caplog.records] == ["computing without compiling (no C++ compiler)"]
    finally:
        compiling._works.cache_clear()


def test_long_work_is_compiled_and_short_is_not(monkeypatch):
    for work in compiling.WORTH:
        assert compiling.worthwhile(work, 1e9, torch.device("cpu")) == "plain"
        assert compiling.worthwhile(work, 1e15, torch.device("cpu")) == "compiled"
        assert compiling.worthwhile(work, 1e15, torch.device("cuda")) == "plain"


def test_what_was_decided_is_done(monkeypatch):
    """By a run, by an evaluation, and by the training of the networks that choose; nothing is compiled here."""
    asked, d = [], digits()
    for module in ("algorithms.matching", "evaluation.evaluate", "algorithms.coresets", "kernels.compiling"):
        monkeypatch.setattr(f"condensery.{module}.during", lambda mode: (asked.append(mode), nullcontext())[1])
    for work in compiling.WORTH:
        monkeypatch.setitem(compiling.WORTH, work, 0.0)

    def modes(work):
        asked.clear()
        work()
        return asked

    net = ConvNet(width=4, depth=2)
    made = cd.condense(Random(ipc=1), d.train, progress=False)
    assert modes(lambda: DC(ipc=1, outer_steps=1, real_rows=2, net=net).algorithm(d.train).run()) == ["compiled"]
    for choosing in (Herding(1, feature_epochs=1, net=net), Forgetting(1, epochs=1, net=net)):
        assert modes(lambda choosing=choosing: choosing.algorithm(d.train).run()) == ["compiled"]
    assert modes(lambda: cd.evaluate(made, d, net, "kfs2022", 1, progress=False)) == ["compiled"] * 3


def test_families_that_compiling_does_not_speed_up_stay_plain(monkeypatch):
    for work in compiling.WORTH:
        monkeypatch.setitem(compiling.WORTH, work, 0.0)
    modes = {}
    for net in (ConvNet(width=4, depth=2), LeNet(), ResNet(depth=10, width=2)):
        algorithm = DC(ipc=1, outer_steps=1, real_rows=2, net=net).algorithm(digits().train)
        network = algorithm.schedule.network
        modes[net.family] = {algorithm.computing, *(f(network, (1, 8, 8), 10**9) for f in (computing, classifying))}
    assert modes == {"convnet": {"compiled"}, "lenet": {"plain"}, "resnet": {"plain"}}


@pytest.mark.parametrize("ends", [range(0, 41, 4), range(11), [0, 3, 4, 12], range(3)])
def test_wherever_rows_are_divided_their_chunks_have_two_sizes_and_little_room_to_spare(ends):
    sizes = jointly(list(ends))
    assert len(sizes) <= 2
    for end in list(ends)[1:-1]:
        for count in (end, ends[-1] - end):
            parts = [part for (part,) in chunked(sizes, torch.arange(1.0, count + 1))]
            assert {len(part) for part in parts} <= set(sizes)
            assert torch.cat(parts)[:count].tolist() == list(range(1, count + 1))
            assert not torch.cat(parts)[count:].any()
            assert len(torch.cat(parts)) - count < max(sizes)
