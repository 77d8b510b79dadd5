"""The package as a user meets it: names, fields that are checked, help."""

import ast
import functools
import importlib
import pydoc
import re
from dataclasses import fields
from pathlib import Path

import pytest
from lists import Residual

import condensery as cd
from condensery.cli.names import flags
from condensery.errors import InputError
from condensery.networks.names import FAMILIES
from condensery.runs.planning import plan

KINDS = [getattr(cd, name) for name in cd.recipes.__all__ if name not in ("Recipe", "Wrapper")]


def test_what_type_checkers_see_is_what_there_is():
    tree = ast.parse(Path(cd.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    typed = {
        alias.name: node.module.removeprefix("condensery").removeprefix(".")
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert typed == {**cd._MODULE_OF, **dict.fromkeys(cd._SUBPACKAGES, "")}
    assert set(typed) <= set(cd.__all__)


def test_every_name_resolves_and_no_other_is_offered():
    assert dir(cd) == sorted(cd.__all__)
    for name in cd.__all__:
        assert getattr(cd, name) is not None
    assert not [name for name in vars(cd) if not name.startswith("_") and name not in cd.__all__ and name not in ROOMS]
    with pytest.raises(AttributeError, match="no attribute 'distill'"):
        _ = cd.distill


ROOMS = {path.name.removesuffix(".py") for path in Path(cd.__file__).parent.iterdir()}  # bound once imported


@pytest.mark.parametrize("kind", [*KINDS, *FAMILIES.values()], ids=lambda kind: kind.__name__)
def test_help_says_what_every_field_is(kind):
    shown = pydoc.render_doc(kind, renderer=pydoc.plaintext)
    for field in fields(kind):
        assert re.search(rf"^ \|      {field.name}: [A-Z`]", shown, re.M), field.name


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, cd.Wrapper)], ids=lambda kind: kind.name)
def test_a_wrapper_has_no_field_of_another_recipe(kind):
    """The command line offers the fields of both side by side."""
    own = {field.name for field in fields(kind)} - {"base"}
    assert {other.name: own & {field.name for field in fields(other)} for other in KINDS if other is not kind} == {
        other.name: set() for other in KINDS if other is not kind
    }


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cd.DC(clamp="no"), "`clamp` must be True or False, got 'no'"),
        (lambda: cd.DC(clamp=1), "`clamp` must be True or False, got 1"),
        (lambda: cd.DC(momentum=2.0), "`momentum` must be a number .* below 1, got 2.0"),
        (lambda: cd.DC(ipc=True), "`ipc` must be a whole number .*, got True"),
        (lambda: cd.DC(ipc=1.0), "`ipc` must be a whole number .*, got 1.0"),
        (lambda: cd.DC(ipc=2**31), "`ipc` must be .* below 2,147,483,648"),
        (lambda: cd.DC(lr="0.1"), "`lr` must be a number .*, got '0.1'"),
        (lambda: cd.DC(lr=float("nan")), "`lr` must be a number .*, got nan"),
        (lambda: cd.DC(momentum=10**400), "`momentum` must be a number .*, got 1000"),
        (lambda: cd.DC(seed=-1), "`seed` must be a whole number of at least 0"),
        (lambda: cd.DC(seed=2**63), "`seed` must be a whole number"),
        (lambda: cd.DC(init="rael"), "`init` must be 'noise' or 'real', got 'rael'"),
        (lambda: cd.DC(inner_steps=0), "`inner_steps` must be a whole number of at least 1 .* or None, got 0"),
        (lambda: cd.DC(net=3), "`net` must be a Net or"),
        (lambda: cd.DC(net="resnet"), "unknown network 'resnet': did you mean resnet1"),
        (lambda: cd.KFS(drops=3), "`drops` must be a tuple"),
        (lambda: cd.KFS(drops=(1, 2.5)), "`drops` must be a tuple"),
        (lambda: cd.KFS(channels=()), "`channels` must be a tuple .* of 1 to 6 items"),
        (lambda: cd.KFS(channels=(4, 0)), "`channels` must be a tuple"),
        (lambda: cd.auto(cd.digits().train), "auto takes a whole data set, not a RealSet"),
        (lambda: plan(cd.DC(), cd.digits()), "a recipe condenses the training part of a data set"),
        (lambda: plan("dc", cd.digits().train), "'dc' is not a recipe"),
        (lambda: cd.run(cd.DC(), cd.digits(), "out", sinks=["tensorbord"]), "did you mean tensorboard"),
        (lambda: cd.run(cd.DC(), cd.digits(), "out", checkpoint_seconds="30"), "`checkpoint_seconds` must be a number"),
        (lambda: cd.MDC("dc"), "`base` must be a Recipe, got 'dc'"),
        (lambda: cd.MDC(cd.DC(), fraction=0.9), "`fraction` must be a number above 0 and at most 0.5 or None"),
        (lambda: cd.ConvNet(width=0), "`net.width` must be a whole number from 1 to 4,096, got 0"),
        (lambda: cd.ConvNet(norm="group", width=6), "`net.width` must be a multiple of 4"),
    ],
)
def test_an_argument_that_cannot_be_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_a_network_is_a_description_a_family_or_a_function():
    assert cd.DC(net="resnet10") == cd.DC(net=cd.ResNet(depth=10))
    assert cd.DC(net=Residual).record()["net"]["factory"] == "lists.Residual"


