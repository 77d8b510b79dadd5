"""MDC, table 7: the feature distance of every subset at the choices of a run, and by how much it changes.

    python experiments/mdc_table7.py --data-dir DIR

The paper: IDC on CIFAR-10, 10 images per class, without the subset loss, at the first and at the 50th restart. Here:
the scores that the run `mdc` of mdc_table1.py on FashionMNIST wrote (`metrics.jsonl`), so with the loss of the chosen
subset. The paper sums over the steps of a restart, and here it is a mean over the last steps before a choice: only
ratios can be compared. The run is condensed if it is not there (6 minutes on 2 cores); reading it takes no time.
"""

import json
from statistics import fmean

from mdc_table1 import VARIANTS
from record import Table, compiled, kept, options, parsed, program, read

from condensery.data import fashion_mnist

PAPER = {
    1: (3012, 1678, 1249, 1013, 896, 807, 738, 701, 675),
    50: (2596, 1294, 891, 661, 514, 429, 373, 332, 298),
}
"""The distances of the first 1 to 9 images, by the restart."""


def main() -> None:
    given = parsed(options(__doc__))
    table = Table("mdc_table7", "MDC, table 7: feature distance of the subsets of a run, mean over classes")
    data = read(fashion_mnist, given.data_dir)
    run = table.runs.with_name("mdc_table1") / data.name / "mdc"
    with compiled():
        made = kept(VARIANTS["mdc"], data, run)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "scores" in line and not table.has(step=line["step"]):
            scores = [fmean(of_class) for of_class in zip(*line["scores"], strict=True)]
            distances = {f"first {n}": score for n, score in enumerate(scores, 1)}
            table.note(data, distances, made.condensed.recipe, step=line["step"], subset=line["subset"])


if __name__ == "__main__":
    program(main)
