"""The lists that laws run over: a new part joins by adding its name here."""

from condensery import augment, distances, objectives, protocols
from condensery.decoders import Bound, Learnable, MultiScale, Pixels, Uniform
from condensery.net import Net
from condensery.randomness import global_rng, rng
from condensery.recipes import DC, DSA, IDC, Forgetting, Herding, KCenter, Random
from condensery.synthetic import noise, random_real

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 11, 9), (3, 13, 16)]

NETS = {
    **{f"convnet {norm}": Net(width=4, depth=2, norm=norm) for norm in ("instance", "batch", "layer", "group", "none")},
    **{f"convnet {a}": Net(width=4, depth=2, activation=a) for a in ("leaky_relu", "sigmoid", "swish")},
    **{f"convnet {pooling} pooling": Net(width=4, depth=2, pooling=pooling) for pooling in ("max", "none")},
    "convnet depth 3": Net(width=4, depth=3, norm="layer"),
    "convnet wide": Net(width=33, depth=2),  # wide enough for Winograd's products
    "mlp": Net("mlp", width=6),
}

DISTANCES = {
    name: getattr(distances, name) for name in ("layerwise_cosine", "cosine", "squared_euclidean", "mse", "l1")
}

MATCHES = {name: getattr(objectives, name) for name in ("weights", "convolutions", "everything")}

OBJECTIVES = {"gradient": objectives.GradientMatching}


def seeded(kind, *arguments, **more):
    """A decoder whose weights are always the same."""
    with global_rng(rng(0, "decoder")):
        return kind(*arguments, **more)


# a function of (channels, stored images a class)
DECODERS = {
    "pixels": lambda channels, ipc: Pixels(),
    "uniform 1": lambda channels, ipc: Uniform(1),
    "uniform 2": lambda channels, ipc: Uniform(2),
    "uniform 3": lambda channels, ipc: Uniform(3),
    "uniform along width": lambda channels, ipc: Uniform((1, 2), pad=0.0),
    "multi-scale": lambda channels, ipc: MultiScale(2),
    "learnable": lambda channels, ipc: seeded(Learnable, 2, channels, width=4),
    "bound": lambda channels, ipc: Bound([2] * (ipc // 2) + [1] * (ipc - ipc // 2)),
}

OPERATIONS = {
    "colour": augment.Colour(),
    "lighting": augment.Lighting(),
    "flip": augment.Flip(),
    "crop": augment.Crop(),
    "scale": augment.Scale(),
    "rotate": augment.Rotate(),
    "resized crop": augment.ResizedCrop(),
    "cutout": augment.Cutout(),
}

PROTOCOLS = {
    name: getattr(protocols, name.replace("-", "_"))
    for name in ("dc2021", "dsa2021", "idc2022", "imagenet2022", "fixed-steps", "whole")
}

INITIAL_VALUES = {"noise": noise, "random_real": random_real}

TINY = Net(width=4, depth=2)

LEARNED = {
    "dc 1": DC(ipc=1, outer_steps=6, real_rows=6, net=TINY),
    "dc 2": DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, init="real", net=TINY),
    "dc batch norm": DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, net=Net(width=4, depth=2, norm="batch")),
    "dc clamped": DC(ipc=1, outer_steps=6, real_rows=6, lr=5.0, clamp=True, net=TINY),
    "dsa 2": DSA(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, lr=0.1, net=TINY),
    **{
        f"idc {name}": IDC(
            **{
                "ipc": 2,
                "outer_steps": 2,
                "inner_steps": 2,
                "real_rows": 16,
                "network_rows": 20,
                "lr": 0.05,
                "base_size": 8,
                "net": TINY,
                **fields,
            }
        )
        for name, fields in {
            "1": {"factor": 1},
            "2": {},
            "l1": {"distance": "l1", "lr": 1e-3, "augment": "color_crop", "cutmix": 0.0},
            "adam": {"optimizer": "adam", "lr": 0.02, "augment": "none"},
            "along width": {"formation": "along-width"},
            "multi-scale": {"formation": "multi-scale"},
            "learnable": {"formation": "learnable", "optimizer": "adam", "lr": 0.02},
            "bound": {"formation": "bound", "factor": 3},
            "early": {"early_epochs": 1, "real_rows": 128},
            "pool": {"early_epochs": 1, "pool": 1, "real_rows": 128},
        }.items()
    },
    "dc mlp": DC(
        ipc=1, outer_steps=6, real_rows=6, distance="cosine", match="everything", lr=1.0, net=Net("mlp", width=6)
    ),
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
