"""Networks: one family a file, all with `features`, `embed` and `forward`; `Point`, a place in weight space."""

from condensery.networks.build import build
from condensery.networks.convnet import ConvNet
from condensery.networks.mlp import MLP
from condensery.networks.network import Network, Point, initial, operations, outputs, rows_at_once
from condensery.networks.passes import Passes, chunked, evenly, jointly, passes

__all__ = [
    "MLP",
    "ConvNet",
    "Network",
    "Passes",
    "Point",
    "build",
    "chunked",
    "evenly",
    "initial",
    "jointly",
    "operations",
    "outputs",
    "passes",
    "rows_at_once",
]
