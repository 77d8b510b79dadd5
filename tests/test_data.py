"""Readers and the nouns they return, through `condensery.data`. Everything is made up in a temporary folder."""

import bz2
import errno
import gzip
import logging
import os
import pickle
import struct
import sys
import time
import zipfile
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import blobs
from elsewhere import ELSEWHERE, Pretending
from layouts import CIFAR, SVHN, VERSIONS, pickled, python2, write_cifar, write_svhn
from PIL import Image, ImageOps
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

from condensery import InputError
from condensery.cli.sources import Source, read
from condensery.data import (
    Batch,
    Data,
    RealSet,
    TestSet,
    cifar10,
    cifar100,
    digits,
    fashion_mnist,
    from_arrays,
    from_dataset,
    image_folder,
    imagenet10,
    imagenet100,
    mnist,
    npz,
    svhn,
    usps,
)
from condensery.data.facts import FACTS
from condensery.data.imagenet import CLASSES
from condensery.data.pickled import Array, data_in
from condensery.data.pixels import PixelSpace
from condensery.kernels import memory
from condensery.randomness import rng

PLAIN = PixelSpace((0.0,), (1.0,))

WNIDS = tuple(CLASSES)

SIZES = (5, 1, 9)
LABELS = torch.tensor([2, 0, 2, 1, 2, 0, 2, 0, 2, 2, 0, 2, 2, 0, 2])
draw = partial(rng, 0, "rows")
counted = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells how much memory a process takes")


@pytest.fixture
def heard(caplog, monkeypatch):
    log = logging.getLogger("condensery")
    monkeypatch.setattr(log, "handlers", [caplog.handler])
    monkeypatch.setattr(log, "propagate", False)
    caplog.set_level(logging.INFO, "condensery")
    return lambda: caplog.messages


def numbered() -> RealSet:
    """A real set whose every pixel is the row's number, after sorting by class, over 100."""
    images = torch.empty(len(LABELS), 2, 3, 4)
    images[torch.argsort(LABELS, stable=True)] = torch.arange(len(LABELS))[:, None, None, None] / 100
    return RealSet(images, LABELS, 3, PixelSpace((0.0, 0.0), (1.0, 1.0)))


def numbers(x: torch.Tensor) -> torch.Tensor:
    assert (x == x[..., :1, :1, :1]).all()
    return (x[..., 0, 0, 0] * 100).round().long()


def made(sizes=SIZES, shape=(8, 6), dtype=np.uint8, seed=0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    images = generator.integers(0, 256, (len(labels), *shape), dtype=np.uint8)
    return images if dtype == np.uint8 else (images / 255).astype(dtype), labels


def same(a: Data, b: Data) -> bool:
    tests = torch.equal(a.test.images, b.test.images) and torch.equal(a.test.labels, b.test.labels)
    return a.train.fingerprint == b.train.fingerprint and tests and a.class_names == b.class_names


def as_rows(images: torch.Tensor) -> list[bytes]:
    return [image.numpy().tobytes() for image in images]


# ---- digits


def test_digits_are_all_there_in_two_disjoint_parts():
    data, raw = digits(), load_digits()
    train, test = as_rows(data.train.images), as_rows(data.test.images)
    assert len(train) + len(test) == 1797
    assert not set(train) & set(test)
    shades = torch.tensor([round(255 * shade / 16) for shade in range(17)], dtype=torch.uint8)
    assert sorted(train + test) == sorted(as_rows(shades[torch.from_numpy(raw.images).long()][:, None]))
    assert data.shape == (1, 8, 8)
    assert data.class_names == tuple("0123456789")
    assert data.source is None


def test_digits_are_split_the_same_way_every_time():
    assert same(digits(), digits())


def test_digits_hold_out_a_fifth_of_every_class():
    data = digits()
    train, test = (torch.bincount(part.labels, minlength=10) for part in (data.train, data.test))
    assert torch.equal(test, ((train + test) * 0.2).round().long())


def test_digits_lie_between_0_and_1():
    for part in (digits().train, digits().test):
        pixels = part.space.unit(part.read(slice(None)))
        assert pixels.min() == pytest.approx(0, abs=1e-6)
        assert pixels.max() == pytest.approx(1, abs=1e-6)


# ---- Batch


def test_batch_prefix_keeps_the_first_rows_of_every_class():
    batch = Batch(torch.randn(3, 5, 1, 2, 2), torch.arange(3)[:, None].expand(3, 5))
    assert torch.equal(batch.rows(slice(2)).x, batch.x[:, :2])
    assert torch.equal(batch.rows(slice(2)).y, batch.y[:, :2])


def test_batch_map_changes_rows_and_keeps_labels():
    batch = Batch(torch.randn(3, 5, 1, 2, 2), torch.arange(3)[:, None].expand(3, 5))
    mapped = batch.map(lambda x: 2 * x)
    assert torch.equal(mapped.x, 2 * batch.x)
    assert torch.equal(mapped.y, batch.y)


def test_batch_flat_goes_class_after_class():
    batch = Batch(torch.randn(3, 5, 1, 2, 2), torch.arange(3)[:, None].expand(3, 5))
    x, y = batch.flat()
    assert torch.equal(x, torch.cat(list(batch.x)))
    assert y.tolist() == [0] * 5 + [1] * 5 + [2] * 5


# ---- RealSet


def test_rows_are_sorted_by_class_and_otherwise_in_their_order():
    real = numbered()
    assert real.sizes == list(SIZES)
    assert real.labels.tolist() == sorted(LABELS.tolist())
    assert numbers(real.read(slice(None))).tolist() == list(range(len(real)))
    assert [real.rows(c) for c in range(3)] == [slice(0, 5), slice(5, 6), slice(6, 15)]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_labels_of_any_integers_are_sorted(dtype):
    real = RealSet(torch.arange(4.0)[:, None, None, None], torch.tensor([1, 0, 1, 0]).to(dtype), 2, PLAIN)
    assert real.read(slice(None)).flatten().tolist() == [1, 3, 0, 2]


@pytest.mark.parametrize("labels", [[0, 1, 2], [-1, 0, 1]])
def test_a_label_of_no_class_is_refused(labels):
    with pytest.raises(InputError, match=r"ids of 2 classes are from 0 to 1"):
        RealSet(torch.zeros(3, 1, 2, 2), torch.tensor(labels), 2, PLAIN)


def test_no_copy_is_made_beyond_the_limit(monkeypatch):
    d = digits()
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "2e-5")
    for copied in (d.validation, lambda: d.of_classes(range(9)), lambda: d.train.subset(torch.arange(1000))):
        with pytest.raises(InputError, match=r"a copy of .* CONDENSERY_LIMIT_GB"):
            copied()
    assert len(d.train.subset(torch.arange(0, 1400, 100))) == 14


