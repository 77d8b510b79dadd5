"""Networks of other packages, torchvision and timm, where these are installed."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from condensery.errors import InputError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["PACKAGES", "Packaged"]

PACKAGES = ("torchvision", "timm")


class Packaged:
    """A `net.Factory` for a classifier of torchvision or timm, with random weights.

    For images that do not have three channels, the first convolution is replaced by one with as many channels.

    Arguments:
        package: "torchvision" or "timm".
        model: the package's name of the classifier, for example "resnet18".

    Raises:
        InputError: the package is not installed, or has no such classifier.
    """

    def __init__(self, package: str, model: str):
        self.name, self.package, self.model = f"{package}:{model}", package, model
        models = self._models()
        if package == "torchvision":
            known, where = model in models.list_models(module=models), "torchvision.models.list_models()"
        else:
            known, where = models.is_model(model), "timm.list_models()"
        if not known:
            raise InputError(f"`net={self.name}`: {package} has no classifier {model!r}; {where} lists its names")

    def _models(self) -> ModuleType:
        """The module of the package that makes classifiers.

        Raises:
            InputError: it cannot be imported.
        """
        try:
            return importlib.import_module("torchvision.models" if self.package == "torchvision" else "timm")
        except Exception as error:  # not installed, or built for another torch, which can fail in any way
            raise InputError(
                f"`net={self.name}`: {self.package} cannot be imported ({error}); install the version for your torch"
            ) from error

    def __repr__(self) -> str:
        return self.name

    def __call__(self, shape: tuple[int, int, int], classes: int) -> "nn.Module":
        """Make the classifier with new random weights, for rows of `shape` (channels, height, width)."""
        channels, *_ = shape
        module: nn.Module
        if self.package == "timm":
            module = self._models().create_model(self.model, num_classes=classes, in_chans=channels)
            return module
        aside = {"aux_logits": False, "init_weights": True} if self.model in ("googlenet", "inception_v3") else {}
        module = self._models().get_model(self.model, weights=None, num_classes=classes, **aside)
        return module if channels == 3 else _with_channels(module, channels)


def _with_channels(module: "nn.Module", channels: int) -> "nn.Module":
    """The module with its first convolution replaced by a new one that takes images with `channels` channels."""
    from torch import nn

    name, old = next((name, part) for name, part in module.named_modules() if isinstance(part, nn.Conv2d))
    parent, _, own = name.rpartition(".")
    bias = old.bias is not None
    new = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, bias=bias)  # type: ignore[arg-type]
    setattr(module.get_submodule(parent), own, new)
    return module
