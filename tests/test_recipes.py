import json
from dataclasses import asdict, fields, replace
from operator import attrgetter
from typing import get_args, get_type_hints

import pytest
import torch
from conftest import blobs
from lists import CHOSEN, LEARNED, RECIPES, TINY, WRAPPED, over

from condensery.augment import CutMix, Cutout, dsa_strategy
from condensery.data import digits
from condensery.data.facts import FACTS
from condensery.data.pixels import PixelSpace, Whitening
from condensery.decoders import Bound, Uniform
from condensery.errors import InputError
from condensery.evaluation.evaluate import evaluate
from condensery.evaluation.protocols import dc2021
from condensery.networks.convnet import ConvNet
from condensery.networks.densenet import DenseNet
from condensery.networks.net import Net, build, record
from condensery.networks.network import initial
from condensery.networks.resnet import ResNet
from condensery.objectives.means import LastLayer, MeanEmbedding
from condensery.randomness import rng
from condensery.recipes import DC, DM, DSA, IDC, KFS, Anchor, Compact, Random, Recipe, Unrolled, Wrapper
from condensery.runs.run import condense, provenance
from condensery.synthetic import SyntheticSet


@over(LEARNED | {"random": CHOSEN["random"]})
def test_another_seed_gives_another_set(part):
    """Of the other coresets, only the network that chooses depends on it, and may choose the same rows.

    That the same seed gives the same set is a part of what `test_running` says of stopped runs.
    """
    real = blobs()
    a, b = (part.having(seed=seed).algorithm(real).run() for seed in (0, 1))
    assert a.bases.shape == (3, a.bases_per_class, *a.decoder.base_shape((1, 8, 8)))
    assert a.bases_per_class == part.ipc or part.name == "kfs"
    assert not torch.equal(a.bases, b.bases)


@over(LEARNED)
def test_what_is_learned_matches_better_than_what_it_started_from(part):
    """At the same points, on the same real rows, with the same changes of both, as images that stay as they were."""
    losses = {}
    rates = [name for name in asdict(part) if name == "lr" or name in ("codes_lr", "decoders_lr", "labels_lr")]
    for still in (False, True):
        steps = 10 if isinstance(part, IDC) else 20  # restarts of several steps
        recipe = replace(part, **{"outer_steps" if hasattr(part, "outer_steps") else "steps": steps})
        recipe = replace(recipe, **dict.fromkeys(rates, 0.0)) if still else recipe
        algorithm = recipe.algorithm(blobs())
        algorithm.run(observe=lambda step, still=still: losses.setdefault(still, []).append(step.loss))
        assert len(losses[still]) == algorithm.steps
    late = algorithm.steps // 2
    assert sum(losses[False][late:]) < sum(losses[True][late:])


@over(LEARNED | WRAPPED)
def test_every_stored_number_receives_a_gradient(part):
    """At one step or another: augmentation may cut out what is at the edge."""
    algorithm = part.algorithm(blobs())
    learned = [p for p in algorithm.synthetic.parameters() if p.requires_grad]
    reached = [torch.zeros_like(p, dtype=torch.bool) for p in learned]

    def observe(step):
        for p, somewhere in zip(learned, reached, strict=True):
            assert p.grad is not None
            somewhere |= p.grad != 0

    algorithm.run(observe=observe)
    assert [int((~somewhere).sum()) for somewhere in reached] == [0] * len(learned)


FORMATS = {"real_dtype": "objective.real_dtype", "synthetic_dtype": "objective.synthetic_dtype",
           "network_dtype": "schedule.how.dtype", "unrolled_dtype": "objective.how.dtype"}  # fmt: skip
FORMATTED = {  # every kind of recipe once with each of its fields
    f"{part.name} {field}": (part, field)
    for part in RECIPES.values() for field in vars(part) if field.endswith("_dtype")
}  # fmt: skip


@pytest.mark.parametrize(("part", "field"), FORMATTED.values(), ids=FORMATTED)
def test_a_number_format_reaches_the_part_that_computes_in_it(part, field):
    usual, rough = (replace(part, **{field: dtype}).algorithm(blobs()) for dtype in (None, "bfloat16"))
    assert [attrgetter(FORMATS[field])(made) for made in (usual, rough)] == [None, torch.bfloat16]