def test_a_class_without_rows_is_refused():
    with pytest.raises(InputError, match="class 1 has no training image"):
        RealSet(torch.zeros(2, 1, 2, 2), torch.tensor([0, 2]), 3, PLAIN)


@pytest.mark.parametrize("n", [1, 3, 9, 10, 23])
def test_sample_goes_through_a_class_in_full_permutations(n):
    real = numbered()
    batch = real.sample(n, range(3), draw)
    assert batch.x.shape == (3, n, 2, 3, 4)
    assert torch.equal(batch.y, torch.arange(3)[:, None].expand(3, n))
    for c, ids in enumerate(numbers(batch.x).tolist()):
        everyone = list(range(real.rows(c).start, real.rows(c).stop))
        for start in range(0, n, real.sizes[c]):
            part = ids[start : start + real.sizes[c]]
            assert len(set(part)) == len(part)
            assert set(part) <= set(everyone)
            assert len(part) < real.sizes[c] or sorted(part) == everyone


def test_sample_repeats_a_small_class_in_fresh_permutations():
    ids = numbers(numbered().sample(9 * 4, [2], draw).x[0]).view(4, 9).tolist()
    assert len({tuple(permutation) for permutation in ids}) == 4


@pytest.mark.parametrize("classes", [[0], [2], [2, 0], [0, 2], [1, 0, 2]])
def test_a_class_s_sample_depends_on_its_own_generator_alone(classes):
    real = numbered()
    together = real.sample(7, range(3), draw)
    assert torch.equal(real.sample(7, classes, draw).x, together.x[classes])
    assert torch.equal(real.sample(7, classes, draw).y, together.y[classes])


def test_the_same_rows_read_in_another_way_are_not_copied():
    real = numbered()
    others = [real.to(torch.float64), real.called("others", real.class_names), real.with_facts(FACTS["SVHN"])]
    for other in [*others, real.normalized_by(replace(real.space, mean=(0.25,)))]:
        assert other.images.data_ptr() == real.images.data_ptr()
        assert other.fingerprint == real.fingerprint
    assert (others[0].dtype, others[1].name, others[2].facts) == (torch.float64, "others", FACTS["SVHN"])
    assert real.dtype != torch.float64


@pytest.mark.parametrize("size", [1, 4, 100])
def test_minibatches_visit_every_row_once(size):
    real = numbered()
    seen = []
    for x, y, index in real.minibatches(size, rng(0, "order")):
        assert len(x) == len(y) == len(index) <= size
        assert torch.equal(numbers(x), index)
        assert torch.equal(y, real.labels[index])
        seen += index.tolist()
    assert sorted(seen) == list(range(len(real)))


