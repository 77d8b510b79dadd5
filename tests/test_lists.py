"""The lists that the laws run over have every part of the library, so that no law misses one."""

import inspect

import lists

from condensery import decoders, objectives, recipes
from condensery.algorithms import samplers, schedules
from condensery.augment import operations
from condensery.cli.names import PROTOCOLS
from condensery.evaluation import protocols
from condensery.networks.names import FAMILIES
from condensery.objectives import AdaptiveSubset, Objective, Unrolling, distances
from condensery.recipes import Recipe, Warm, Wrapper


def kinds(module, of):
    """The public classes of a module that are `of` some kind and can be made."""
    named = (getattr(module, name) for name in module.__all__)
    return {kind for kind in named if inspect.isclass(kind) and issubclass(kind, of) and not inspect.isabstract(kind)}


def of_values(made):
    return {type(each) for each in made}


def test_networks():
    assert set(FAMILIES.values()) <= of_values(lists.NETS.values())


def test_decoders():
    assert kinds(decoders, decoders.Decoder) == of_values(part((1, 8, 8), 2) for part in lists.DECODERS.values())


def test_objectives():
    """Those around another objective, and those that are no statistic, have tests of their own."""
    made = of_values(part() for part in lists.OBJECTIVES.values())
    assert kinds(objectives, Objective) - {AdaptiveSubset, Unrolling} == made
    assert set(distances.__all__) - {"Distance"} == set(lists.DISTANCES)


def test_schedules_and_samplers():
    assert kinds(schedules, object) - {schedules.Schedule} == of_values(part(None) for part in lists.SCHEDULES.values())
    assert kinds(samplers, samplers.Sampler) == of_values(part(3) for part in lists.SAMPLERS.values())


def test_operations_of_augmentation():
    assert set(operations.__all__) - {"Operation"} == {type(part).__name__ for part in lists.OPERATIONS.values()}


def test_protocols():
    assert set(PROTOCOLS) - {"fixed-seconds"} == set(lists.PROTOCOLS)
    assert tuple(protocols.PROTOCOLS) == PROTOCOLS


def test_recipes():
    """All but the one that starts from a file."""
    found, left = set(), list(lists.RECIPES.values())
    while left:
        part = left.pop()
        found.add(type(part))
        left += [part.base] if isinstance(part, Wrapper) else []
    assert kinds(recipes, Recipe) - {Warm} == found
