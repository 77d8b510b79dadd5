"""Real data: the data types (`Batch`, `RealSet`, `TestSet`, `Data`) and one reader for each kind of source."""

from condensery.data.arrays import digits, from_arrays, from_dataset, npz
from condensery.data.audio import audio_folder
from condensery.data.cifar import cifar10, cifar100
from condensery.data.facts import Facts
from condensery.data.files import fashion_mnist, mnist, usps
from condensery.data.folder import image_folder
from condensery.data.hub import hub
from condensery.data.imagenet import imagenet10, imagenet100
from condensery.data.matlab import svhn
from condensery.data.rows import Batch, RealSet, TestSet
from condensery.data.sets import Data

__all__ = [
    "Batch",
    "Data",
    "Facts",
    "RealSet",
    "TestSet",
    "audio_folder",
    "cifar10",
    "cifar100",
    "digits",
    "fashion_mnist",
    "from_arrays",
    "from_dataset",
    "hub",
    "image_folder",
    "imagenet10",
    "imagenet100",
    "mnist",
    "npz",
    "svhn",
    "usps",
]
