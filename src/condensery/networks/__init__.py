"""Networks: one family a file, all with `features`, `embed` and `forward`; `Point`, a place in weight space."""

from condensery.networks.build import build
from condensery.networks.convnet import ConvNet
from condensery.networks.mlp import MLP
from condensery.networks.network import Network, Point, initial, rows_at_once

__all__ = ["MLP", "ConvNet", "Network", "Point", "build", "initial", "rows_at_once"]