def test_minibatches_come_in_random_order():
    orders = [torch.cat([i for *_, i in numbered().minibatches(4, rng(0, "order", e))]).tolist() for e in range(2)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_normalized_rows_have_mean_0_and_std_1_in_every_channel(dtype, shape):
    images, labels = made((2000, 3000), shape, dtype)
    x = from_arrays(images, labels, images[:9], labels[:9]).train.to(torch.float64).read(slice(None))
    assert x.mean((0, 2, 3)).abs().max() < 1e-9
    assert (x.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-9


def test_a_constant_channel_is_normalized_to_0():
    images, labels = made(shape=(8, 6, 3))
    images[..., 1] = 77
    data = from_arrays(images, labels, images, labels).to(torch.float64)
    assert data.train.read(slice(None))[:, 1].abs().max() < 1e-6
    assert data.std[1] == 1


def test_test_rows_are_normalized_by_the_training_rows_statistics():
    images, labels = made()
    data = from_arrays(images, labels, images // 2, labels).to(torch.float64)
    expected = (torch.from_numpy(images // 2).double() / 255 - data.mean[0]) / data.std[0]
    assert torch.allclose(data.test.read(slice(None))[:, 0], expected, atol=1e-12)


def test_the_fingerprint_is_that_of_rows_and_labels():
    images, labels = made((4, 4))
    fingerprint = from_arrays(images, labels, images, labels).train.fingerprint
    assert from_arrays(images.copy(), labels.copy(), images[:1], labels[:1]).train.fingerprint == fingerprint
    pixel, label = images.copy(), labels.copy()
    pixel[0, 0, 0] ^= 1
    label[0] = 1 - label[0]
    changed = [(pixel, labels), (images, label), (images.reshape(len(images), 6, 8), labels)]
    prints = {from_arrays(*pair, *pair).train.fingerprint for pair in changed}
    assert len(prints | {fingerprint}) == 4


# ---- Data.validation


def parts() -> Data:
    real = numbered()
    test = TestSet(torch.full((4, 2, 3, 4), 0.99), torch.tensor([0, 1, 2, 2]), real.space, real.dtype, real.device)
    return Data("made", real, test, ("a", "b", "c"))


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_validation_splits_the_training_part_alone(fraction):
    data = parts()
    split = data.validation(fraction)
    train, held = (numbers(part.read(slice(None))).tolist() for part in (split.train, split.test))
    assert sorted(train + held) == list(range(len(data.train)))
    assert split.train.space == split.test.space == data.train.space
    assert split.class_names == data.class_names


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 0.99])
def test_validation_is_stratified_and_leaves_every_class_a_row(fraction):
    split = parts().validation(fraction)
    held = torch.bincount(split.test.labels, minlength=3).tolist()
    assert split.train.sizes == [n - h for n, h in zip(SIZES, held, strict=True)]
    assert held == [min(max(1, round(fraction * n)), n - 1) for n in SIZES]


def test_validation_is_drawn_from_its_seed():
    data = digits()
    assert same(data.validation(seed=1), data.validation(seed=1))
    assert not same(data.validation(seed=1), data.validation(seed=2))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_validation_refuses_a_fraction_that_is_none(fraction):
    with pytest.raises(InputError, match="between 0 and 1"):
        digits().validation(fraction)


def test_classes_of_one_row_leave_none_to_hold_out():
    with pytest.raises(InputError, match=r"the classes are too small to hold out 0\.1 of them"):
        replace(parts(), train=blobs(sizes=(1, 1, 1))).validation()


# ---- the MNIST family

FAMILY = {"MNIST": mnist, "FashionMNIST": fashion_mnist}
IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def write_idx(folder, packed, arrays):
    folder.mkdir(parents=True)
    for name, array in zip(IDX, arrays, strict=True):
        content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.astype("u1").tobytes()
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.fixture
def family_arrays():
    return *made([3] * 10, (28, 28)), *made([1] * 10, (28, 28), seed=1)


@pytest.mark.parametrize("name", FAMILY)
def test_packed_and_unpacked_idx_files_give_equal_data(tmp_path, family_arrays, name):
    for packed in (True, False):
        write_idx(tmp_path / str(packed) / name / "raw", packed, family_arrays)
    packed, unpacked = (FAMILY[name](tmp_path / str(packed)) for packed in (True, False))
    assert same(packed, unpacked)
    assert same(unpacked, from_arrays(*family_arrays, class_names=unpacked.class_names))
    assert (unpacked.name, unpacked.facts) == (name, FACTS[name])
    assert unpacked.source == tmp_path / "False" / name
    assert unpacked.shape == (1, 28, 28)


def test_idx_files_may_lie_without_a_raw_folder(tmp_path, family_arrays):
    write_idx(tmp_path / "a" / "MNIST", False, family_arrays)
    write_idx(tmp_path / "b" / "MNIST" / "raw", False, family_arrays)
    assert same(mnist(tmp_path / "a"), mnist(tmp_path / "b"))


def test_a_file_that_is_not_the_canonical_one_is_said_aloud(tmp_path, family_arrays, heard):
    write_idx(tmp_path / "MNIST" / "raw", False, family_arrays)
    mnist(tmp_path)
    assert all(name in message and "MD5" in message for name, message in zip(IDX, heard(), strict=True))


def test_condensery_data_says_where_files_lie_and_the_argument_wins(tmp_path, family_arrays, monkeypatch):
    write_idx(tmp_path / "a" / "MNIST", False, family_arrays)
    write_idx(tmp_path / "b" / "MNIST", False, (255 - family_arrays[0], *family_arrays[1:]))
    monkeypatch.setenv("CONDENSERY_DATA", str(tmp_path / "a"))
    assert mnist().source == tmp_path / "a" / "MNIST"
    assert mnist(tmp_path / "b").source == tmp_path / "b" / "MNIST"


@pytest.mark.parametrize("reader", [mnist, fashion_mnist, usps, svhn, cifar10, cifar100, imagenet10, imagenet100])
def test_a_reader_without_its_files_says_where_it_looks(tmp_path, reader, monkeypatch):
    monkeypatch.delenv("CONDENSERY_DATA", raising=False)
    with pytest.raises(InputError, match="CONDENSERY_DATA"):
        reader()
    with pytest.raises(InputError, match="nowhere: no such folder"):
        reader(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no such folder.*; put the .* files there"):
        reader(tmp_path)
    for name in ("MNIST", "FashionMNIST", "USPS", "SVHN", "cifar-10-batches-py", "cifar-100-binary", "ImageNet"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=r"no such (file|folder).*; put"):
        reader(tmp_path)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (f"{IDX[0]}.gz", lambda content: content[: len(content) // 2]),
        (f"{IDX[1]}.gz", lambda content: b"no archive"),
        (f"{IDX[1]}.gz", lambda content: content[:12] + b"\xff" * 8 + content[20:]),
        (IDX[2], lambda content: content[:-1]),
        (IDX[2], lambda content: content + b"\0"),
        (IDX[2], lambda content: content[:9]),
        (IDX[3], lambda content: b""),
        (IDX[3], lambda content: b"\0\0\x0d" + content[3:]),
    ],
)
def test_a_damaged_idx_file_is_named(tmp_path, family_arrays, name, damage):
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder, name.endswith(".gz"), family_arrays)
    (folder / name).write_bytes(damage((folder / name).read_bytes()))
    with pytest.raises(InputError, match=rf"{name.removesuffix('.gz')}.*: .*; fetch it again"):
        mnist(tmp_path)


def libsvm(values, labels) -> bytes:
    lines = [
        " ".join([str(label), *(f"{i + 1}:{value:.6f}" for i, value in enumerate(row))])
        for row, label in zip(values, labels, strict=True)
    ]
    return ("\n".join(lines) + "\n").encode()


def test_usps_is_read_from_libsvm_text(tmp_path, heard):
    folder = tmp_path / "USPS"
    folder.mkdir()
    generator = np.random.default_rng(0)
    values, labels = generator.uniform(-1, 1, (20, 256)), generator.permutation(np.repeat(np.arange(1, 11), 2))
    values[0, :3] = -1, 0, 1
    (folder / "usps.bz2").write_bytes(bz2.compress(libsvm(values, labels)))
    (folder / "usps.t.bz2").write_bytes(bz2.compress(libsvm(values[:5], labels[:5])))
    data = usps(tmp_path)
    order = np.argsort(labels, kind="stable")
    assert data.shape == (1, 16, 16)
    assert (data.name, data.facts) == ("USPS", FACTS["USPS"])
    assert data.class_names == tuple("0123456789")
    assert data.train.labels.tolist() == (labels[order] - 1).tolist()
    assert np.allclose(data.train.images.numpy().reshape(20, 256), (values[order] + 1) / 2, atol=1e-6)
    assert np.allclose(data.test.images.numpy().reshape(5, 256), (values[:5] + 1) / 2, atol=1e-6)
    assert data.train.images.min() >= 0
    assert data.train.images.max() <= 1
    assert [("usps.t.bz2" in message, "MD5" in message) for message in heard()] == [(False, True), (True, True)]


@pytest.mark.parametrize("content", [b"no archive", bz2.compress(b"no numbers\n"), bz2.compress(b"1 1:0.5\n" * 9)[:-9]])
def test_a_damaged_usps_file_is_named(tmp_path, content):
    (tmp_path / "USPS").mkdir()
    (tmp_path / "USPS" / "usps.bz2").write_bytes(content)
    with pytest.raises(InputError, match=r"usps\.bz2: not libsvm text"):
        usps(tmp_path)


def test_a_usps_file_that_is_too_long_is_refused(tmp_path):
    (tmp_path / "USPS").mkdir()
    (tmp_path / "USPS" / "usps.bz2").write_bytes(bz2.compress(b"1 1:0.5\n" * (2**21 + 1)))
    with pytest.raises(InputError, match="more than 16 MB of text"):
        usps(tmp_path)


@pytest.mark.parametrize(
    ("reader", "write", "blocked"),
    [
        (usps, lambda folder: ((folder / "USPS").mkdir(), (folder / "USPS" / "usps.bz2").touch()), "read_bytes"),
        (svhn, write_svhn, "read_bytes"),
        (cifar10, lambda folder: write_cifar(folder, "binary"), "read_bytes"),
        (image_folder, lambda folder: draw_folder(folder, count=1), "iterdir"),
    ],
    ids=["usps", "svhn", "cifar10", "pictures"],
)
def test_what_may_not_be_read_is_named(reader, write, blocked, tmp_path, monkeypatch):
    write(tmp_path)

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, blocked, refused)
    with pytest.raises(InputError, match=rf"{tmp_path}.*: cannot be read \(Permission denied\)"):
        reader(tmp_path)


# ---- SVHN


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["SVHN", "svhn"])
def test_svhn_is_read_from_matlab_files_and_label_10_is_the_digit_0(tmp_path, packed, place, heard):
    arrays = write_svhn(tmp_path, packed, place)
    data = svhn(tmp_path)
    assert same(data, from_arrays(*arrays, class_names="0123456789"))
    assert (data.name, data.shape, data.facts) == ("SVHN", (3, 32, 32), FACTS["SVHN"])
    assert [(name in message, "MD5" in message) for name, message in zip(SVHN, heard(), strict=True)] == [
        (True,) * 2
    ] * 2


def element(kind, content, size=None) -> bytes:
    return struct.pack("<II", kind, len(content) if size is None else size) + content + bytes(-len(content) % 8)


def matlab(name=b"X", shape=(2, 2, 1, 1), numbers=bytes(4), size=None, packed=True) -> bytes:
    """A MATLAB file with one array of bytes, whose numbers claim to take `size` bytes."""
    inner = element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack(f"<{len(shape)}i", *shape))
    inner += element(1, name) + element(2, numbers, size)
    whole = element(14, inner)
    if packed:
        whole = zlib.compress(whole, 1)
        whole = struct.pack("<II", 15, len(whole)) + whole
    return bytes(124) + b"\0\1IM" + whole


