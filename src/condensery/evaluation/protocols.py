"""Evaluation protocols: how networks are trained on a condensed set before they are measured.

Accuracies under different protocols are not comparable. Each protocol is a function of the data and of what is measured
on it, because the papers' programs treat some data sets, sizes and networks in their own way.
"""

from dataclasses import dataclass, replace
from math import cos, pi, prod
from typing import TYPE_CHECKING, Any
from typing import Protocol as Interface

from condensery.augment import (
    Augmentation,
    Color,
    Crop,
    CutMix,
    Cutout,
    Flip,
    Jitter,
    Lighting,
    Operation,
    ResizedCrop,
    Rotate,
    Scale,
    dsa_strategy,
)
from condensery.data import Data
from condensery.data.facts import Facts
from condensery.errors import InputError, look_up
from condensery.evaluation.training import USUAL, Training
from condensery.networks.convnet import ConvNet
from condensery.networks.densenet import DenseNet
from condensery.networks.net import Architecture
from condensery.networks.resnet import ResNet

if TYPE_CHECKING:
    import torch

    from condensery.runs.condensed import Condensed

__all__ = [
    "PROTOCOLS",
    "WHOLE",
    "Protocol",
    "ProtocolFor",
    "dc2021",
    "dsa2021",
    "fixed_seconds",
    "fixed_steps",
    "idc2022",
    "idc2022_equal_steps",
    "imagenet2022",
    "kfs2022",
    "named",
    "whole",
]


@dataclass(frozen=True)
class Protocol:
    """How a network is trained from scratch; it is measured once, at the end.

    Arguments:
        name: its name in tables, including what differs between data sets.
        how: how the weights are updated.
        epochs: passes over the rows if neither `steps` nor `seconds` is given.
        steps: number of updates, independent of the number of rows.
        seconds: wall time of the training of a network; the number of updates follows from the time of the first ones.
        augment: augmentation, drawn as its `choice` says.
        mix: applied to each augmented minibatch.
        batch_norm: whether networks with batch norm are trained as they are. If not, a set that was condensed in such
            a network is measured in the same network with instance norm, unless another network is asked for.
    """

    name: str
    how: Training
    epochs: int = 0
    steps: int | None = None
    seconds: float | None = None
    augment: Augmentation | None = None
    mix: CutMix | None = None
    batch_norm: bool = True

    def record(self) -> list[Any]:
        """All that determines how a network is trained, as JSON."""
        how = self.how
        return [
            self.name, self.epochs, self.steps, self.seconds, how.lr, how.momentum, how.weight_decay, how.batch_size,
            how.restart_at, str(how.dtype), [how.schedule(i / 20) for i in range(20)], repr(self.augment),
            repr(self.mix),
        ]  # fmt: skip

    def steps_for(self, rows: int) -> int:
        """Number of updates for `rows` rows.

        Raises:
            InputError: it depends on the time that they take.
        """
        if self.seconds is not None:
            raise InputError(
                f"{self.name} trains for a time, and here the number of steps must be known; take another protocol"
            )
        return self.steps if self.steps is not None else self.how.steps(self.epochs, rows)

    def trained_in(self, dtype: "torch.dtype | None", data: Data) -> "Protocol":
        """The protocol with another number format of the rows, which its name then says.

        Arguments:
            dtype: `torch.bfloat16` or `torch.float16`. None, or that of the data: the same protocol.

        Raises:
            InputError: `dtype` is something else.
        """
        check_dtype(dtype, data)
        if dtype in (None, data.train.dtype):
            return self
        how = replace(self.how, dtype=dtype)
        return replace(self, name=self.name + how.number_format, how=how)


