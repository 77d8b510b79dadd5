"""The options of the commands."""

from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from condensery.cli.sources import Source
from condensery.networks.convnet import ConvNet
from condensery.networks.names import NETWORKS
from condensery.networks.net import Architecture
from condensery.recipes import Recipe, Wrapper

__all__ = [
    "AutoOptions",
    "CompareOptions",
    "ContinualOptions",
    "EvaluateOptions",
    "ExportOptions",
    "ImportOptions",
    "Measuring",
    "NasOptions",
    "PlanOptions",
    "PrivacyOptions",
    "ReportOptions",
    "ResumeOptions",
    "RunOptions",
    "ShowOptions",
    "SubsetOptions",
    "TypedMeasuring",
    "fielded",
]

R = TypeVar("R")
_NAMES = f"{', '.join(NETWORKS)}, or torchvision:NAME or timm:NAME if these packages are installed"
_FIELDS = "Fields may follow a name: 'convnet width 64', in quotes."
_CHOSEN = f"Name of the network, whose fields are set by --net.FIELD: {_NAMES}."
_TRAINED = f"Networks to train, by default the one with which the set was condensed: {_NAMES}. {_FIELDS}"
_COMPARED = f"Networks to train, by default the one in which the methods condense: {_NAMES}. {_FIELDS}"
_SEARCHED = f"Networks to search in place of a grid: {_NAMES}. {_FIELDS}"
NetName = Annotated[str, tyro.conf.arg(name="net", metavar="NAME", help=_CHOSEN)]

_BUDGET = (
    "The most bytes that the numbers of the condensed set may take, such as 50KB or 1.5MB; it sets --ipc (for kfs, "
    "--floats and --strict). The file is one or two kilobytes larger, and with --zca also by the whitening matrix."
)
_MEMORY = (
    "The most bytes that the numbers of the whole memory may take at the end, such as 80KB, in place of --ipc; "
    "every stage gets an equal share."
)
Budget = Annotated[str | None, tyro.conf.arg(metavar="SIZE", help=_BUDGET)]
MemoryBudget = Annotated[str | None, tyro.conf.arg(metavar="SIZE", help=_MEMORY)]


@dataclass(frozen=True)
class RunOptions(Generic[R]):
    """Condense a data set into a folder. Repeat the command to resume a run that was interrupted."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    out: str
    """Folder for the condensed set and the records of the run."""
    net: NetName
    recipe: tyro.conf.AvoidSubcommands[Annotated[R, tyro.conf.arg(name="")]]
    budget: Budget = None
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints. A run that is killed loses at most this much work."""
    log: tuple[Literal["tensorboard", "trackio"], ...] = ()
    """Where the loss and other numbers are sent besides metrics.jsonl: tensorboard (event files in the run's folder) or
    trackio; needs the package of that name."""


@dataclass(frozen=True)
class PlanOptions(Generic[R]):
    """Estimate stored bytes, time and memory of a run on this machine, by timing its first steps."""

    source: Annotated[Source, tyro.conf.arg(name="")]
    net: NetName
    recipe: tyro.conf.AvoidSubcommands[Annotated[R, tyro.conf.arg(name="")]]
    budget: Budget = None
    json: str | None = None
    """File to which the estimate is also written, as JSON."""


@dataclass(frozen=True)
class AutoOptions:
    """Choose a recipe, its number format and its steps by a trial on a tenth of the training part, and condense.

    Real images of as many bytes are candidates, too. Before the run begins, the command says what it chose, and why.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    out: str
    """Folder for the condensed set and the records of the run."""
    budget: Annotated[str, tyro.conf.arg(metavar="SIZE", aliases=["--bytes"])] = "32KB"
    """The most bytes that the numbers of the condensed set may take, such as 50KB or 1.5MB."""
    minutes: float = 10.0
    """Minutes for the trial and the run, on this machine at its present load."""
    checkpoint_seconds: float = 30.0
    """Seconds between checkpoints. A run that is killed loses at most this much work."""


@dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run that was interrupted, from its last checkpoint.

    The data and the device are those with which the run was started, unless options name others: the folder of the data
    may have moved, for example.
    """

    folder: tyro.conf.Positional[str]
    """The folder of the run (--out)."""
    source: Annotated[Source, tyro.conf.arg(name="")] = Source("auto")