@over(RECIPES)
def test_everything_that_determines_a_set_is_recorded(part):
    recorded, inside = provenance(part, blobs())["recipe"], part
    if isinstance(part.net, Net):  # of a function, only the name is recorded
        assert Recipe.of_record(recorded) == part
    while isinstance(inside, Wrapper):
        assert recorded["name"] == inside.name
        recorded, inside = recorded["base"], inside.base
    assert recorded == json.loads(json.dumps({"name": inside.name, **vars(inside)}, default=record))


@over(RECIPES)
def test_a_field_that_may_be_none_is_none_by_default(part):
    """Recipe files leave out None, which TOML lacks."""
    while part:
        hints = get_type_hints(type(part))
        optional = [field for field in fields(part) if type(None) in get_args(hints[field.name])]
        assert [field.name for field in optional if field.default is not None] == []
        part = getattr(part, "base", None)


@pytest.mark.parametrize(
    ("record", "protocol"),
    [
        ({"name": "idc", "base_size": 224}, "imagenet2022"),
        ({"name": "idc", "base_size": 224, "net": {"factory": "mine.network"}}, "imagenet2022"),
        ({"name": "mdc", "base": {"name": "idc", "base_size": 224, "net": {"factory": "mine"}}}, "imagenet2022"),
        ({"name": "idc", "ipc": 1, "layout": "idc"}, "idc2022"),
        ({"name": "mdc", "base": {"name": "dm", "net": {"factory": "mine.network"}}}, "dsa2021"),
        ({"name": "mdc"}, "dc2021"),
        ({"name": "mtt"}, "dc2021"),
    ],
)
def test_a_record_that_makes_no_recipe_has_the_protocol_of_its_paper(record, protocol):
    assert Recipe.protocol_of(record) == protocol


def test_a_record_of_a_wrapper_around_nothing_is_refused():
    with pytest.raises(InputError, match="the record of mdc has no `base`"):
        Recipe.of_record({"name": "mdc"})


@pytest.mark.parametrize("recipe", [DC, DSA])
@pytest.mark.parametrize(
    ("ipc", "inner", "epochs"), [(1, 1, 50), (10, 10, 50), (20, 20, 25), (50, 50, 10), (100, 100, 5)]
)
def test_loops_follow_the_papers_rule_at_any_ipc(recipe, ipc, inner, epochs):
    schedule = recipe(ipc=ipc, net=TINY).algorithm(blobs(sizes=(100, 100))).schedule
    assert (schedule.inner, schedule.epochs) == (inner, epochs)


def test_dcs_defaults_are_the_papers():
    recipe = DC()
    assert (recipe.outer_steps, recipe.lr, recipe.network_lr, recipe.real_rows) == (1000, 0.1, 0.01, 256)
    assert (recipe.init, recipe.distance, recipe.net.width) == ("noise", "layerwise_cosine", 128)


def test_dsas_defaults_are_the_papers():
    recipe = DSA()
    assert (recipe.outer_steps, recipe.lr, recipe.network_lr, recipe.real_rows) == (1000, 0.1, 0.01, 256)


def test_dms_defaults_are_the_papers():
    recipe = DM()
    assert (recipe.steps, recipe.lr, recipe.momentum, recipe.real_rows) == (20_000, 1.0, 0.5, 256)


def test_kfss_defaults_are_the_papers():
    recipe, large = KFS(), KFS.imagenet()
    assert (recipe.steps, recipe.codes_lr, recipe.decoders_lr, recipe.pretraining) == (20_000, 0.1, 0.01, 2000)
    assert (recipe.real_rows, recipe.networks, recipe.augment) == (None, None, "none")
    decoder = recipe.decoder((3, 32, 32), 10)
    assert (decoder.channels, decoder.decoders, decoder.kernel) == ((12, 9, 6), 8, 2)
    assert (large.steps, large.codes_lr, large.decoders_lr, large.kernel) == (50_000, 0.01, 0.001, 4)
    assert large.drops == (30_000, 42_000, 48_000)


