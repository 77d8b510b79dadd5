"""What is known of a data set besides its rows: constants, flips, and what protocols make of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from condensery import data as readers
from condensery.augment import Flip
from condensery.data import RealSet, digits, from_arrays
from condensery.data.facts import FACTS, Facts
from condensery.errors import InputError
from condensery.evaluation.protocols import dc2021, dsa2021, idc2022


def arrays(channels, facts=Facts()):
    shape = (6, channels, 8, 8)
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return from_arrays(x, [0, 0, 0, 1, 1, 1], x, [0, 0, 0, 1, 1, 1], facts=facts)


@pytest.mark.parametrize("name", [name for name, facts in FACTS.items() if facts.mean])
def test_known_data_are_normalized_by_published_constants(name):
    data = arrays(len(FACTS[name].mean), FACTS[name])
    assert (data.mean, data.std) == (FACTS[name].mean, FACTS[name].std)
    x = data.train.images[:1].double() / 255
    mean, std = (torch.tensor(c, dtype=torch.float64).view(-1, 1, 1) for c in (data.mean, data.std))
    assert torch.allclose(data.train.read(slice(1)).double(), (x - mean) / std, atol=1e-5)
    assert data.test.space == data.train.space


def test_other_data_are_measured():
    data = arrays(3)
    rows = torch.cat([data.train.read(slice(None))]).double()
    assert torch.allclose(rows.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-5)
    assert torch.allclose(rows.std((0, 2, 3), unbiased=False), torch.ones(3).double(), atol=1e-5)
    real = RealSet.measured(data.train.images, data.train.labels, 2)
    assert (real.space.mean, real.facts) == (data.mean, Facts())


def test_constants_are_those_of_the_channels():
    with pytest.raises(InputError, match="`mean` is"):
        Facts(mean=(0.5,))
    with pytest.raises(InputError, match="images of 3 channels, but the facts give means of 1"):
        arrays(3, Facts(mean=(0.5,), std=(0.2,)))


def test_every_reader_of_a_named_data_set_has_its_facts():
    named = {"mnist", "fashion_mnist", "usps", "svhn", "cifar10", "cifar100", "imagenet10", "imagenet100", "digits"}
    assert named <= set(readers.__all__)
    assert {name.replace("_", "") for name in named} == {name.lower() for name in FACTS} - {"speech"}
    assert digits().facts == FACTS["digits"]


@pytest.mark.parametrize("flip", [True, False])
def test_a_user_says_whether_images_may_be_flipped(flip):
    data = arrays(1).having(flip=flip)
    assert (Flip() in dsa2021(data).augment.one_of) == (Flip() in idc2022(data).augment.always) == flip
    assert dc2021(data).augment is None
    mnist = replace(data, train=data.train.with_facts(FACTS["MNIST"]))
    assert dc2021(mnist).augment