def test_a_function_whose_source_changed_is_another_recipe(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    recorded = []
    for i, width in enumerate((4, 8)):
        (tmp_path / f"net{i}.py").write_text(f"def net(shape, classes):\n    return {width}\n")
        recorded.append(cd.DC(net=importlib.import_module(f"net{i}").net).record()["net"]["source"])
    assert recorded[0] != recorded[1]


def make(shape, classes, width=4):
    return Residual(shape, classes, width)


def test_a_function_bound_to_other_arguments_is_another_recipe():
    bound = [cd.DC(net=functools.partial(make, width=width)).record()["net"] for width in (4, 8)]
    assert bound[0] != bound[1]
    assert bound[0] == cd.DC(net=functools.partial(make, width=4)).record()["net"]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda data: cd.condense(cd.DC(), data), "the training part"),
        (lambda data: cd.condense(cd.DC(), data.test), "the training part"),
        (lambda data: cd.condense(cd.DC, data.train), "is not a recipe"),
        (lambda data: cd.run(cd.DC(), data.train, "out"), "a whole data set"),
        (lambda data: cd.evaluate_whole(data.train), "a data set, not"),
        (lambda data: cd.evaluate(cd.condense(cd.Random(ipc=1), data.train), data.test), "evaluated on a data set"),
        (lambda data: cd.evaluate_whole(data, repeats="3"), "`repeats` must be a whole number"),
        (lambda data: cd.evaluate_whole(data, dtype="bfloat16"), "`dtype` must be None,"),
        (lambda data: cd.save("x", cd.condense(cd.Random(ipc=1), data.train)), "a condensed set and then a path"),
        (lambda data: cd.DC(net=Residual((1, 8, 8), 10)), "`net` is a network; give a function"),
        (lambda data: cd.DC(net=None), "or a function"),
    ],
)
def test_a_slip_is_one_line_that_says_what_is_wanted(use, words):
    with pytest.raises(InputError, match=words):
        use(cd.digits())


def test_an_unknown_field_is_pythons_own_error():
    with pytest.raises(TypeError, match="ipcc"):
        cd.DC(ipcc=1)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("`real_rows` must be 1", "--real-rows must be 1"),
        ("give `init=noise`, or `ipc=3`", "give --init noise, or --ipc 3"),
        ("take `compare=False`", "take --no-compare"),
        ("`clamp=True` is for images", "--clamp is for images"),
        ("`net.width` and `channels=(4, 4)`", "--net.width and --channels 4 4"),
        ("a file named `X Y`", "a file named `X Y`"),
    ],
)
def test_messages_name_fields_and_the_command_line_flags(message, said):
    assert flags(message) == said
