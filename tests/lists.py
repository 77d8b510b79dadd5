"""The lists that laws run over: a new part joins by adding its name here."""

import torch
from torch import nn

import condensery as cd
from condensery import augment, objectives
from condensery.algorithms import samplers, schedules
from condensery.decoders import Bound, Encoder, Factorized, Learnable, MultiScale, Pixels, Uniform
from condensery.evaluation import protocols
from condensery.evaluation.training import Training
from condensery.objectives import distances, means
from condensery.randomness import global_rng, rng
from condensery.synthetic import noise, random_real

SHAPES = [(1, 8, 8), (3, 8, 8), (1, 11, 9), (3, 13, 16)]


class Residual(nn.Module):
    """A user's own network: a small residual one with batch norm, and one parameter outside all layers."""

    def __init__(self, shape, classes, width=4):
        super().__init__()
        self.stem = nn.Conv2d(shape[0], width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.block = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.scale = nn.Parameter(torch.randn(width, 1, 1))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = x + self.scale * self.block(x)
        return self.head(x.relu().mean((2, 3)))


class Unused(Residual):
    """A user's own network with a layer that its forward pass leaves out."""

    def __init__(self, shape, classes, width=4):
        super().__init__(shape, classes, width)
        self.spare = nn.Conv2d(width, width, 3)


class Attention(nn.Module):
    """A user's own network whose patches attend to each other, by torch's fused attention."""

    def __init__(self, shape, classes, width=4):
        super().__init__()
        self.patches = nn.Conv2d(shape[0], width, 4, stride=4)
        self.mix = nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        queries, keys, values = self.mix(self.patches(x).flatten(2).mT)[:, None].chunk(3, 3)  # (n, 1 head, patches, w)
        return self.head(nn.functional.scaled_dot_product_attention(queries, keys, values).mean((1, 2)))


NETS = {
    "own": Residual,
    "own, attention": Attention,
    **{f"convnet {n}": cd.ConvNet(width=4, depth=2, norm=n) for n in ("instance", "batch", "layer", "group", "none")},
    **{f"convnet {a}": cd.ConvNet(width=4, depth=2, activation=a) for a in ("leaky_relu", "sigmoid", "swish")},
    **{f"convnet {pooling} pooling": cd.ConvNet(width=4, depth=2, pooling=pooling) for pooling in ("max", "none")},
    "convnet depth 3": cd.ConvNet(width=4, depth=3, norm="layer"),
    "convnet wide": cd.ConvNet(width=33, depth=2),  # wide enough for Winograd's products
    "mlp": cd.MLP(width=6),
    "lenet": cd.LeNet(),
    "alexnet": cd.AlexNet(width=4),
    "alexcifarnet": cd.AlexCifarNet(width=4),
    "vgg": cd.VGG(width=3),
    "resnet": cd.ResNet(depth=10, width=2),
    "resnet batch": cd.ResNet(depth=10, width=2, norm="batch"),
    "resnet ap": cd.ResNet(depth=10, width=2, downsampling="average", features="all", init="normal"),
    "densenet": cd.DenseNet(growth=2, blocks=(1, 2)),
    "efficientnet": cd.EfficientNet(width=0.25, depth=0.25),
}

DISTANCES = {
    name: getattr(distances, name) for name in ("layerwise_cosine", "cosine", "squared_euclidean", "mse", "l1")
}

MATCHES = {name: getattr(objectives, name) for name in ("weights", "convolutions", "everything")}

OBJECTIVES = {
    "gradient": objectives.GradientMatching,
    "distribution": objectives.DistributionMatching,
    "distribution, last layer": lambda *distance: objectives.DistributionMatching(*distance, mean=means.LastLayer(0.5)),
}

_HOW, _COLOR = Training(0.05, 0.9, batch_size=6), augment.Augmentation((augment.Color(),))

# a function of the network; each has twenty points
SCHEDULES = {
    "fresh": lambda net: schedules.Fresh(net, 20, seed=0),
    "trained on synthetic": lambda net: schedules.TrainedOnSynthetic(net, 4, 5, 2, _HOW, 0, _COLOR),
    "trained on real": lambda net: schedules.TrainedOnReal(net, 4, 5, 12, _HOW, 0, _COLOR, augment.CutMix(0.5)),
    "kept points": lambda net: schedules.KeptPoints(net, 20, networks=2, points=5, updates=6, how=_HOW, seed=0),
}

# a function of the number of classes
SAMPLERS = {
    "uniform": lambda classes: samplers.Uniform(6),
    "epochwise": lambda classes: samplers.Epochwise(6, inner=5, seed=0),
    "representative": lambda classes: samplers.Representative(6, 2, None, classes),
    "whole": lambda classes: samplers.Whole(),
}


def seeded(kind, *arguments, **more):
    """A decoder whose weights are always the same."""
    with global_rng(rng(0, "decoder")):
        return kind(*arguments, **more)


def factorized(shape, *arguments, **more):
    """Codes x decoders that can encode, with weights that are always the same."""
    decoder = seeded(Factorized, shape, *arguments, **more)
    return decoder.with_encoder(seeded(Encoder, shape, decoder.channels))


# a function of (shape of a row, bases per class)
DECODERS = {
    "pixels": lambda shape, ipc: Pixels(),
    "uniform 1": lambda shape, ipc: Uniform(1),
    "uniform 2": lambda shape, ipc: Uniform(2),
    "uniform 3": lambda shape, ipc: Uniform(3),
    "uniform along width": lambda shape, ipc: Uniform((1, 2), pad=0.0),
    "multi-scale": lambda shape, ipc: MultiScale(2),
    "learnable": lambda shape, ipc: seeded(Learnable, 2, shape[0], width=4),
    "bound": lambda shape, ipc: Bound([2] * (ipc // 2) + [1] * (ipc - ipc // 2)),
    "codes x decoders": lambda shape, ipc: factorized(shape, (4, 3), 3),
    "codes x decoders, three layers": lambda shape, ipc: factorized(shape, (4, 3, 2), 2),
    "codes x decoders, kernel 4": lambda shape, ipc: factorized(shape, (4, 3), 2, 4, "leaky_relu"),
    "codes x decoders with styles": lambda shape, ipc: factorized(shape, (3,), 2, styles=True),
}

OPERATIONS = {
    "color": augment.Color(),
    "jitter": augment.Jitter(),
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
    for name in (
        "dc2021",
        "dsa2021",
        "idc2022",
        "idc2022-equal-steps",
        "imagenet2022",
        "kfs2022",
        "fixed-steps",
        "whole",
    )
}

INITIAL_VALUES = {"noise": noise, "random_real": random_real}

TINY = cd.ConvNet(width=4, depth=2)

LEARNED = {
    "dc 1": cd.DC(ipc=1, outer_steps=6, real_rows=6, net=TINY),
    "dc 2": cd.DC(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, init="real", net=TINY),
    "dc batch norm": cd.DC(
        ipc=2, outer_steps=3, network_epochs=2, real_rows=6, net=cd.ConvNet(width=4, depth=2, norm="batch")
    ),
    "dc clamped": cd.DC(ipc=1, outer_steps=6, real_rows=6, lr=5.0, clamp=True, net=TINY),
    "dc soft labels": cd.DC(
        ipc=3,
        outer_steps=3,
        network_epochs=1,
        real_rows=6,
        net=TINY,
        learn="both",
    ),
    "ld": cd.DC(
        ipc=2, init="real", outer_steps=3, network_epochs=0, real_rows=6, net=TINY, learn="labels", labels_lr=10.0
    ),
    "dsa 2": cd.DSA(ipc=2, outer_steps=3, network_epochs=2, real_rows=6, lr=0.1, net=TINY),
    **{
        f"idc {name}": cd.IDC(
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
            "adam": {"optimizer": "adam", "lr": 0.02, "augment": "none", "drops": (2,)},
            "along width": {"formation": "along-width"},
            "multi-scale": {"formation": "multi-scale"},
            "learnable": {"formation": "learnable", "optimizer": "adam", "lr": 0.02},
            "bound": {"formation": "bound", "factor": 3},
            "early": {"early_epochs": 1, "real_rows": 128},
            "pool": {"early_epochs": 1, "pool": 1, "real_rows": 128},
        }.items()
    },
    **{
        f"dm {name}": cd.DM(**{"ipc": 2, "steps": 6, "real_rows": 6, "net": TINY, **fields})
        for name, fields in {
            "2": {},
            "multi-formation": {"factor": 2, "lr": 0.1},
        }.items()
    },
    **{
        f"kfs {name}": cd.KFS(
            **{"channels": (3,), "decoders": 3, "pretraining": 5, "steps": 6, "net": TINY, "ipc": 1, **fields}
        )
        for name, fields in {
            "whole": {},
            "strict": {"strict": True, "ipc": 3, "real_rows": 6, "augment": "dsa", "part": 4},
            "seeds": {"diversity": "seeds", "networks": 2, "drops": (2, 4), "init": "noise"},
            "styles": {"diversity": "styles", "activation": "relu", "kernel": 4, "augment": "dsa"},
            "by rule": {"channels": None, "strict": True, "ipc": 3, "decoders": None, "init": "noise"},
        }.items()
    },
    "dc own": cd.DC(ipc=2, init="real", outer_steps=3, network_epochs=2, real_rows=6, net=Residual),
    "dm own": cd.DM(ipc=2, steps=6, real_rows=6, net=Residual),
    "dc mlp": cd.DC(
        ipc=1, outer_steps=6, real_rows=6, distance="cosine", match="everything", lr=1.0, net=cd.MLP(width=6)
    ),
    "idc own": cd.IDC(
        ipc=2, outer_steps=2, inner_steps=2, real_rows=6, network_rows=20, lr=0.05, base_size=8, net=Unused
    ),
}

_ROUNDS = {"rounds": 5, "unrolled_updates": 3, "network_pool": 2, "lifetime": 6, "minibatch": 4, "outer_rows": 3}
_SEVERAL = {"ipc": 3, "outer_steps": 4, "inner_steps": 3}
WRAPPED = {
    "mdc of dc": cd.MDC(LEARNED["dc 2"].having(ipc=3, outer_steps=4), fraction=0.3, class_wise=True),
    "mdc of dc with labels": cd.MDC(LEARNED["dc soft labels"], fraction=0.3, metric="gradients"),
    "mdc of dsa": cd.MDC(LEARNED["dsa 2"].having(ipc=3), period=1, window=1),
    "mdc of idc": cd.MDC(LEARNED["idc 2"].having(**_SEVERAL), period=1, window=2),
    "mdc of dm": cd.MDC(LEARNED["dm 2"].having(ipc=3), fraction=0.2, metric="gradients", window=1),
    "mdc of kfs": cd.MDC(LEARNED["kfs whole"].having(ipc=2), fraction=0.3, metric="accuracy"),
    "dream of dc": cd.DREAM(LEARNED["dc 2"], cluster_every=2),
    "dream of idc": cd.DREAM(LEARNED["idc 2"].having(real_rows=6), cluster_every=1),
    "dream of some idc": cd.DREAM(
        LEARNED["idc 2"].having(real_rows=6), cluster_every=2, candidates=12, cluster_init=False
    ),
    "mdc of dream of idc": cd.MDC(cd.DREAM(LEARNED["idc 2"].having(real_rows=6, **_SEVERAL)), period=1, window=2),
    "compact of kfs": cd.Compact(LEARNED["kfs strict"]),
    "compact of idc": cd.Compact(LEARNED["idc learnable"], format="float16", share=1.0),
    "compact of dc with labels": cd.Compact(LEARNED["dc soft labels"], share=0.6),
    "mdc of compact of idc": cd.MDC(cd.Compact(LEARNED["idc 2"].having(real_rows=6, **_SEVERAL)), period=1, window=2),
    "anchor of kfs": cd.Anchor(LEARNED["kfs whole"], trained_networks=2, points=5, updates=3),
    "anchor of dm": cd.Anchor(LEARNED["dm 2"], trained_networks=1, points=2, updates=3, mean_rows=6),
    "mdc of anchor of kfs": cd.MDC(
        cd.Anchor(LEARNED["kfs whole"].having(ipc=2), trained_networks=1, points=2, updates=3), fraction=0.3, window=1
    ),
    "unrolled of kfs": cd.Unrolled(LEARNED["kfs whole"], augmented=0.5, **_ROUNDS),
    "unrolled of anchor of kfs": cd.Unrolled(
        cd.Anchor(LEARNED["kfs whole"], trained_networks=1, points=2, updates=3), **_ROUNDS
    ),
    "unrolled of compact of kfs": cd.Unrolled(cd.Compact(LEARNED["kfs strict"]), **_ROUNDS),
    "unrolled of dc batch norm": cd.Unrolled(LEARNED["dc batch norm"], **_ROUNDS),
    "unrolled of dc with labels": cd.Unrolled(LEARNED["dc soft labels"], **_ROUNDS),
    "unrolled of idc": cd.Unrolled(LEARNED["idc learnable"], **_ROUNDS),
    "mdc of dream of kfs": cd.MDC(cd.DREAM(LEARNED["kfs strict"]), fraction=0.3, window=1),
}

CHOSEN = {
    "random": cd.Random(ipc=2, net=TINY),
    "herding": cd.Herding(ipc=2, feature_epochs=1, net=TINY),
    "k-center": cd.KCenter(ipc=2, feature_epochs=1, net=TINY),
    "forgetting": cd.Forgetting(ipc=2, epochs=2, net=TINY),
}

RECIPES = LEARNED | WRAPPED | CHOSEN


def over(table):
    """`pytest.mark.parametrize` over a list of this file."""
    import pytest

    return pytest.mark.parametrize("part", list(table.values()), ids=list(table))
