"""IDC's table 10 with the quick presets: DM, DSA, IDC and KFS on FashionMNIST, MNIST and digits, 1 image per class.

    python experiments/idc_table10.py --data-dir DIR

Every set is measured under three protocols, since each paper has its own and they cannot be compared. On 2 CPU cores,
about 15 minutes to condense a set, and 10 to measure it (digits: 2 and 1). Runs resume from `runs/idc_table10/`;
cells that are in the results file are skipped.

A cell has 1 set (random: 5) and 5 networks. The papers: DSA 5 sets x 20 networks, IDC 3 repetitions. The test part is
read once per network, after the last epoch; the presets were chosen on a tenth of FashionMNIST's training part
(docs/numbers.md).
"""

import argparse
from pathlib import Path

from record import Table, condensed, evaluate, kept, parsed, program, read

from condensery.data import digits, fashion_mnist, mnist
from condensery.evaluation.protocols import dc2021, dsa2021, idc2022, kfs2022
from condensery.recipes import DM, DSA, IDC, KFS, Random

READERS = {"FashionMNIST": fashion_mnist, "MNIST": mnist, "digits": lambda folder: digits()}
METHODS = {
    "dsa": DSA.quick(), "dm": DM.quick(), "idc-i": IDC.quick(factor=1), "idc": IDC.quick(), "kfs": KFS.quick()
}  # fmt: skip
PROTOCOLS = {"dc2021": dc2021, "dsa2021": dsa2021, "idc2022": idc2022, "kfs2022": kfs2022}
PAPER = {  # each under its paper's protocol
    ("FashionMNIST", "dsa", "dsa2021"): "70.6 ± 0.6",
    ("FashionMNIST", "dm", "dsa2021"): "70.0",
    ("FashionMNIST", "idc-i", "idc2022"): "70.7",
    ("FashionMNIST", "idc", "idc2022"): "81.0",
    ("MNIST", "dsa", "dsa2021"): "88.7 ± 0.6",
    ("MNIST", "dm", "dsa2021"): "89.7",
    ("MNIST", "idc-i", "idc2022"): "88.9",
    ("MNIST", "idc", "idc2022"): "94.2",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="holds FashionMNIST/ and MNIST/; digits need none")
    parser.add_argument("--data", nargs="+", default=list(READERS), choices=list(READERS))
    parser.add_argument("--methods", nargs="+", default=["idc", "dsa", "idc-i", "random"],
                        choices=["random", *METHODS])  # fmt: skip
    parser.add_argument("--protocols", nargs="+", default=["dc2021", "dsa2021", "idc2022"], choices=list(PROTOCOLS))
    given = parsed(parser, data=["digits"], methods=["random", *METHODS], protocols=list(PROTOCOLS))
    table = Table("idc_table10", "DM, DSA, IDC and KFS, 1 image per class: ConvNet-3, width 128; test accuracy")
    for name in given.data:
        data = read(READERS[name], given.data_dir)
        for method in given.methods:
            todo = [p for p in given.protocols if not table.has(dataset=name, method=method, protocol_name=p)]
            if not todo:
                continue
            if method == "random":
                sets = [condensed(Random(1, seed=seed), data)[0] for seed in range(5)]
                recipe, seconds, at = {"name": "random", "ipc": 1, "seeds": list(range(5))}, 0.0, ""
            else:
                made = kept(METHODS[method], data, table.runs / f"{name}-{method}")
                sets, recipe = [made.condensed], {**METHODS[method].record(), "name": method}
                seconds, at = made.seconds, made.commit
            for protocol in todo:
                reached = evaluate(sets, data, protocol=PROTOCOLS[protocol], repeats=5 // len(sets))
                table.add(
                    data, reached, recipe, seconds, at, dataset=name, ipc=1, method=method, protocol_name=protocol,
                    floats=sets[0].floats, paper=PAPER.get((name, method, protocol)),
                )  # fmt: skip


if __name__ == "__main__":
    program(main)