@counted
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: matlab(numbers=bytes(2**27)), "134,217,728 bytes of them for the shape"),
        (lambda: matlab(shape=(2**14, 2**13, 1, 1), size=2**27), "shorter"),
        (lambda: matlab(shape=(2**14, 2**13, 1, 1), size=2**27, packed=False), "shorter"),
        (lambda: matlab(shape=(2**15, 2**16, 1, 1), size=2**31), "CONDENSERY_LIMIT_GB"),
        (lambda: matlab(shape=(-2, -2, 1, 1)), "for the shape"),
        (lambda: matlab(shape=()), "not a readable file"),
        (lambda: matlab(name=b"x" * 300), "no array named X|not a readable file"),
        (lambda: matlab(packed=False)[:150], "cut off"),
        (lambda: matlab()[:140], "cut off"),
    ],
)
def test_a_matlab_file_takes_no_more_memory_than_its_arrays(tmp_path, make, words, monkeypatch):
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1")
    write_svhn(tmp_path)
    (tmp_path / "SVHN" / SVHN[0]).write_bytes(make())
    memory.forget_peak()
    before = memory.resident()
    with pytest.raises(InputError, match=rf"{SVHN[0]}.*({words})"):
        svhn(tmp_path)
    assert memory.peak() - before < 50 * 2**20


# ---- CIFAR

CIFARS = {"cifar10": cifar10, "cifar100": cifar100}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CIFARS)
def test_cifar_is_the_same_in_every_version(tmp_path, name, version, heard):
    arrays = write_cifar(tmp_path, version, name)
    data = CIFARS[name](tmp_path)
    assert same(data, from_arrays(*arrays, class_names=data.class_names))
    assert (data.name.lower(), data.shape, len(data.class_names)) == (name, (3, 32, 32), max(arrays[1]) + 1)
    assert data.facts == FACTS[data.name]
    assert data.source == tmp_path / CIFAR[name][version.split()[0]][0]
    assert len(heard()) == (0 if version == "binary" else len(list(data.source.iterdir())))
    assert all("MD5" in message for message in heard())


def test_the_binary_version_of_cifar_goes_first(tmp_path):
    binary, python = (write_cifar(tmp_path, version, seed=len(version)) for version in VERSIONS[:2])
    assert same(cifar10(tmp_path), from_arrays(*binary, class_names=cifar10(tmp_path).class_names))
    assert not np.array_equal(binary[0], python[0])


@pytest.mark.parametrize("version", VERSIONS)
def test_cifar_100_takes_the_names_of_its_classes_from_their_file(tmp_path, version):
    write_cifar(tmp_path, version, "cifar100")
    folder, names = cifar100(tmp_path).source, cifar100(tmp_path).class_names
    assert (names[0], names[-1], len(set(names)), sorted(names)) == ("apple", "worm", 100, list(names))
    other = [f"class_{i}" for i in range(100)]
    (folder / "meta").write_bytes(pickled({"fine_label_names": other}, version))
    (folder / "fine_label_names.txt").write_text("\n".join(other) + "\n\n")
    assert cifar100(tmp_path).class_names == tuple(other)


ENTRIES = {"data": np.arange(12, dtype=np.uint8).reshape(3, 4), "labels": [0, 300, -1], "text": "é" * 300}


@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_pickle_of_data_is_read_as_python_reads_it(version):
    content = pickled(ENTRIES, version)
    read, unpickled = data_in(content), pickle.loads(content, encoding="latin1")
    for entries in (read, unpickled):
        images = entries.pop("data")
        assert np.array_equal(images.numbers() if isinstance(images, Array) else images, ENTRIES["data"])
    assert read == unpickled == {key: value for key, value in ENTRIES.items() if key != "data"}


def test_what_python_3_pickles_as_bytes_is_text():
    assert data_in(pickled({b"a\xff": (None, True, (), [()], (1, 2), (1, 2, 3, 4))})) == {
        "a\xff": (None, True, (), [()], (1, 2), (1, 2, 3, 4))
    }


