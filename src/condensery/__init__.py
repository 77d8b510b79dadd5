"""Condensery: learn a tiny synthetic training set, prove how good it is, use it.

    import condensery as cd

    data = cd.digits()
    small = cd.condense(cd.DC(ipc=1, init="real", outer_steps=100), data.train)
    print(cd.evaluate(small, data))

Names load on first use, so that importing the package does not import torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

from condensery import recipes
from condensery.console import speak

_HOME = {
    "condensery.artifact": ("Condensed", "load", "save"),
    "condensery.algorithm": ("Step",),
    "condensery.data": (
        "Batch", "Data", "RealSet", "TestSet", "digits", "fashion_mnist", "from_arrays", "from_dataset",
        "image_folder", "mnist", "npz", "usps",
    ),
    "condensery.errors": ("InputError", "RunError"),
    "condensery.evaluation": ("Accuracy", "Comparison", "compare", "evaluate", "evaluate_whole"),
    "condensery.memory": ("tune_allocator",),
    "condensery.net": ("Net",),
    "condensery.planning": ("Plan", "plan"),
    "condensery.protocols": ("dc2021", "dsa2021", "fixed_steps", "idc2022", "imagenet2022", "kfs2022", "whole"),
    "condensery.recipes": tuple(recipes.__all__),
    "condensery.running": ("condense", "run"),
    "condensery.synthetic": ("SyntheticSet",),
}  # fmt: skip
_HOME_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


speak()


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'condensery' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
