"""Condensery: learn a tiny synthetic training set, prove how good it is, use it.

    import condensery as cd

    data = cd.digits()
    small = cd.condense(cd.DC(ipc=1, init="real", outer_steps=100), data.train)
    print(cd.evaluate(small, data))

Recipes are there at once; all other names load on first use, so that importing the package does not import torch.
"""

import importlib as _importlib
import typing as _typing

__version__ = "0.1.0"

from condensery import console as _console
from condensery.errors import InputError, RunError
from condensery.networks.alexnet import AlexCifarNet, AlexNet
from condensery.networks.convnet import ConvNet
from condensery.networks.densenet import DenseNet
from condensery.networks.efficientnet import EfficientNet
from condensery.networks.lenet import LeNet
from condensery.networks.mlp import MLP
from condensery.networks.net import Net
from condensery.networks.resnet import ResNet
from condensery.networks.vgg import VGG
from condensery.recipes import *  # noqa: F403
from condensery.recipes import __all__ as _recipes

if _typing.TYPE_CHECKING:  # what `__getattr__` finds when the program runs; a test compares the two
    from condensery import (
        algorithms,
        applications,
        augment,
        data,
        decoders,
        evaluation,
        exchange,
        kernels,
        networks,
        objectives,
        recipes,
        report,
        runs,
    )
    from condensery.algorithms.algorithm import Step
    from condensery.data import (
        Batch,
        Data,
        Facts,
        RealSet,
        TestSet,
        audio_folder,
        cifar10,
        cifar100,
        digits,
        fashion_mnist,
        from_arrays,
        from_dataset,
        hub,
        image_folder,
        imagenet10,
        imagenet100,
        mnist,
        npz,
        svhn,
        usps,
    )
    from condensery.evaluation.compare import Comparison, compare
    from condensery.evaluation.evaluate import Accuracy, evaluate, evaluate_whole
    from condensery.evaluation.plots import plot_choices, plot_curves, plot_heat_map, plot_points, plot_sizes
    from condensery.evaluation.protocols import (
        dc2021,
        dsa2021,
        fixed_seconds,
        fixed_steps,
        idc2022,
        idc2022_equal_steps,
        imagenet2022,
        kfs2022,
        whole,
    )
    from condensery.exchange.exports import Exported, export
    from condensery.exchange.imports import import_set
    from condensery.kernels.memory import tune_allocator
    from condensery.runs.artifact import load, save
    from condensery.runs.auto import Choice, auto
    from condensery.runs.checkpoint import Interrupted
    from condensery.runs.condensed import Condensed
    from condensery.runs.planning import Plan, plan
    from condensery.runs.run import condense, run
    from condensery.synthetic import SyntheticSet

_MODULES = {
    "algorithms.algorithm": ["Step"],
    "data": [
        "Batch", "Data", "Facts", "RealSet", "TestSet", "audio_folder", "cifar10", "cifar100", "digits",
        "fashion_mnist", "from_arrays", "from_dataset", "hub", "image_folder", "imagenet10", "imagenet100", "mnist",
        "npz", "svhn", "usps",
    ],
    "evaluation.compare": ["Comparison", "compare"],
    "evaluation.evaluate": ["Accuracy", "evaluate", "evaluate_whole"],
    "evaluation.plots": ["plot_choices", "plot_curves", "plot_heat_map", "plot_points", "plot_sizes"],
    "evaluation.protocols": [
        "dc2021", "dsa2021", "fixed_seconds", "fixed_steps", "idc2022", "idc2022_equal_steps", "imagenet2022",
        "kfs2022", "whole",
    ],
    "exchange.exports": ["Exported", "export"],
    "exchange.imports": ["import_set"],
    "kernels.memory": ["tune_allocator"],
    "runs.artifact": ["load", "save"],
    "runs.auto": ["Choice", "auto"],
    "runs.checkpoint": ["Interrupted"],
    "runs.condensed": ["Condensed"],
    "runs.planning": ["Plan", "plan"],
    "runs.run": ["condense", "run"],
    "synthetic": ["SyntheticSet"],
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
_SUBPACKAGES = [
    "algorithms", "applications", "augment", "data", "decoders", "evaluation", "exchange", "kernels", "networks",
    "objectives", "recipes", "report", "runs",
]  # fmt: skip

__all__ = [
    "MLP",
    "VGG",
    "Accuracy",
    "AlexCifarNet",
    "AlexNet",
    "Batch",
    "Choice",
    "Comparison",
    "Condensed",
    "ConvNet",
    "Data",
    "DenseNet",
    "EfficientNet",
    "Exported",
    "Facts",
    "InputError",
    "Interrupted",
    "LeNet",
    "Net",
    "Plan",
    "RealSet",
    "ResNet",
    "RunError",
    "Step",
    "SyntheticSet",
    "TestSet",
    "__version__",
    "algorithms",
    "applications",
    "audio_folder",
    "augment",
    "auto",
    "cifar10",
    "cifar100",
    "compare",
    "condense",
    "data",
    "dc2021",
    "decoders",
    "digits",
    "dsa2021",
    "evaluate",
    "evaluate_whole",
    "evaluation",
    "exchange",
    "export",
    "fashion_mnist",
    "fixed_seconds",
    "fixed_steps",
    "from_arrays",
    "from_dataset",
    "hub",
    "idc2022",
    "idc2022_equal_steps",
    "image_folder",
    "imagenet10",
    "imagenet100",
    "imagenet2022",
    "import_set",
    "kernels",
    "kfs2022",
    "load",
    "mnist",
    "networks",
    "npz",
    "objectives",
    "plan",
    "plot_choices",
    "plot_curves",
    "plot_heat_map",
    "plot_points",
    "plot_sizes",
    "recipes",
    "report",
    "run",
    "runs",
    "save",
    "svhn",
    "tune_allocator",
    "usps",
    "whole",
]  # fmt: skip
__all__ += _recipes

_console.speak()


def __getattr__(name: str) -> _typing.Any:
    if name in _MODULE_OF:
        return getattr(_importlib.import_module(f"condensery.{_MODULE_OF[name]}"), name)
    if name in _SUBPACKAGES:
        return _importlib.import_module(f"condensery.{name}")
    raise AttributeError(f"module 'condensery' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