@counted
@pytest.mark.parametrize(
    "make",
    [
        lambda: b"}" * 2**22 + b".",
        lambda: b"(" * 2**22 + b".",
        lambda: b")" + b"\x85" * 10**6 + b".",  # tuples in tuples
        lambda: b"]q\0" + b"h\0a" * 3 * 10**5 + b"0" * 10,  # a list in itself
        lambda: b"\x8e" + struct.pack("<Q", 2**62) + b".",
        lambda: b"T" + struct.pack("<i", 2**31 - 1) + b".",
        lambda: python2("x" * 10**7) + b"q\0" + b"c_codecs\nencode\nh\0U\6latin1\x86R" * 3 * 10**4 + b".",
        lambda: b"(" + python2(np.zeros((1000, 1000), np.uint8)) + b"q\0" + b"h\0" * 5 * 10**5 + b"t.",
    ],
)
def test_a_pickle_takes_no_more_memory_and_time_than_its_size_tells(tmp_path, make):
    write_cifar(tmp_path, "python 3")
    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(make())
    memory.forget_peak()
    before, start = memory.resident(), time.process_time()
    with pytest.raises(InputError, match="test_batch: not a readable file"):
        cifar10(tmp_path)
    assert memory.peak() - before < 250 * 2**20
    assert time.process_time() - start < 10


# ---- ImageNet


@pytest.mark.parametrize(("reader", "count", "place"), [(imagenet10, 10, "ImageNet"), (imagenet100, 100, "imagenet")])
def test_imagenet_is_read_from_the_class_folders_of_the_papers(tmp_path, reader, count, place):
    root, classes = tmp_path / place, WNIDS[:count]
    for part, images in (("train", 2), ("val", 1)):
        draw_folder(root / part, classes, images, mode="RGB")
    alone = image_folder(root, size=6)
    for part in ("train", "val", "test"):
        draw_folder(root / part, ("n00000001", *WNIDS[count:], "n99999999"), 1, mode="RGB")
    data = reader(tmp_path, size=6)
    assert (data.name, data.shape, data.class_names) == (f"ImageNet{count}", (3, 6, 6), classes)
    assert data.facts == FACTS[data.name]
    for c, name in enumerate(classes):
        k = alone.class_names.index(name)
        assert torch.equal(data.train.images[data.train.rows(c)], alone.train.images[alone.train.rows(k)])
        assert torch.equal(data.test.images[data.test.labels == c], alone.test.images[alone.test.labels == k])


def test_imagenet_has_224_pixels_and_100_classes(tmp_path):
    assert len(CLASSES) == 100
    assert sorted(CLASSES.values()) == [CLASSES[wnid] for wnid in sorted(CLASSES)]
    assert 0 <= min(CLASSES.values()) < max(CLASSES.values()) < 1000
    draw_folder(tmp_path / "ImageNet" / "train", WNIDS[:10], 1, mode="RGB", size=(300, 200))
    draw_folder(tmp_path / "ImageNet" / "val", WNIDS[:10], 1, mode="RGB", size=(200, 300))
    assert imagenet10(tmp_path).shape == (3, 224, 224)


def test_the_command_line_reads_the_papers_data_by_name(tmp_path):
    write_svhn(tmp_path)
    for name in CIFARS:
        write_cifar(tmp_path, "binary", name)
    for part in ("train", "val"):
        draw_folder(tmp_path / "ImageNet" / part, WNIDS, 1, mode="RGB")
    for reader in (svhn, cifar10, cifar100):
        assert same(read(Source(reader.__name__, str(tmp_path))), reader(tmp_path))
    for reader in (imagenet10, imagenet100):
        assert same(read(Source(reader.__name__, str(tmp_path), size=5)), reader(tmp_path, size=5))
    assert read(Source("ImageNet10", str(tmp_path))).shape == (3, 224, 224)


# ---- a folder of pictures


def draw_picture(path, mode="L", size=(8, 6), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    picture = Image.fromarray(pixels).convert(mode)
    picture.save(path)
    return np.asarray(picture)


def draw_folder(folder, classes=("cat", "dog"), count=5, **how):
    for c, name in enumerate(classes):
        for i in range(count):
            draw_picture(folder / name / f"{i}.png", seed=100 * c + i, **how)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("1", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("CMYK", 3)])
def test_a_folder_is_gray_where_every_picture_is(tmp_path, mode, channels):
    for name in ("cat", "dog"):
        for i in range(2):
            draw_picture(tmp_path / name / f"{i}.tif", mode)
    assert image_folder(tmp_path).shape == (channels, 6, 8)


def test_gray_pictures_among_colored_ones_become_rgb(tmp_path):
    draw_folder(tmp_path / "train", count=2)
    draw_folder(tmp_path / "test", count=2)
    gray = draw_picture(tmp_path / "train" / "cat" / "0.png", "L", seed=7)
    colored = draw_picture(tmp_path / "train" / "dog" / "1.png", "RGB", seed=8)
    data = image_folder(tmp_path)
    assert data.shape == (3, 6, 8)
    assert data.test.shape == (3, 6, 8)
    assert torch.equal(data.train.images[0], torch.from_numpy(gray.copy()).expand(3, 6, 8))
    assert torch.equal(data.train.images[3], torch.from_numpy(colored.copy()).permute(2, 0, 1))


def test_a_picture_with_a_transparent_palette_is_read_without_a_warning(tmp_path):
    draw_folder(tmp_path)
    picture = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).convert("P")
    picture.save(tmp_path / "cat" / "0.png", transparency=bytes(range(48)))
    assert image_folder(tmp_path).shape == (3, 6, 8)


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_folder_s_own_test_part_is_taken(tmp_path, part, heard):
    draw_folder(tmp_path / "train", ("cat", "dog", "emu"), 4)
    for i in range(3):
        draw_picture(tmp_path / part / "dog" / f"{i}.png", seed=900 + i)
    last = draw_picture(tmp_path / part / "emu" / "x.PNG", seed=999)
    data = image_folder(tmp_path)
    assert data.class_names == ("cat", "dog", "emu")
    assert data.train.sizes == [4, 4, 4]
    assert data.test.labels.tolist() == [1, 1, 1, 2]
    assert torch.equal(data.test.images[3, 0], torch.from_numpy(last.copy()))
    assert data.name == tmp_path.name
    assert data.source == tmp_path
    assert not heard()


