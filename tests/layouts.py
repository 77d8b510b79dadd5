"""Small data sets in the layouts of the papers' data sets, which the tests write themselves."""

import pickle
import struct

import numpy as np
from scipy.io import savemat

CIFAR = {
    "cifar10": {
        "binary": ("cifar-10-batches-bin", [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]),
        "python": ("cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]),
    },
    "cifar100": {
        "binary": ("cifar-100-binary", ["train.bin", "test.bin"]),
        "python": ("cifar-100-python", ["train", "test"]),
    },
}
VERSIONS = ("binary", "python 2", "python 3")
SVHN = ("train_32x32.mat", "test_32x32.mat")


def colored(classes, files, seed=0):
    """Images (n, 32, 32, 3) and labels of each file; every class is in every file."""
    generator = np.random.default_rng(seed)
    for _ in range(files):
        yield generator.integers(0, 256, (classes, 32, 32, 3), np.uint8), generator.permutation(classes)


def python2(value) -> bytes:
    """Instructions of a pickle as Python 2 writes it: text is bytes, an array is rebuilt by NumPy of that time."""
    match value:
        case str():
            head = b"U" + bytes([len(value)]) if len(value) < 256 else b"T" + struct.pack("<i", len(value))
            return head + value.encode("latin1")
        case int():
            return b"K" + bytes([value]) if 0 <= value < 256 else b"J" + struct.pack("<i", value)
        case list():
            return b"]q\1(" + b"".join(map(python2, value)) + b"e"
        case dict():
            return b"}r\0\1\0\0(" + b"".join(python2(item) for entry in value.items() for item in entry) + b"u"
    shape = python2(value.shape[0]) + python2(value.shape[1]) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R"
    return made + b"(K\1" + shape + dtype + b"\x89" + python2(value.tobytes().decode("latin1")) + b"tb"


def pickled(value, version="python 3") -> bytes:
    return b"\x80\2" + python2(value) + b"." if version == "python 2" else pickle.dumps(value, protocol=2)


def cifar_file(version, name, images, labels) -> bytes:
    rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
    if version == "binary":
        both = [labels // 5, labels] if name == "cifar100" else [labels]
        return np.column_stack([*both, rows]).astype(np.uint8).tobytes()
    entries = {"batch_label": "a batch", "filenames": [f"{i}.png" for i in labels], "data": rows}
    entries["coarse_labels"] = (labels // 5).tolist()
    entries["fine_labels" if name == "cifar100" else "labels"] = labels.tolist()
    return pickled(entries, version)


def write_cifar(root, version, name="cifar10", seed=0):
    """Write all files; returns images and labels of the training part and of the test part."""
    place, files = CIFAR[name][version.split()[0]]
    (root / place).mkdir(parents=True)
    parts = list(colored(100 if name == "cifar100" else 10, len(files), seed))
    for file, part in zip(files, parts, strict=True):
        (root / place / file).write_bytes(cifar_file(version, name, *part))
    return *(np.concatenate(arrays) for arrays in zip(*parts[:-1], strict=True)), *parts[-1]


def write_svhn(root, packed=True, place="SVHN", seed=0, **other):
    """Write both files, with the digit 0 as label 10; returns images and labels of both parts."""
    (root / place).mkdir(parents=True)
    parts = list(colored(10, 2, seed))
    for file, (images, labels) in zip(SVHN, parts, strict=True):
        content = {"X": images.transpose(1, 2, 3, 0), "y": np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)}
        savemat(root / place / file, {"note": {"text": "a"}, **content, **other}, do_compression=packed)
    return *parts[0], *parts[1]
