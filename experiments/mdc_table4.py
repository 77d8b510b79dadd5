"""MDC, table 4: the sets of mdc_table1.py, condensed in a ConvNet, measured in a ResNet and in a DenseNet.

    python experiments/mdc_table4.py --data-dir DIR [--methods C mdc] [--nets resnet10]

FashionMNIST, up to 10 images per class, at sizes 1, 2, 5 and 10, under `fixed-steps` in bfloat16. The paper: CIFAR-10;
it does not say which ResNet and DenseNet it took, here they are ResNet-10 and DenseNet-121, those of IDC. Sets are the
runs of mdc_table1.py, and are condensed if they are not there. Cost on 2 cores, if they are: 10 minutes for each of 16
cells of ResNet-10; DenseNet-121 takes longer and is measured only if `--nets` asks for it. 1 set x 1 network. Cells
that are in the results file are skipped.
"""

import torch
from mdc_table1 import SIZES, sets
from record import Table, compiled, evaluate, options, parsed, program, read

from condensery.data import fashion_mnist
from condensery.evaluation import protocols
from condensery.networks.names import NETWORKS

METHODS, NETS = ("A", "B", "C", "mdc"), ("resnet10", "densenet121")
PAPER = {  # at sizes 1, 2, 5 and 10
    ("resnet10", "A"): (41.6, 49.6, 57.9, 63.7), ("resnet10", "B"): (41.2, 47.0, 53.3, 55.8),
    ("resnet10", "C"): (25.5, 34.0, 53.0, 63.7), ("resnet10", "mdc"): (39.3, 47.3, 54.9, 62.7),
    ("densenet121", "A"): (39.8, 49.3, 56.6, 62.5), ("densenet121", "B"): (41.0, 48.1, 54.8, 55.3),
    ("densenet121", "C"): (26.4, 35.4, 53.1, 62.5), ("densenet121", "mdc"): (38.5, 46.8, 54.6, 61.0),
}  # fmt: skip


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--nets", nargs="+", choices=NETS, default=NETS[:1])
    given = parsed(parser, methods=["C", "mdc"])
    table = Table("mdc_table4", "MDC, table 4: FashionMNIST, up to 10 images per class, measured in other networks")
    data = read(fashion_mnist, given.data_dir)
    for method in given.methods:
        cells = [(net, size) for net in given.nets for size in SIZES]
        todo = [cell for cell in cells if not table.has(method=method, net=cell[0], size=cell[1])]
        if not todo:
            continue
        with compiled():
            found = list(sets(method, data, table.runs.with_name("mdc_table1") / data.name))
        for size, condensed, recipe, seconds, at in found:
            for net in [net for net, of in todo if of == size]:
                reached = evaluate(condensed, data, NETWORKS[net], protocols.fixed_steps, 1, torch.bfloat16)
                paper = PAPER[net, method][SIZES.index(size)]
                table.add(
                    data, reached, recipe.record(), seconds, at, method=method, net=net, size=size,
                    floats=condensed.floats, paper=paper,
                )  # fmt: skip


if __name__ == "__main__":
    program(main)
