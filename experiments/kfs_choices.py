"""The choices that KFS's paper leaves open, tried on a held-out tenth of FashionMNIST's training part.

    python experiments/kfs_choices.py --data-dir DIR [--questions diversity codes ...]      # 2 minutes for each case

1 image per class in floats, decoders counted; ConvNet of width 64 to match in and to measure with, both in bfloat16;
1000 steps of pre-training, 150 of matching; 1 set x 3 networks under `fixed-steps` but for the question of the
evaluation's augmentation (`kfs2022`). Every question changes one thing of the same base. Cells that are in the
results file are skipped.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from record import Table, compiled, condensed, evaluate, options, parsed, program, read

from condensery import Condensed
from condensery.augment import CutMix
from condensery.data import Data, fashion_mnist
from condensery.decoders import Factorized
from condensery.evaluation import protocols
from condensery.evaluation.protocols import Protocol, ProtocolFor
from condensery.networks.convnet import ConvNet
from condensery.networks.net import Architecture
from condensery.recipes import KFS
from condensery.synthetic import SyntheticSet

REPEATS, NET = 3, ConvNet(width=64)
BF16: dict[str, Any] = {"real_dtype": "bfloat16", "synthetic_dtype": "bfloat16"}
BASE = replace(KFS.quick(), channels=(6, 5, 4), steps=150, net=NET, **BF16)
QUESTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "diversity": {
        "none": {"diversity": "none"},
        "noise 0.1": {"diversity": "noise", "noise": 0.1},
        "noise 0.3": {"diversity": "noise", "noise": 0.3},
        "noise 0.5": {"diversity": "noise", "noise": 0.5},
        "noise 1.0": {"diversity": "noise", "noise": 1.0},
        "seeds": {"diversity": "seeds"},
        "styles 0.5": {"diversity": "styles", "noise": 0.5},
    },
    "pretraining": {str(n): {"pretraining": n} for n in (100, 300, 1000, 2000)},
    "encoder": {str(n): {"encoder_width": n} for n in (1, 4, 8)},
    "codes": {"real": {"init": "real"}, "noise": {"init": "noise"}},
    "activation": {name: {"activation": name} for name in ("none", "relu", "leaky_relu")},
    "matching": {"none": {"augment": "none"}, "dsa": {"augment": "dsa"}},
    "decoders": {"8": {}} | {str(n): {"decoders": n} for n in (1, 2, 4, 16)},
    "shape": {
        "6-5-4": {},
        "5-4-3": {"channels": (5, 4, 3)},
        "4-4-4": {"channels": (4, 4, 4)},
        "4-3-2": {"channels": (4, 3, 2)},
        "3-3-3": {"channels": (3, 3, 3)},
        "3-4-5": {"channels": (3, 4, 5)},
        "2-4-4": {"channels": (2, 4, 4)},
        "6-5-4, kernel 4, 2 decoders": {"kernel": 4, "decoders": 2},
        "2-2, two layers (7 x 7)": {"channels": (2, 2)},
    },
    "rows": {"16": {"real_rows": 16}, "64": {"real_rows": 64}, "256": {"real_rows": 256}, "1024": {"real_rows": 1024}},
    "rates": {
        "0.1, 0.01": {},
        "0.05, 0.005": {"codes_lr": 0.05, "decoders_lr": 0.005},
        "0.03, 0.003": {"codes_lr": 0.03, "decoders_lr": 0.003},
        "0.1, 0.03": {"decoders_lr": 0.03},
        "0.1, 0.01, two drops": {"drops": (90, 120)},
    },
}


def diversity(synthetic: SyntheticSet) -> float:
    """The mean distance between the rows of one code by two decoders, divided by that of two codes by one decoder."""
    assert isinstance(synthetic.decoder, Factorized)
    decoders = synthetic.decoder.decoders
    with torch.no_grad():
        rows = synthetic().x.flatten(2).unflatten(1, (-1, decoders))
    across = torch.cdist(rows, rows).sum((2, 3)).mean() / max(decoders * (decoders - 1), 1)
    codes = rows.transpose(1, 2)
    return float(
        across / (torch.cdist(codes, codes).sum((2, 3)).mean() / max(codes.shape[2] * (codes.shape[2] - 1), 1))
    )


def cases(chosen: list[str]) -> Iterator[tuple[str, str, KFS]]:
    for question in chosen:
        for name, fields in QUESTIONS[question].items():
            yield question, name, replace(BASE, **fields)


def augmented(name: str, like: ProtocolFor, mix: CutMix | None = None) -> ProtocolFor:
    """KFS's evaluation with the augmentation of another protocol, which its paper may have used and does not name."""

    def protocol(data: Data, condensed: Condensed | None = None, net: Architecture | None = None) -> Protocol:
        rules = protocols.kfs2022(data, condensed, net)
        return replace(rules, name=f"kfs2022 + {name}", augment=like(data, condensed, net).augment, mix=mix)

    return protocol


EVALUATIONS: dict[str, ProtocolFor] = {
    "none": protocols.kfs2022,
    "dsa": augmented("dsa", protocols.dsa2021),
    "idc": augmented("idc", protocols.idc2022),
    "idc, cutmix": augmented("idc, cutmix", protocols.idc2022, CutMix(0.5)),
}


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--questions", nargs="+", choices=[*QUESTIONS, "evaluation"], default=list(QUESTIONS))
    given = parsed(parser, questions=[*QUESTIONS, "evaluation"])
    with compiled():
        answer(given.data_dir, given.questions)


def answer(folder: Path | None, questions: list[str]) -> None:
    table = Table("kfs_choices", "KFS's open questions; FashionMNIST, validation part of train; width 64")
    data = read(fashion_mnist, folder).validation()
    for question, name, recipe in cases([q for q in questions if q in QUESTIONS]):
        fields, cell = recipe.record(), {"question": question, "case": name}
        if table.has(**cell) or table.again(fields, "fixed-steps, trained in bfloat16", **cell):
            continue
        made, seconds = condensed(recipe, data)
        reached = evaluate(made, data, NET, protocols.fixed_steps, REPEATS, torch.bfloat16)
        table.add(
            data, reached, fields, seconds, **cell,
            codes=made.bases_per_class, floats=made.floats, diversity=round(diversity(made.synthetic), 3),
        )  # fmt: skip
    if "evaluation" in questions:
        todo = [name for name in EVALUATIONS if not table.has(question="evaluation", case=name)]
        if todo:
            made, seconds = condensed(BASE, data)
        for name in todo:
            reached = evaluate(made, data, NET, EVALUATIONS[name], REPEATS, torch.bfloat16)
            table.add(data, reached, BASE.record(), seconds, question="evaluation", case=name)


if __name__ == "__main__":
    program(main)