@dataclass(frozen=True)
class Measuring:
    """Options for measuring a condensed set."""

    protocol: str | None = None
    """How networks are trained and tested: dc2021, dsa2021, idc2022, idc2022-equal-steps, imagenet2022, kfs2022,
    fixed-steps, fixed-seconds or whole. By default, evaluate takes the one of the recipe's paper, compare dc2021,
    and continual, nas and privacy fixed-steps. Accuracies under different protocols cannot be compared."""
    repeats: int = 5
    """Number of networks that are trained from scratch; the table gives their mean and standard deviation."""
    seed: int = 0
    """Seed of the networks' weights and of the order of rows; in evaluate also of the random images, in all other
    commands also of the methods."""
    json: str | None = None
    """File to which the results are also written, as JSON."""
    csv: str | None = None
    """File to which the results are also written, as CSV."""
    markdown: str | None = None
    """File to which the table is also written, as Markdown."""

    @property
    def named_files(self) -> dict[str, str]:
        """The files to write, by the name of their option."""
        given = {"json": self.json, "csv": self.csv, "markdown": self.markdown}
        return {name: path for name, path in given.items() if path is not None}

    @property
    def files(self) -> tuple[str, ...]:
        """The files to write."""
        return tuple(self.named_files.values())


@dataclass(frozen=True)
class TypedMeasuring(Measuring):
    """Options of the commands that can train networks in another number format."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """Number format of the rows while networks are trained; bfloat16 is faster on processors that support it."""


@dataclass(frozen=True)
class EvaluateOptions:
    """Train networks from scratch on a condensed set and measure their accuracy on the test part of the data."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE [FILE ...]")]
    """A condensed set (.safetensors), or the folder of the run that wrote it; several are sets of one method with
    different seeds, and the accuracy is the mean over all of them."""
    source: Annotated[Source, tyro.conf.arg(name="")] = Source("auto")
    networks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME [NAME ...]]", help=_TRAINED)] = ()
    sizes: tuple[int, ...] = ()
    """Subsets to evaluate, each the first N stored images (or codes) per class; by default the whole set."""
    plot: str | None = None
    """File for a plot of accuracy over sizes (SVG)."""
    random: bool = True
    """Whether to measure random real images of as many bytes beside every set (an 8-bit image takes a byte per value).
    Training on them takes as long as on the set, or several times longer."""
    scores: bool = False
    """Whether to measure random real images of as many floats and bytes too, with and without augmentation, and the
    whole set, and to print the scores IOR, HLR, LRS and ARS of the first set (of a subset, if --sizes gives one) for
    one network."""
    whole: bool = True
    """With --scores, whether they include the whole set, on which training takes long if it is large."""
    measuring: Annotated[TypedMeasuring, tyro.conf.arg(name="")] = TypedMeasuring()


@dataclass(frozen=True)
class CompareOptions:
    """Condense with several methods and compare them, with random images and with the whole set, under one protocol.

    A name such as dc stands for the quick preset dc:quick (for the embedded digits dc:digits), if there is one. Write
    dc:paper for the settings of the paper.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    methods: tuple[str, ...]
    """Recipes to compare, in the order of the table; random images come first, and others are compared with them."""
    ipc: int = 1
    """Stored images per class."""
    budget: Budget = None
    sizes: tuple[int, ...] = ()
    """Subsets to compare, each the first N stored images per class (not of kfs, which stores codes); by default the
    whole sets."""
    sets: int = 1
    """Number of sets per method, with different seeds; the mean is over all networks of all sets."""
    networks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME [NAME ...]]", help=_COMPARED)] = ()
    out: str | None = None
    """Folder for the runs of all methods, which can then be resumed; by default runs are not kept."""
    whole: bool = True
    """Whether to add a row for networks trained on the whole set (10 epochs), which takes long for a large set."""
    measuring: Annotated[TypedMeasuring, tyro.conf.arg(name="")] = TypedMeasuring()
    network: NetName = "convnet"
    net: tyro.conf.AvoidSubcommands[Architecture] = ConvNet()


@dataclass(frozen=True)
class ContinualOptions:
    """Let the classes of a data set, or several data sets, arrive in stages, and keep a small memory of them.

    When classes arrive, their images are condensed (or chosen) by a recipe, and the set joins the memory. After every
    stage, networks are trained on the memory alone and tested on all classes so far. With --then, whole data sets
    arrive: networks go on learning on the images of the new one together with the memory of the earlier ones. A name
    such as dc stands for its quick preset, as in compare.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    memory: tuple[str, ...]
    """Recipes that fill the memory; every one is a row of the table."""
    ipc: int | None = None
    """Stored images per class; by default 10."""
    budget: MemoryBudget = None
    sets: int = 1
    """Number of memories per recipe, with different seeds; the mean is over the networks of all of them."""
    stages: int | None = None
    """Stages in which the classes arrive, the same number in each; by default 5."""
    then: tuple[str, ...] = ()
    """Data sets that arrive one after another after --data, instead of stages of classes; all are resized to 32 x 32
    pixels and three channels."""
    steps: tuple[int, int] | None = None
    """With --then, the updates of a stage: on the new images and the memory, then on the memory alone; by default 5000
    and 500."""
    share_decoders: bool = False
    """Whether memories with decoders (kfs) learn them in the first stage only, and codes for them in later ones."""
    out: str | None = None
    """Folder for the runs that condense, from which the same command goes on; by default nothing is kept."""
    distill: bool = False
    """Whether networks go on from their weights of the last stage, with a loss that keeps their outputs for earlier
    classes near those of that stage. Otherwise, networks are trained from scratch; with --then, they go on without this
    loss."""
    measuring: Annotated[TypedMeasuring, tyro.conf.arg(name="")] = TypedMeasuring()
    network: NetName = "convnet"
    net: tyro.conf.AvoidSubcommands[Architecture] = ConvNet()