def test_without_a_test_part_a_fifth_is_held_out_seeded_and_said(tmp_path, heard):
    draw_folder(tmp_path, ("cat", "dog"), 10)
    data = image_folder(tmp_path)
    assert data.train.sizes == [8, 8]
    assert data.test.labels.bincount().tolist() == [2, 2]
    assert not set(as_rows(data.train.images)) & set(as_rows(data.test.images))
    assert same(data, image_folder(tmp_path))
    assert f"{tmp_path}: no test part; 4 of 20" in heard()[0]
    assert "held out" in heard()[0]


@pytest.mark.parametrize("size", [(8, 24), (24, 8), (9, 25), (16, 48), (5, 15)])
def test_size_resizes_the_shorter_side_and_cuts_out_the_middle(tmp_path, size):
    pixels = np.zeros((size[1], size[0]), np.uint8)
    middle = slice(max(size) // 3 - 1, max(size) - max(size) // 3 + 1)
    pixels[middle if size[1] > size[0] else slice(None), middle if size[0] > size[1] else slice(None)] = 255
    for name, bright in (("cat", 255), ("dog", 102)):
        (tmp_path / name).mkdir()
        for i in range(2):
            Image.fromarray((pixels * (bright / 255)).astype(np.uint8)).save(tmp_path / name / f"{i}.png")
    data = image_folder(tmp_path, size=8)
    assert data.shape == (1, 8, 8)
    for row, bright in zip(data.train.images[:, :, 1:-1, 1:-1], (255, 102), strict=True):
        assert row.unique().tolist() == [bright]


def test_size_makes_odd_sizes_alike(tmp_path):
    for i, size in enumerate([(8, 8), (7, 11), (33, 9), (64, 64), (1, 1)]):
        draw_picture(tmp_path / "train" / "cat" / f"{i}.png", size=size)
    draw_picture(tmp_path / "train" / "dog" / "0.png", size=(9, 8))
    draw_picture(tmp_path / "test" / "cat" / "0.png", size=(13, 17))
    data = image_folder(tmp_path, size=8)
    assert data.shape == data.test.shape == (1, 8, 8)
    assert len(data.train) == 6
    kept = np.asarray(Image.open(tmp_path / "train" / "cat" / "0.png"))
    assert torch.equal(data.train.images[0, 0], torch.from_numpy(kept.copy()))


def test_files_that_are_no_pictures_are_named(tmp_path, caplog):
    draw_folder(tmp_path)
    (tmp_path / "cat" / "notes.txt").write_text("x")
    (tmp_path / "cat" / "more").mkdir()
    (tmp_path / "cat" / ".hidden").write_text("x")
    (tmp_path / "labels.csv").write_text("x")
    image_folder(tmp_path)
    assert f"{tmp_path}: ignored, since they are in no class folder: labels.csv" in caplog.text
    assert "cat: ignored, since they are not pictures: more, notes.txt" in caplog.text


def test_hidden_files_and_files_that_are_no_pictures_are_passed_over(tmp_path):
    draw_folder(tmp_path / "train")
    draw_folder(tmp_path / "test")
    before = image_folder(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part / ".DS_Store").write_text("")
        (tmp_path / part / "notes.txt").write_text("notes")
        (tmp_path / part / "cat" / "._0.png").write_text("no picture")
        (tmp_path / part / "cat" / "notes.txt").write_text("notes")
        draw_picture(tmp_path / part / ".hidden" / "0.png")
    assert same(before, image_folder(tmp_path))


# ---- .npz


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.float16])
@pytest.mark.parametrize(
    ("channels", "arrange"),
    [
        (1, lambda x: x[:, 0]),
        (1, lambda x: x),
        (1, lambda x: x.transpose(0, 2, 3, 1)),
        (3, lambda x: x),
        (3, lambda x: x.transpose(0, 2, 3, 1)),
    ],
    ids=["NHW", "N1HW", "NHW1", "N3HW", "NHW3"],
)
def test_npz_takes_gray_and_rgb_with_channels_first_or_last(tmp_path, dtype, channels, arrange):
    images, labels = made(shape=(channels, 5, 7), dtype=dtype)
    save = {"x_train": arrange(images), "y_train": labels, "x_test": arrange(images[:4]), "y_test": labels[:4]}
    np.savez(tmp_path / "made.npz", **save)
    data = npz(tmp_path / "made.npz")
    expected = torch.from_numpy(images if dtype == np.uint8 else np.rint(images * 255).astype(np.uint8))
    assert data.name == "made"
    assert data.shape == (channels, 5, 7)
    assert torch.equal(data.train.images, expected[torch.argsort(torch.from_numpy(labels), stable=True)])
    assert torch.equal(data.test.images, expected[:4])


def test_floats_that_were_eight_bits_take_a_byte_again_and_others_stay():
    images, labels = made()
    assert from_arrays(images / 255, labels).train.bytes_per_image == images[0].size
    assert torch.equal(from_arrays(images / 255, labels).train.images, from_arrays(images, labels).train.images)
    between = images / 255
    between[0, 0, 0] = 0.4 / 255
    assert from_arrays(between, labels).train.images.dtype == torch.float32


@pytest.mark.parametrize(
    "written",
    [
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.uint16) * 257,
        lambda x: x.astype(np.uint16),
        lambda x: x / 255,
        lambda x: x if len(x) == 1 else x / 255,
        lambda x: x.astype(np.float32) * (0.4 if len(x) == 1 else 1),
    ],
    ids=["integers", "floats to 255", "16 bits", "8 of 16 bits", "floats to 1", "bytes for tests", "dark tests"],
)
def test_arrays_in_other_ranges_are_the_same_rows_and_what_was_understood_is_said(written, tmp_path, heard):
    images, labels = made()
    names = np.array(["dog", "cat", "emu"])
    np.savez(tmp_path / "made.npz", images=written(images), labels=names[labels], test_images=written(images[:1]),
             test_labels=names[labels[:1]])  # fmt: skip
    data = npz(tmp_path / "made.npz")
    assert data.class_names == ("cat", "dog", "emu")
    order = np.argsort(names[labels], kind="stable")
    unit = data.train.space.unit(data.train.read(slice(None)))
    assert torch.allclose(255 * unit[:, 0], torch.from_numpy(images[order]).float(), atol=1e-3)
    assert data.class_names[data.test.labels[0]] == names[labels[0]]
    assert f"{len(images)} images of 1x" in heard()[0]
    assert "3 classes: cat, dog, emu" in heard()[0]


