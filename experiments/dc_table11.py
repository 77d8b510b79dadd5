"""DC, table T11: distances between gradients; MNIST, 1 image per class, condensed and measured in one architecture.

    python experiments/dc_table11.py --data-dir DIR [--scale gpu]

Euclidean and cosine distances are those of all parameters joined to one vector, as in the released program; "ours" is
the layer-wise cosine of weights, under which an MLP takes a tenth of the learning rate, as in the paper.

Cost at `cpu` scale on 2 cores: 5 to 15 minutes for each of 15 cells, 2 hours in all; ResNet-18 is run at the scale
`gpu` only. The paper: 5 sets x 20 networks. Here: 1 set x 3 networks, of `dc:quick`. Cells that are in the results file
are skipped.
"""

from collections.abc import Callable

from grid import Cell, fill
from record import program

from condensery import Recipe

NETS = ("mlp", "convnet", "lenet", "alexnet", "vgg11", "resnet18")
PAPER = {
    "squared_euclidean": ("69.3 ± 0.9", "92.7 ± 0.3", "65.0 ± 5.1", "66.2 ± 5.6", "57.1 ± 7.0", "68.0 ± 5.2"),
    "cosine": ("45.2 ± 3.6", "69.2 ± 2.7", "61.1 ± 8.2", "58.3 ± 4.1", "55.0 ± 5.0", "68.8 ± 7.8"),
    "layerwise_cosine": ("70.5 ± 1.2", "91.7 ± 0.5", "85.0 ± 1.7", "82.7 ± 2.9", "81.7 ± 2.6", "89.4 ± 0.9"),
}
ABOUT = "DC, table T11: MNIST, 1 image per class, condensed and measured in one architecture; test accuracy"


def recipe(distance: str, net: str) -> Callable[[Recipe], Recipe] | None:
    """DC with a distance, in a network."""
    ours = distance == "layerwise_cosine"
    if ours and net == "convnet":
        return None  # the usual recipe

    def made(usual: Recipe) -> Recipe:
        slow = {"lr": vars(usual)["lr"] / 10} if ours and net == "mlp" else {}
        return usual.having(net=net, distance=distance, match="weights" if ours else "everything", **slow)

    return made


CELLS = [
    Cell("MNIST", 1, "dc", "dc2021", net=net, recipe=made, variant=f"{distance} {net}" if made else "", paper=figure,
         repeats=3, gpu=net == "resnet18", more={"distance": distance})
    for distance, figures in PAPER.items() for net, figure in zip(NETS, figures, strict=True)
    for made in [recipe(distance, net)]
]  # fmt: skip

if __name__ == "__main__":
    program(lambda: fill("dc_table11", ABOUT, CELLS, __doc__))