def test_idcs_defaults_are_the_programs():
    recipe, fashion, digits = IDC(), IDC.published("fashionmnist"), IDC.published("mnist")
    assert (recipe.outer_steps, recipe.inner_steps) == (2000, 100)
    assert (recipe.factor, recipe.lr, recipe.real_rows, recipe.network_rows) == (
        2,
        5e-3,
        64,
        2000,
    )
    assert recipe.distance == "squared_euclidean"
    assert (fashion.distance, fashion.lr, fashion.network_rows, fashion.base_size) == ("l1", 1e-4, 500, 32)
    assert digits.base_size == 28
    ten, hundred = IDC.published("imagenet10"), IDC.published("imagenet100")
    assert (ten.ipc, ten.factor, ten.formation) == (20, 3, "bound")
    assert (hundred.factor, hundred.early_epochs, hundred.pool, hundred.network_lr) == (3, 5, 10, 0.1)
    with pytest.raises(InputError, match="fashionmnist"):
        IDC.published("fashion")


@pytest.mark.parametrize(
    ("data", "factor", "cuts"),
    [("CIFAR10", 2, True), ("FashionMNIST", 2, True), ("MNIST", 1, True), ("MNIST", 2, False)],
)
def test_idc_cuts_no_boxes_out_of_the_cells_of_mnist(data, factor, cuts):
    made = IDC(ipc=1, factor=factor, net=TINY).algorithm(blobs().with_facts(FACTS[data]))
    assert (Cutout() in made.augment.always) == cuts
    assert made.schedule.mix == CutMix(0.5 if cuts else 0.0)
    chosen = IDC(ipc=1, factor=factor, net=TINY, augment="none", cutmix=1.0).algorithm(blobs().with_facts(FACTS[data]))
    assert (chosen.augment.always, chosen.schedule.mix) == ((), CutMix(1.0))


def test_rows_are_augmented_as_the_papers_say():
    real = blobs(shape=(3, 8, 8)).with_facts(FACTS["CIFAR10"])
    dsa, dm = DSA(ipc=1, net=TINY).algorithm(real), DM(ipc=1, net=TINY).algorithm(real)
    strategy = dsa_strategy(FACTS["CIFAR10"])
    assert dsa.augment == dsa.schedule.augment == dm.augment == strategy
    assert {type(each).__name__ for each in strategy.one_of} == {"Color", "Crop", "Cutout", "Flip", "Scale", "Rotate"}
    assert [group["momentum"] for group in (*dsa.optimizer.param_groups, *dm.optimizer.param_groups)] == [0.5, 0.5]
    idc = IDC(ipc=1, net=TINY).algorithm(real)
    assert {type(each).__name__ for each in idc.augment.always} == {"Color", "Crop", "Cutout"}
    assert {type(each).__name__ for each in idc.schedule.augment.always} == {"Color", "Crop"}


def test_idc_normalizes_cifar100_with_the_constants_of_cifar10():
    real = blobs(shape=(3, 8, 8))
    space = replace(IDC.published("cifar100"), ipc=1, net=TINY).algorithm(real).synthetic.space
    assert (space.mean, space.std) == (FACTS["CIFAR10"].mean, FACTS["CIFAR10"].std)
    assert replace(IDC.published("cifar10"), ipc=1, net=TINY).algorithm(real).synthetic.space.mean == real.space.mean


@pytest.mark.parametrize(("channels", "word"), [(1, "gray"), (3, "whitened")])
def test_idc_refuses_constants_of_other_images(channels, word):
    real = blobs(shape=(channels, 8, 8))
    if word == "whitened":
        whitening = Whitening.measured([real.read(slice(None))])
        real = real.normalized_by(replace(real.space, whitening=whitening))
    with pytest.raises(InputError, match=word):
        IDC(ipc=1, constants="CIFAR10", net=TINY).algorithm(real)


def test_anchor_needs_a_point_for_every_trained_network():
    with pytest.raises(InputError, match=r"points=2.*trained_networks=3"):
        Anchor(DM(), points=2)


@pytest.mark.parametrize(("weight", "mean"), [(0, MeanEmbedding()), (0.5, LastLayer(0.5))])
def test_anchor_matches_the_last_layer_unless_its_weight_is_0(weight, mean):
    anchor = Anchor(LEARNED["dm 2"], trained_networks=1, points=2, updates=3, last_layer=weight)
    assert anchor.algorithm(blobs()).objective.mean == mean


def test_a_set_is_rounded_once_when_all_of_its_parts_are_done(monkeypatch):
    compact = Compact(DM(ipc=1, steps=1, real_rows=4, net=TINY), share=0.0)
    rounded = []
    monkeypatch.setattr(SyntheticSet, "quantize", lambda synthetic: rounded.append(synthetic))
    Unrolled(compact, rounds=1, unrolled_updates=1).algorithm(blobs()).run()
    assert len(rounded) == 1