def test_bytes_and_floats_of_one_picture_are_the_same_rows():
    (images, labels), (unit, _) = made(), made(dtype=np.float64)
    a, b = (from_arrays(x, labels, x, labels).to(torch.float64) for x in (images, unit))
    assert torch.allclose(a.train.read(slice(None)), b.train.read(slice(None)), atol=1e-5)


@pytest.mark.parametrize(
    ("values", "dtype"), [((3, 7, 100), np.int64), ((3, 7, 100), np.uint8), ((-1, 0, 1), np.int8), ((0, 1, 2), ">i4")]
)
def test_any_integer_labels_become_class_ids_in_increasing_order(tmp_path, values, dtype):
    images, ids = made()
    labels = np.array(values, dtype)[ids]
    np.savez(tmp_path / "made.npz", x_train=images, y_train=labels, x_test=images, y_test=labels[:, None])
    data = npz(tmp_path / "made.npz")
    assert data.class_names == tuple(map(str, values))
    assert data.train.sizes == list(SIZES)
    assert data.test.labels.tolist() == ids.tolist()


def test_npz_without_a_test_part_is_split_and_said(tmp_path, heard):
    images, labels = made((10, 20))
    np.savez_compressed(tmp_path / "made.npz", x_train=images, y_train=labels)
    data = npz(tmp_path / "made.npz")
    assert data.train.sizes == [8, 16]
    assert same(data, npz(tmp_path / "made.npz"))
    assert "made.npz: no test part; 6 of 30" in heard()[0]


def test_a_set_that_leaves_no_test_row_is_refused():
    images, labels = made((1, 1, 1))
    with pytest.raises(InputError, match="test"):
        from_arrays(images, labels)


# ---- strangers' files


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n%%EOF\n"


def test_no_picture_starts_a_program(tmp_path, monkeypatch):
    draw_folder(tmp_path / "data")
    (tmp_path / "data" / "cat" / "0.png").write_bytes(POSTSCRIPT)
    (tmp_path / "bin").mkdir()
    fake = tmp_path / "bin" / "gs"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(InputError, match="not a readable picture"):
        image_folder(tmp_path / "data")
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_is_no_picture(tmp_path, heard):
    draw_folder(tmp_path)
    before = image_folder(tmp_path)
    os.mkfifo(tmp_path / "cat" / "9.png")
    assert same(before, image_folder(tmp_path))
    assert "cat: 1 of its pictures are not regular files" in heard()[1]


@pytest.mark.parametrize("name", ["cat\x1b[2J", "cat\n", "cat\u202e", os.fsdecode(b"cat\xff")])
def test_a_class_name_that_is_no_plain_text_is_refused(name, tmp_path):
    draw_folder(tmp_path, (name, "dog"))
    with pytest.raises(InputError, match="not printable text") as refused:
        image_folder(tmp_path)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("names", [("cat", "cat"), ("cat", ""), ("cat", "x" * 257)])
def test_class_names_differ_and_are_short(names):
    images, labels = made((3, 3))
    with pytest.raises(InputError, match="rename"):
        from_arrays(images, labels, class_names=names)


@pytest.mark.parametrize("place", range(1, 9))
def test_a_photo_s_orientation_is_obeyed(place, tmp_path):
    draw_folder(tmp_path, count=3, size=(8, 8))
    first = Image.open(tmp_path / "cat" / "0.png").copy()
    tag = Image.Exif()
    tag[0x0112] = place
    first.save(tmp_path / "cat" / "0.png", exif=tag)
    shown = ImageOps.exif_transpose(Image.open(tmp_path / "cat" / "0.png"))
    found = image_folder(tmp_path)
    shown.save(tmp_path / "cat" / "0.png")
    assert same(found, image_folder(tmp_path))


def test_another_tag_that_cannot_be_written_again_harms_no_photo(tmp_path):
    draw_folder(tmp_path, count=3, size=(8, 8))
    first, tag = Image.open(tmp_path / "cat" / "0.png").copy(), Image.Exif()
    tag[0x0112], tag[0x0128] = 6, 2
    content = tag.tobytes()
    # the unit of the resolution as text, as some cameras write it
    entry = content.index(struct.pack(">H", 0x0128))
    broken = content[:entry] + struct.pack(">HHI4s", 0x0128, 2, 4, b"in\0\0") + content[entry + 12 :]
    first.save(tmp_path / "cat" / "0.png", exif=broken)
    with pytest.raises(Exception, match="required argument is not"), Image.open(tmp_path / "cat" / "0.png") as picture:
        ImageOps.exif_transpose(picture)
    found = image_folder(tmp_path)
    first.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "cat" / "0.png")
    assert same(found, image_folder(tmp_path))


@counted
def test_no_more_is_enlarged_than_what_is_kept(tmp_path):
    draw_folder(tmp_path, count=2)
    Image.new("L", (1, 60000), 9).save(tmp_path / "cat" / "0.png")
    memory.forget_peak()
    before = memory.resident()
    assert image_folder(tmp_path, size=400).shape == (1, 400, 400)
    assert memory.peak() - before < 100 * 2**20


@counted
def test_pictures_of_too_many_pixels_are_refused_unseen(tmp_path, monkeypatch):
    draw_folder(tmp_path)
    Image.new("1", (9000, 9000)).save(tmp_path / "cat" / "0.png")
    memory.forget_peak()
    before = memory.resident()
    with pytest.raises(InputError, match="9000 x 9000 pixels"):
        image_folder(tmp_path, size=8)
    assert memory.peak() - before < 50 * 2**20
    draw_picture(tmp_path / "cat" / "0.png")
    for size in (20_000, 99_999_999):
        with pytest.raises(InputError, match="CONDENSERY_LIMIT_GB"):
            image_folder(tmp_path, size=size)


@pytest.mark.parametrize("shape", [(2**22, 2**21, 2**21), (2**31, 2, 2**31), (60000, 2**12, 2**12)])
def test_an_idx_header_beyond_all_memory_is_refused(shape, tmp_path, family_arrays):
    folder = tmp_path / "MNIST" / "raw"
    write_idx(folder, True, family_arrays)
    head = b"\0\0\x08\x03" + np.array(shape, ">u4").tobytes()
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + bytes(1000)))
    with pytest.raises(InputError, match="CONDENSERY_LIMIT_GB"):
        mnist(tmp_path)