class ProtocolFor(Interface):
    """A protocol as a function of the data and of what is measured on it."""

    def __call__(self, data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
        """How networks are trained.

        Arguments:
            data: the data set on whose test part they are measured.
            condensed: the set on which they are trained. None: the whole training part of the data.
            net: their architecture. None: not known, or of no importance.
        """
        ...


def check_dtype(dtype: "torch.dtype | None", data: Data) -> None:
    """Check the number format of rows while networks are trained; see `Protocol.trained_in`.

    Raises:
        InputError: it is not one of these formats.
    """
    if dtype not in (None, data.train.dtype) and str(dtype) not in ("torch.bfloat16", "torch.float16"):
        raise InputError(f"`dtype` must be None, torch.bfloat16 or torch.float16, got {dtype!r}")


def named(protocol: ProtocolFor | str) -> ProtocolFor:
    """The protocol with a name such as "dc2021" or "fixed-steps"; a function is its own protocol.

    Raises:
        InputError: there is no such protocol.
    """
    if isinstance(protocol, str):
        return look_up(PROTOCOLS, protocol.replace("_", "-"), "protocol")
    if not callable(protocol):
        raise InputError(
            f'protocol is {protocol!r}; give a protocol or its name, such as condensery.dc2021 or "dc2021"'
        )
    return protocol


def _one_cycle(progress: float, peak: float = 0.25) -> float:
    if progress < peak:
        return 0.1 + 0.9 * progress / peak
    return (1 + cos(pi * (progress - peak) / (1 - peak))) / 2


WHOLE = Training(0.05, 0.9, 5e-4, 64, _one_cycle)
"""How networks are trained on a whole real set: one cycle, whose learning rate rises to 0.05 over the first quarter."""


def dc2021(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """DC's evaluation: 300 epochs without augmentation; on MNIST 1000, with a crop, scaling or rotation of each row.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 256; after half of the epochs the learning rate drops to a
    tenth and momentum is reset. As in the released program, there is one more epoch (301, 1001), and a ConvNet with
    batch norm that is asked for is trained for 1001 epochs on rows of which half are cropped.

    References:
        DC section 3.1, appendix A and the released program.
    Departs: for batch norm, the program crops a row or adds noise of 0.001 to it, and here it stays as it is in place
        of the noise. Rows are scaled and rotated by one bilinear interpolation.
    """
    crop, neutral = Crop(pixels=4, fill="mean"), Scale(1, 1)
    if _has_batch_norm(net):
        return Protocol("dc2021 (1000 epochs, crops)", _halved(1001), 1001, augment=Augmentation((), (crop, neutral)))
    if data.facts.dc_augmentation:
        moved = Augmentation(one_of=(crop, Scale(0.8, 1.2, of="image"), Rotate(45, fill="mean")))
        return Protocol("dc2021 (1000 epochs, augmented)", _halved(1001), 1001, augment=moved, batch_norm=False)
    return Protocol("dc2021", _halved(301), 301, batch_norm=False)


def dsa2021(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """DSA's evaluation: 1000 epochs, one operation of DSA's strategy for each minibatch; otherwise as `dc2021`.

    Color, crop, cutout, flip, scale, rotate, with parameters for each row; flips only if the data allow them, and
    nothing on spectrograms.

    References:
        DSA section 4 and the released program (1001 epochs, learning rate x 0.1 after 502).
    """
    if not data.facts.pictures:
        return Protocol("dsa2021 (no augmentation)", _halved(1001), 1001, batch_norm=False)
    augment = dsa_strategy(data.facts)
    return Protocol("dsa2021", _halved(1001), 1001, augment=augment, batch_norm=False)


def idc2022(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """IDC's evaluation on small images: 1000 epochs with color, flip, one of crop, scaling and rotation, and CutMix.

    A DenseNet on 50 stored images per class or more: 400 epochs.

    SGD 0.01, momentum 0.9, weight decay 5e-4, batches of 64, learning rate x 0.2 after 2/3 and 5/6 of the epochs. A
    minibatch draws one of crop, scaling and rotation; half of the minibatches are mixed. No flips if the data do not
    allow them; no CutMix on MNIST with multi-formation; on SVHN with one row per class, cutout instead of CutMix;
    spectrograms are neither augmented nor mixed.

    References:
        IDC appendix C.1 and the released program. Departs: see docs/fidelity.md.
    """
    short = isinstance(net, DenseNet) and condensed is not None and condensed.bases_per_class >= 50
    epochs, differs = (400, ["400 epochs"]) if short else (1000, [])
    per_class = (condensed.rows_per_class, condensed.bases_per_class) if condensed else None
    augment, mix = idc_augmentation(data.facts, per_class)
    if augment is None:
        differs += ["no augmentation"]
    elif mix is None:
        differs += ["cutout, no CutMix" if data.facts.boxes == "several" else "no CutMix"]
    name = f"idc2022 ({', '.join(differs)})" if differs else "idc2022"
    return Protocol(name, _dropped(epochs), epochs, augment=augment, mix=mix)


def idc_augmentation(
    facts: Facts, per_class: tuple[int, int] | None = None
) -> tuple[Augmentation | None, CutMix | None]:
    """What `idc2022` does to a minibatch: its augmentation, and CutMix.

    Arguments:
        facts: what is known about the data.
        per_class: the numbers of decoded rows and of stored bases per class. None: they are not known.
    """
    if not facts.pictures:
        return None, None
    flip: tuple[Operation, ...] = (Flip(),) if facts.flip else ()
    augment = Augmentation((*flip, Color()), (Crop(), Scale(), Rotate()), choice="minibatch")
    if per_class is None or _mixed(facts, *per_class):
        return augment, CutMix(0.5)
    if facts.boxes == "several":  # cut in place of CutMix
        augment = replace(augment, always=(*augment.always, Cutout()))
    return augment, None


def idc2022_equal_steps(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """`idc2022` at the training cost of as many stored images: its epochs divided by the rows per stored image.

    References:
        IDC table 2, "fixed training steps".
    """
    rules, more = idc2022(data, condensed, net), 1.0
    if condensed:
        images = condensed.floats / prod(data.shape)
        more = max(1.0, condensed.rows_per_class * condensed.synthetic.classes / images)
    epochs = max(1, round(rules.epochs / more))
    return replace(rules, name=f"{rules.name}, equal steps", how=_dropped(epochs), epochs=epochs)


def imagenet2022(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """IDC's evaluation on subsets of ImageNet, with resized crops, flips, color, lighting and CutMix.

    Epochs by the number of decoded rows per class: 3000 for 1, 2000 up to 10, 1500 up to 50, 1000 up to 200, 500 up to
    500, then 300. Optimizer as in `idc2022`; every minibatch is mixed. From 100 classes on: two thirds of the epochs,
    rounded down to hundreds, learning rate 0.1, weight decay 1e-4, batches of 128.

    References:
        IDC appendix C.1 and the released program.
    """
    rows = condensed.rows_per_class if condensed else min(data.train.sizes)
    steps = ((1, 3000), (10, 2000), (50, 1500), (200, 1000), (500, 500))
    epochs = next((epochs for most, epochs in steps if rows <= most), 300)
    many = data.train.classes >= 100
    if many:
        epochs = epochs * 2 // 300 * 100
    flip: tuple[Operation, ...] = (Flip(),) if data.facts.flip else ()
    augment = Augmentation((ResizedCrop(0.5), *flip, Jitter(0.4), Lighting(0.1)))
    how = replace(_dropped(epochs), lr=0.1, weight_decay=1e-4, batch_size=128) if many else _dropped(epochs)
    return Protocol("imagenet2022", how, epochs, augment=augment, mix=CutMix(1.0))


def kfs2022(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """KFS's evaluation: 200 epochs without augmentation.

    SGD 0.01, momentum 0.9, weight decay 5e-4, learning rate x 0.2 after 133 and 166 epochs. Batches have 256 rows; for
    images of 128 pixels and more 128, and 64 in networks other than ResNetAP-10.

    References:
        KFS appendix A; its batches for ImageNet are 128 (ResNetAP-10), 64 (ResNet-18) and 64 (EfficientNet).
    """
    size = 256
    if min(data.shape[1:]) >= 128:
        size = 128 if net is None or (isinstance(net, ResNet) and net.downsampling == "average") else 64
    return Protocol("kfs2022", replace(_dropped(200), batch_size=size), 200)


def fixed_steps(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """1000 steps of at most 64 rows for a set of any size, so that sizes are compared at equal training cost.

    SGD 0.01, momentum 0.9, weight decay 5e-4, learning rate x 0.1 after half of the steps.
    """
    return Protocol("fixed-steps", _HALF, steps=1000)


def fixed_seconds(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """As many steps of at most 64 rows as fit into a minute on this machine, otherwise as `fixed_steps`.

    The result depends on the speed of the machine, and two runs differ in the number of steps.

    References:
        KFS figure 9 compares methods at equal wall time.
    """
    return Protocol("fixed-seconds (60 s)", _HALF, seconds=60.0)


def whole(data: Data, condensed: "Condensed | None" = None, net: Architecture | None = None) -> Protocol:
    """10 epochs in one cycle, for the reference on the whole real set and for coresets' feature networks.

    SGD, momentum 0.9, weight decay 5e-4, batches of 64; the learning rate rises to 0.05 over the first quarter and
    falls to 0 along half a cosine (`WHOLE`).

    Departs: the papers train as many epochs on the whole set as on a condensed one, which takes days on a CPU. Tables
        show the name of this protocol.
    """
    return Protocol("whole (10 epochs)", WHOLE, epochs=10)


PROTOCOLS: dict[str, ProtocolFor] = {
    "dc2021": dc2021, "dsa2021": dsa2021, "idc2022": idc2022, "idc2022-equal-steps": idc2022_equal_steps,
    "imagenet2022": imagenet2022, "kfs2022": kfs2022, "fixed-steps": fixed_steps, "fixed-seconds": fixed_seconds,
    "whole": whole,
}  # fmt: skip
"""The protocols by their names."""


def _halved(epochs: int) -> Training:
    """SGD whose learning rate drops to a tenth, by a new optimizer, after half of the epochs and two more."""
    half = (epochs // 2 + 2) / epochs
    return replace(USUAL, batch_size=256, schedule=lambda progress: 1.0 if progress < half else 0.1, restart_at=(half,))


def _dropped(epochs: int) -> Training:
    """SGD whose learning rate drops to a fifth after 2/3 of the epochs, and again after 5/6, rounded down."""
    drops = (2 * epochs // 3 / epochs, 5 * epochs // 6 / epochs)
    return replace(USUAL, schedule=lambda progress: 0.2 ** sum(progress >= drop for drop in drops))


_HALF = replace(USUAL, schedule=lambda progress: 1.0 if progress < 0.5 else 0.1)


def _has_batch_norm(net: Architecture | None) -> bool:
    """Whether the network is a ConvNet with batch norm, which the program of DC treats in its own way."""
    return isinstance(net, ConvNet) and net.has_batch_norm


def _mixed(facts: Facts, rows: int, bases: int) -> bool:
    """Whether IDC's evaluation mixes rows (CutMix), by the numbers of decoded rows and of stored bases per class."""
    match facts.boxes:
        case "always":
            return True
        case "one-to-one":
            return rows == bases
        case "several":
            return rows > 1