def test_a_bound_set_is_used_with_equal_cells():
    recipe = RECIPES["idc bound"]
    algorithm = recipe.algorithm(blobs())
    learned = algorithm.run()
    assert (type(algorithm.synthetic.decoder), type(learned.decoder)) == (Bound, Uniform)
    assert learned.decoder.factor == (3, 3)
    assert torch.equal(learned.bases, algorithm.synthetic.bases)


@pytest.mark.parametrize(("ipc", "side", "rate"), [(10, 32, 5e-3), (1, 32, 5e-4), (50, 32, 2.5e-2), (10, 64, 2e-2)])
def test_idcs_rate_is_scaled_as_in_the_program(ipc, side, rate):
    real = blobs(shape=(3, side, side), sizes=(2,) * 12)
    synthetic = SyntheticSet(torch.zeros(12, ipc, 1, 1, 1), real.space)
    group = IDC(ipc=ipc)._optimizer(synthetic, real).param_groups[0]
    assert group["lr"] == pytest.approx(2 * rate, rel=1e-3)  # momentum 0.5: every step goes twice as far in the end
    assert group["momentum"] < 1e-3


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("classes", [1, 2, 3, 7])
def test_one_update_of_all_classes_is_the_programs_class_by_class_updates(classes, momentum):
    """The program: after each class's gradient one SGD step of the whole tensor, so that the others drift on."""
    start = torch.randn(classes, 2, 1, 8, 8, dtype=torch.float64)

    def gradient(x, i):  # any function of the class's own images and of the step
        return (x * (i + 1)).sin() + 0.3 * x

    s = torch.nn.Parameter(start.clone())
    theirs = torch.optim.SGD([s], 0.05 / 10, momentum)
    seen_there = []
    for i in range(12):
        for c in range(classes):
            seen_there.append(s.detach()[c].clone())
            s.grad = torch.zeros_like(s)
            s.grad[c] = gradient(s.detach()[c], i)
            theirs.step()
    real = blobs(sizes=(2,) * classes)
    synthetic = SyntheticSet(start.clone(), PixelSpace((0.5,), (0.5,)))
    ours = IDC(ipc=1, lr=0.05, momentum=momentum, base_size=8)._optimizer(synthetic, real)
    seen_here = []
    for i in range(12):
        seen_here += list(synthetic.bases.detach().clone())
        synthetic.bases.grad = gradient(synthetic.bases.detach(), i)
        ours.step()
    assert torch.allclose(torch.stack(seen_here), torch.stack(seen_there), atol=1e-12)


def test_idc_is_algorithm_1_written_out():
    """IDC-I without augmentation by hand: restarts, matches in networks trained on real rows, clamping a restart."""
    real, ce = blobs(), torch.nn.functional.cross_entropy
    recipe = IDC(
        ipc=1, factor=1, outer_steps=2, inner_steps=3, lr=0.5, base_size=8, augment="none", cutmix=0.0, real_rows=6,
        network_rows=12, network_lr=0.1, net=TINY,
    )  # fmt: skip
    s = real.space.unit(real.sample(1, range(3), lambda c: rng(0, "random real", c)).x).requires_grad_()
    velocity, network = torch.zeros_like(s), build(TINY, real.shape, 3).double()
    decay = 0.5**3
    for k in range(2):
        network.load_state_dict(initial(network, rng(0, "weights", k)).params)
        updates = torch.optim.SGD(network.parameters(), 0.1, 0.9, weight_decay=5e-4)
        filters = [p for p in network.parameters() if p.ndim == 4]
        for i in range(3):
            loss = 0
            for c in range(3):
                # no class has rows for two matches: each begins a new epoch, and one class has to repeat a row
                generator = rng(0, "real epoch", c, 3 * k + i)
                rounds = [torch.randperm(real.sizes[c], generator=generator) for _ in range(2 if c == 1 else 1)]
                batch = real.at(torch.cat(rounds)[None, :6] + real.rows(c).start)
                g_real = torch.autograd.grad(ce(network(batch.x[0]), batch.y[0]), filters)
                rows, labels = real.space.normalize(s[c]), torch.tensor([c])
                g_syn = torch.autograd.grad(ce(network(rows), labels), filters, create_graph=True)
                loss = loss + sum((a - b).square().sum() for a, b in zip(g_syn, g_real, strict=True))
            velocity = decay * velocity + torch.autograd.grad(loss, s)[0]
            s = (s - 0.05 * (1 - decay) / 0.5 * velocity).detach().requires_grad_()
            order = real.minibatches(6, rng(0, "order", "schedule", k, i, 0))
            for _, (x, y, _) in zip(range(2), order, strict=False):
                updates.zero_grad()
                ce(network(x), y).backward()
                updates.step()
        s = s.detach().clamp(0, 1).requires_grad_()
    assert torch.allclose(recipe.algorithm(real).run().bases.detach(), s.detach(), atol=1e-9)