def test_arrays_that_unpack_beyond_the_limit_are_refused(tmp_path, monkeypatch):
    images, labels = made((10, 20))
    np.savez_compressed(tmp_path / "made.npz", x_train=np.zeros_like(images), y_train=labels)
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1e-7")
    with pytest.raises(InputError, match="its arrays would take"):
        npz(tmp_path / "made.npz")


def test_an_entry_that_is_no_array_does_not_hide_the_size_of_one(tmp_path, monkeypatch):
    images, labels = made((10, 20))
    np.savez(tmp_path / "made.npz", x_train=images, y_train=labels)
    with zipfile.ZipFile(tmp_path / "made.npz", "a") as archive:
        for name in ("x_train", "y_train"):
            archive.writestr(name, b"")
    assert len(npz(tmp_path / "made.npz").train) == 24
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1e-6")
    with pytest.raises(InputError, match="its arrays would take"):
        npz(tmp_path / "made.npz")


@pytest.mark.parametrize(("train", "test"), [("train", "valid"), ("Train", "Test"), ("training", "validation")])
def test_parts_are_known_by_their_usual_names(train, test, tmp_path, heard):
    draw_folder(tmp_path / train)
    draw_folder(tmp_path / test, count=2)
    data = image_folder(tmp_path)
    assert data.class_names == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (10, 4)
    assert heard() == [f"{tmp_path}: {train}/ is the training part, {test}/ the test part"]


def test_what_is_left_alone_beside_the_parts_is_said(tmp_path, heard):
    for part in ("train", "test", "val", "extra"):
        draw_folder(tmp_path / part)
    image_folder(tmp_path)
    assert "test/ is the test part; ignored: extra/, val/" in heard()[0]


def test_two_training_parts_are_refused(tmp_path):
    for part in ("train", "Train"):
        draw_folder(tmp_path / part)
    with pytest.raises(InputError, match="both training parts"):
        image_folder(tmp_path)


@pytest.mark.parametrize("value", [0, 77])
def test_images_of_one_flat_color_are_refused(value):
    images, labels = made((5, 5))
    images[:] = value
    with pytest.raises(InputError, match="same flat color"):
        from_arrays(images, labels)


def test_images_that_are_all_the_same_are_not_whitened():
    images, labels = made((5, 5))
    images[:] = images[0]
    with pytest.raises(InputError, match="cannot be whitened"):
        from_arrays(images, labels).whitened()


def test_one_class_is_refused():
    images, labels = made((5,))
    with pytest.raises(InputError, match="only one class"):
        from_arrays(images, labels)


def test_how_many_are_held_out_is_said_as_it_is(heard):
    images, labels = made((2,) * 60)
    from_arrays(images, labels)
    assert "60 of 120 images are held out as test images (one fifth of each class, at least one image)" in heard()[0]


# ---- any torch Dataset


def test_a_tensor_dataset_is_read_as_its_tensors():
    images, labels = made(shape=(3, 8, 6), dtype=np.float32)
    train = TensorDataset(torch.from_numpy(images), torch.from_numpy(labels))
    data = from_dataset(train, TensorDataset(*train[:4]))
    assert data.class_names == ("0", "1", "2")
    assert same(data, from_arrays(images, labels, images[:4], labels[:4]))


def test_tensors_of_any_kind_and_lists_are_arrays():
    images, labels = made(dtype=np.float32)
    rounded = torch.from_numpy(images).bfloat16()
    wanted = from_arrays(rounded.float().numpy(), labels)
    assert same(from_arrays(rounded.float().requires_grad_(), torch.from_numpy(labels)), wanted)
    assert same(from_arrays(rounded, labels.tolist()), wanted)
    assert same(from_arrays(rounded.float().tolist(), labels), wanted)
    pairs = list(zip(rounded.requires_grad_(), torch.from_numpy(labels), strict=True))
    assert same(from_dataset(pairs), wanted)
    with Pretending():
        there = rounded.to(ELSEWHERE)
        assert same(
            from_arrays(there, torch.from_numpy(labels).to(ELSEWHERE), there, labels),
            from_arrays(rounded, labels, rounded, labels),
        )
    with pytest.raises(InputError, match="x_train: not an array"):
        from_arrays([[[0, 0], [0, 0]], [[0, 0], [0]]], [0, 1])


class Pictures(list):
    classes = ("cat", "dog", "emu")


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 3)])
def test_a_dataset_of_pil_pictures_brings_its_class_names(shape, heard):
    images, labels = made((5, 5, 5), shape)
    data = from_dataset(Pictures((Image.fromarray(x), int(y)) for x, y in zip(images, labels, strict=True)))
    assert data.class_names == ("cat", "dog", "emu")
    assert data.shape == ((shape[2:] or (1,))[0], 8, 6)
    assert same(data, from_arrays(images, labels, class_names=("cat", "dog", "emu")))
    assert "no test part" in heard()[0]


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGBA", "CMYK"])
def test_a_dataset_of_pil_pictures_gives_the_pixels_that_are_seen(mode):
    images, labels = made((5, 5, 5), (8, 6, 3))
    pictures = [Image.fromarray(x).convert(mode) for x in images]
    seen = [np.asarray(picture.convert("L" if mode in ("1", "LA") else "RGB")) for picture in pictures]
    data = from_dataset(list(zip(pictures, labels, strict=True)))
    assert same(data, from_arrays(np.stack(seen), labels))


def test_given_class_names_win():
    images, labels = made()
    pictures = Pictures(zip(images, labels, strict=True))
    assert from_dataset(pictures, pictures, class_names=("x", "y", "z")).class_names == ("x", "y", "z")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        ([], "the dataset is empty"),
        ([(np.zeros((8, 8), np.uint8), 0), (np.zeros((8, 9), np.uint8), 1)], "images differ in size"),
        ([(np.full((8, 8), 2.0), 0)] * 4, "between 0 and 1"),
        ("digits", "give a map-style dataset"),
        (iter([]), "give a map-style dataset"),
        ([1, 2], "must give pairs"),
        ([(np.zeros((8, 8), np.uint8), "cat")], "integer label"),
        ([(np.zeros((8, 8), np.uint8), 0.7)], "integer label"),
        ([([[0, 0], [0]], 0)], "not an array"),
        (DataLoader(TensorDataset(torch.zeros(2))), "give the dataset that it loads"),
    ],
)
def test_a_dataset_that_cannot_be_read_is_refused(pairs, words):
    with pytest.raises(InputError, match=words):
        from_dataset(pairs, pairs)