@dataclass(frozen=True)
class NasOptions:
    """Search for the best of several networks by training them on small proxies of a data set (architecture search).

    A tenth of the training part is held out; recipes condense the rest, every network is trained on every proxy, and
    measured on that tenth. The best network of each proxy is then trained on the whole training part and tested on the
    test part. A name such as dc stands for its quick preset, as in compare.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    proxies: tuple[str, ...]
    """Recipes; early-stopping: the training part itself, for as many steps as on the first set; or condensed sets
    (files or folders of runs), which should not contain the tenth that is held out."""
    ipc: int = 10
    """Stored images per class of every set."""
    grid: Literal["small", "dc"] = "small"
    """Networks to search: small (24 ConvNets) or dc (the 720 ConvNets of the paper of DC)."""
    networks: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[NAME [NAME ...]]", help=_SEARCHED)] = ()
    settings: int | None = None
    """In place of networks, search this many random settings of learning rate, momentum, weight decay and batch size
    for the network of --net (hyper-parameter search; needs condensery[search])."""
    whole: bool = True
    """Whether all networks are trained on the whole training part (10 epochs), too, which tells how well the proxies
    rank them; otherwise only the best one of each proxy is."""
    top: int = 10
    """The number of best networks over which a rank correlation is taken besides that over all networks; there is none
    with --no-whole."""
    engine: Literal["local", "ray"] = "local"
    """Where networks are trained: in processes of this machine, or on Ray (extra condensery[ray]): on the cluster that
    RAY_ADDRESS names, or else on this machine."""
    workers: int | None = None
    """Number of processes, each with one thread; by default one per core. A cluster has its own number."""
    out: str | None = None
    """Folder for the condensed sets and the finished trials, from which the same command goes on; by default nothing is
    kept."""
    measuring: Annotated[TypedMeasuring, tyro.conf.arg(name="")] = TypedMeasuring(repeats=1)
    network: NetName = "convnet"
    net: tyro.conf.AvoidSubcommands[Architecture] = ConvNet()


@dataclass(frozen=True)
class PrivacyOptions:
    """Probe whether networks that were trained on a condensed set give away which images were condensed.

    The training part is divided into three. Each method condenses the first third; attacks try to tell its images from
    those of the second third. For comparison, networks are trained on the real images from which a set starts, and on
    as many random images as the set decodes to. A name such as dc stands for its quick preset, as in compare.
    """

    source: Annotated[Source, tyro.conf.arg(name="")]
    methods: tuple[str, ...]
    """Recipes to probe."""
    ipc: int = 1
    """Stored images per class."""
    shadows: int = 8
    """Number of networks that are trained on other images; they tell how hard an image is."""
    measuring: Annotated[Measuring, tyro.conf.arg(name="")] = Measuring()
    network: NetName = "convnet"
    net: tyro.conf.AvoidSubcommands[Architecture] = ConvNet()


@dataclass(frozen=True)
class ShowOptions:
    """Describe a condensed set: recipe, data, images and size."""

    file: tyro.conf.Positional[str]
    """A condensed set (.safetensors), or the folder of the run that wrote it."""
    png: str | None = None
    """File for a picture of the set (PNG): one row of images per class; for codes and decoders, one block per class."""
    columns: int = 16
    """With --png, the most images per class (or codes, and decoders) that are drawn."""
    trace: str | None = None
    """File for a plot of the subsets that an mdc run learned at each step (SVG)."""
    json: str | None = None
    """File to which the description is also written, as JSON: recipe, data, classes, sizes."""


Out = Annotated[str, tyro.conf.arg(aliases=["-o"])]


@dataclass(frozen=True)
class ExportOptions:
    """Write the rows of a condensed set for other programs; codes and multi-formation are decoded."""

    file: tyro.conf.Positional[str]
    """A condensed set (.safetensors), or the folder of the run that wrote it."""
    to: Literal["images", "npz", "hf", "torch", "ddranking"]
    """Format: images (PNG files in a folder per class), npz (numpy arrays), hf (a folder with a parquet file and a
    README for the library datasets), torch (a safetensors file with tensors) or ddranking (the benchmark)."""
    out: Out
    """The file (.npz; for torch .safetensors), or the folder, which must be new or empty."""
    figures: str | None = None
    """A file that evaluate --json wrote for this set; its accuracies are noted in the export."""
    license: str | None = None
    """License of the real data, for example cc-by-4.0, to be noted in the export."""


@dataclass(frozen=True)
class ImportOptions:
    """Make a condensed set of a file that the released program of a paper wrote. Nothing in the file is executed."""

    file: tyro.conf.Positional[str]
    """The file."""
    layout: Annotated[Literal["vico", "idc", "mtt", "kip"], tyro.conf.arg(name="from")]
    """The program that wrote it: vico (DC, DSA, DM: res_*.pt), idc (data_best.pt), mtt (images_*.pt with labels_*.pt
    beside it) or kip (*.npz)."""
    source: Annotated[Source, tyro.conf.arg(name="")]
    out: Out
    """File for the condensed set (.safetensors)."""
    space: Literal["normalized", "unit", "zca"] | None = None
    """Pixel space of the images, which mtt and kip do not say: normalized, unit (0 to 1), or zca (whitened)."""
    labels: str | None = None
    """mtt: the file of the labels; by default labels_* beside images_*."""
    factor: int | None = None
    """idc: cells along each side of a stored image; by default 2."""
    experiment: int = 0
    """vico: which of the experiments in the file, counted from 0."""
    method: str | None = None
    """Name of the method in tables; by default dc, idc, mtt or kip."""


@dataclass(frozen=True)
class SubsetOptions:
    """Cut a smaller condensed set out of one: the first stored images (or codes) of each class."""

    file: tyro.conf.Positional[str]
    """A condensed set (.safetensors), or the folder of the run that wrote it."""
    out: Out
    """File for the subset (.safetensors)."""
    ipc: int | None = None
    """Stored images per class of the subset. Give either this or --budget."""
    budget: Annotated[str | None, tyro.conf.arg(metavar="SIZE")] = None
    """The most bytes that the subset may store, a shared decoder included, such as 40KB or 1.5MB."""


@dataclass(frozen=True)
class ReportOptions:
    """Write one HTML page about condensed sets: pictures, accuracy, provenance. It needs no network to be read."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Folders of finished runs, or files of condensed sets."""
    out: Out = "report.html"
    """File for the page (.html)."""
    figures: tuple[str, ...] = ()
    """Files that evaluate --json or compare --json wrote; their accuracies are shown."""
    measure: bool = False
    """Whether to train networks on the sets, on random and herding images of as many bytes as the first set, and on the
    whole real set, and to show their accuracies."""
    protocol: str | None = None
    """With --measure, how networks are trained: dc2021, dsa2021, idc2022, fixed-steps, ...; by default as in the paper
    of the first set's recipe."""
    repeats: int = 3
    """With --measure, the number of networks per set."""
    source: Annotated[Source, tyro.conf.arg(name="")] = Source("auto")


def fielded(recipe: Recipe) -> Any:
    """The type parameter of `RunOptions` and `PlanOptions` that turns the fields of all nested recipes into options."""
    if not isinstance(recipe, Wrapper):
        return type(recipe)
    return type(recipe)[Annotated[fielded(recipe.base), tyro.conf.arg(name="")]]  # type: ignore[index]