@over({name: recipe for name, recipe in RECIPES.items() if recipe.name == "idc"})
def test_idcs_pixels_are_stored_in_the_unit_range(part):
    synthetic = replace(part, lr=10 * part.lr).algorithm(blobs()).run()
    assert synthetic.space.stored == "unit"
    assert synthetic.bases.min() >= 0
    assert synthetic.bases.max() <= 1


@over(CHOSEN)
def test_a_chosen_set_holds_real_rows_of_its_class_each_once(part):
    real = blobs()
    synthetic = part.algorithm(real).run()
    for c in range(3):
        mine = real.read(real.rows(c)).flatten(1)
        where = [(mine == row.flatten()).all(1).nonzero().flatten().tolist() for row in synthetic.bases[c]]
        assert all(len(w) == 1 for w in where)
        assert where[0] != where[1]


def test_dc_teaches_more_than_the_real_images_it_started_from():
    data = digits()
    recipe = DC(ipc=1, init="real", outer_steps=30, lr=0.5, real_rows=32, net=ConvNet(width=16))
    started, learned = (condense(r, data.train) for r in (Random(ipc=1), recipe))
    before, after = (evaluate(s, data, recipe.net, dc2021, repeats=2).mean for s in (started, learned))
    assert after > before + 0.05


@pytest.mark.parametrize(
    ("recipe", "margin"),
    [
        (DSA(ipc=1, outer_steps=60, lr=0.5, real_rows=32), 0.15),
        (replace(IDC.quick(), outer_steps=5, inner_steps=30, real_rows=32, lr=0.05), 0.1),  # cells of 4 x 4 take longer
    ],
    ids=["dsa", "idc"],
)
def test_dsa_and_idc_teach_digits_far_more_than_random_images(recipe, margin):
    data, net = digits(), ConvNet(width=32)
    chosen, learned = (condense(r, data.train) for r in (Random(ipc=1), replace(recipe, net=net)))
    before, after = (evaluate(s, data, net, dc2021, repeats=2).mean for s in (chosen, learned))
    assert after > before + margin


def test_clamped_pixels_stay_in_the_unit_range():
    synthetic = RECIPES["dc clamped"].algorithm(blobs()).run()
    unit = synthetic.space.unit(synthetic.bases)
    assert unit.min() > -1e-9
    assert unit.max() < 1 + 1e-9
    free = replace(RECIPES["dc clamped"], clamp=False).algorithm(blobs()).run()
    assert free.space.unit(free.bases).min() < 0


WRONG = [
    *(
        (IDC, field)
        for field in (
            {"formation": "x"},
            {"optimizer": "x"},
            {"factor": 0},
            {"factor": 2.5},
            {"momentum": 1.0},
            {"cutmix": 2},
        )
    ),
    *((DC, field) for field in ({"init": "Real"}, {"distance": "x"}, {"match": "x"}, {"lr": float("nan")}, {"ipc": 0})),
    *((ConvNet, field) for field in ({"norm": "x"}, {"pooling": "mean"}, {"activation": "x"})),
    *((ResNet, field) for field in ({"norm": "layer"}, {"depth": 34}, {"downsampling": "max"}, {"init": "x"})),
    *((DenseNet, field) for field in ({"blocks": ()}, {"blocks": (0,)}, {"growth": 0})),
]


@pytest.mark.parametrize(("kind", "field"), WRONG, ids=str)
def test_a_misspelt_choice_is_refused(kind, field):
    with pytest.raises(InputError, match=next(iter(field))):
        kind(**field)
