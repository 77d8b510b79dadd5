"""The lists that laws run over: a new part joins by adding its name here."""

from condensery import distances, objectives
from condensery.decoders import Pixels
from condensery.net import Net
from condensery.recipes import DC, Forgetting, Herding, KCenter, Random
from condensery.synthetic import noise, random_real

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 11, 9), (3, 13, 16)]

NETS = {
    **{f"convnet {norm}": Net(width=4, depth=2, norm=norm) for norm in ("instance", "batch", "layer", "group", "none")},
    **{f"convnet {a}": Net(width=4, depth=2, activation=a) for a in ("leaky_relu", "sigmoid", "swish")},
    **{f"convnet {pooling}": Net(width=4, depth=2, pooling=pooling) for pooling in ("max", "none")},
    "convnet depth 3": Net(width=4, depth=3, norm="layer"),
    "mlp": Net("mlp", width=6),
}

DISTANCES = {
    name: getattr(distances, name) for name in ("layerwise_cosine", "cosine", "squared_euclidean", "mse", "l1")
}

MATCHES = {name: getattr(objectives, name) for name in ("weights", "convolutions", "everything")}

OBJECTIVES = {"gradient": objectives.GradientMatching}

DECODERS = {"pixels": Pixels}

INITIAL_VALUES = {"noise": noise, "random_real": random_real}

TINY = Net(width=4, depth=2)

LEARNED = {
    "dc 1": DC(ipc=1, outer_steps=6, real_rows=6, net=TINY),
    "dc 2": DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, init="real", net=TINY),
    "dc batch norm": DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, net=Net(width=4, depth=2, norm="batch")),
    "dc clamped": DC(ipc=1, outer_steps=6, real_rows=6, lr=5.0, clamp=True, net=TINY),
    "dc mlp": DC(ipc=1, outer_steps=6, real_rows=6, distance="cosine", match="everything", net=Net("mlp", width=6)),
}

CHOSEN = {
    "random": Random(ipc=2, net=TINY),
    "herding": Herding(ipc=2, feature_epochs=1, net=TINY),
    "k-center": KCenter(ipc=2, feature_epochs=1, net=TINY),
    "forgetting": Forgetting(ipc=2, epochs=2, net=TINY),
}

RECIPES = LEARNED | CHOSEN


def over(table):
    """`pytest.mark.parametrize` over a list of this file."""
    import pytest

    return pytest.mark.parametrize("part", list(table.values()), ids=list(table))
