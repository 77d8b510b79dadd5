"""Settings for training a network, searched on proxies: does the best on a small set do well on the whole one?

    python experiments/settings.py --data-dir DIR [--proxies random dm ...] [--engine local|ray] [--workers N]
        [--figures DIR]

24 settings of learning rate, momentum, weight decay and batch size, drawn at random by Optuna, for a ConvNet-3 of width
32 on FashionMNIST. Proxies, protocols and the part by which settings are chosen are those of `nas.py`. No published
figures. Estimated cost at `cpu` scale on 2 cores: 5 minutes for each proxy, and half an hour for the whole training
part. Sets are kept in `runs/settings/`, and so are trials, which only the same code uses again.
"""

from nas import EARLY, NET, drawn, options_of, search
from record import Table, program, smoke_run, write_figures

from condensery.applications import settings

PROXIES = ("random", "herding", "dm", "kfs", EARLY)
ABOUT = "Settings for training a ConvNet-3 of width 32 on FashionMNIST, ranked by training on proxies; test accuracy"


def of_rate(candidate: str) -> str:
    """The group of settings in the plots."""
    rate = float(candidate.split("lr ")[1].split(",")[0])
    return "learning rate below 0.01" if rate < 0.01 else "learning rate 0.01 and above"


def main() -> None:
    given, table = options_of(__doc__, PROXIES), Table("settings", ABOUT)
    search(table, given, settings(2 if smoke_run() else 24, NET))
    if given.figures:
        write_figures(drawn(table, of_rate), given.figures)


if __name__ == "__main__":
    program(main)
