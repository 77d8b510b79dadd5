"""Every bad input is one clear line on stderr and exit status 2 (1 where a run fails) and harms nothing."""

import contextlib
import io
import logging
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import cifar_file, colored, pickled, write_cifar, write_svhn
from PIL import Image
from safetensors.numpy import load_file, save_file

from condensery.cli import main
from condensery.cli.names import RECIPES
from condensery.data import digits
from condensery.data.imagenet import CLASSES
from condensery.networks.convnet import ConvNet
from condensery.recipes import DC
from condensery.runs.checkpoint import Interrupted
from condensery.runs.run import run
from condensery.runs.storage import read_tensors, write_tensors

WNIDS = tuple(CLASSES)

SMALL = "--real-rows 4 --net.width 8"
QUICK = f"--ipc 1 --outer-steps 2 {SMALL}"
ARTIFACT = "condensed.safetensors"


@pytest.fixture(scope="module", autouse=True)
def logger_put_back():
    log = logging.getLogger("condensery")
    handlers, level, propagate = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.propagate = handlers, propagate
    log.setLevel(level)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("good") / "run"
    assert main(f"run dc:quick --data digits {QUICK} --out {out}".split()) == 0
    return out


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory):
    """The same run, stopped after its first step."""
    out = tmp_path_factory.mktemp("unfinished") / "run"
    recipe = replace(DC.quick(), outer_steps=2, real_rows=4, net=ConvNet(width=8))
    with pytest.raises(Interrupted):
        run(recipe, digits(), out, stop=iter([False, True]).__next__)
    assert (out / "checkpoint.safetensors").exists()
    return out


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@cache
def options(command: str, name: str = "") -> set[str]:
    """The options that the help of a command lists; `name` may be that of its recipe."""
    with contextlib.redirect_stdout(io.StringIO()) as told:
        main([command, *[name] * (command in ("run", "plan") and name in RECIPES), "--help"])
    return set(re.findall(r"--[a-z][\w.-]*", told.getvalue()))


@pytest.fixture
def refuse(tmp_path, good, capsys):
    """Run a command; it fails with one line that says `words`, and every file that was there stays as it was."""

    def command(line: str, *words: str, status: int = 2) -> None:
        before = contents(tmp_path) | contents(good)
        reached = main(line.format(tmp=tmp_path, good=good).split())
        lines = capsys.readouterr().err.splitlines()
        assert reached == status, lines
        assert [line for line in lines if not line.startswith("condensery: ")] == []
        flags = set(re.findall(r"--[a-z][\w.-]*", lines[-1])) - set(re.findall(r"--[a-z][\w.-]*", line))
        assert flags <= options(*line.split()[:2]) | {"--init"}  # of dc, which a message recommends
        said = [word.format(tmp=tmp_path, good=good) for word in words]
        assert [word for word in said if word not in lines[-1]] == [], lines[-1]
        after = contents(tmp_path) | contents(good)
        assert {path: after.get(path) == content for path, content in before.items()} == dict.fromkeys(before, True)
        assert not [path for path in after.keys() - before.keys() if path.name.endswith((".part", ARTIFACT))]

    return command


# ---- data


X = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
Y = np.repeat([0, 1], 10)


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


def arrays(save=np.savez, **changes):
    def make(tmp):
        content = {"x_train": X, "y_train": Y} | changes
        save(tmp / "data.npz", **{name: array for name, array in content.items() if array is not None})

    return make


def changed(**at):
    unit = X / 255
    for row, value in at.items():
        unit[int(row[1:]), 0, 0] = value
    return unit


def file(content):
    return lambda tmp: (tmp / "data.npz").write_bytes(content)


def bytes_of(make, damage):
    def made(tmp):
        make(tmp)
        path = tmp / "data.npz"
        path.write_bytes(damage(path.read_bytes()))

    return made


def npy(tmp):
    with open(tmp / "data.npz", "wb") as file:
        np.save(file, X)


def picture(path, size=(8, 8), seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)).save(path)


def pictures(*parts, then=lambda folder: None):
    def make(tmp):
        for part in parts or (".",):
            for name in ("cat", "dog"):
                for i in range(5):
                    picture(tmp / "data" / part / name / f"{i}.png", seed=i)
        then(tmp / "data")

    return make


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def nothing(tmp):
    pass


BAD_ARRAYS = {
    "NaN": (arrays(x_train=changed(_3=np.nan)), ["x_train", "image 3", "NaN"]),
    "infinity": (arrays(x_train=changed(_5=np.inf)), ["x_train", "image 5", "infinity"]),
    "NaN in the test part": (arrays(x_test=changed(_2=np.nan), y_test=Y), ["x_test", "image 2", "NaN"]),
    "above 1": (arrays(x_train=changed(_3=1.5)), ["x_train", "0 to 1.5", "between 0 and 1"]),
    "below 0": (arrays(x_train=changed(_3=-0.5)), ["x_train", "-0.5 to 1", "between 0 and 1"]),
    "integers above 255": (arrays(x_train=X.astype(int) * 2), ["x_train", "0 to 510", "from 0 to 255"]),
    "floats of an unknown range": (arrays(x_train=X / 16), ["x_train", "0 to 15.9375", "between 0 and 255"]),
    "a pickle": (file(pickle.dumps(Bomb())), ["not a readable .npz"]),
    "an object array": (arrays(x_train=np.array([Bomb()] * 20)), ["x_train holds Python objects", "astype"]),
    "object labels": (arrays(y_train=np.array([Bomb()] * 20)), ["y_train holds Python objects", "astype"]),
    "no labels": (arrays(y_train=None), ["no array named y_train", "x_train"]),
    "no images": (arrays(x_train=None), ["no array named x_train", "y_train"]),
    "nothing in it": (arrays(x_train=None, y_train=None), ["no array named x_train", "nothing"]),
    "test images without labels": (arrays(x_test=X), ["x_test and y_test"]),
    "a cut archive": (bytes_of(arrays(), lambda content: content[:-40]), ["not a readable .npz"]),
    "an empty file": (file(b""), ["not a readable .npz"]),
    "text": (file(b"no archive\n"), ["not a readable .npz"]),
    "a damaged array": (
        bytes_of(arrays(np.savez_compressed), lambda content: content[:200] + b"\xff" * 50 + content[250:]),
        ["not a readable .npz"],
    ),
    "an unknown compression": (
        bytes_of(
            arrays(), lambda content: content[: (at := content.index(b"PK\1\2") + 10)] + b"\x63" + content[at + 1 :]
        ),
        ["not a readable .npz"],
    ),
    "a single array": (npy, ["not a readable .npz"]),
    "fractional labels": (arrays(y_train=Y + 0.5), ["y_train", "labels must be integers or texts", "float64"]),
    "a test label that no training image has": (
        arrays(y_train=Y.astype(str), x_test=X, y_test=np.array(["x"] * 20)),
        ["test label 'x'", "does not occur"],
    ),
    "one-hot labels": (
        arrays(y_train=np.eye(2, dtype=int)[Y]),
        ["y_train", "integers or texts", "(20, 2)"],
    ),
    "too few labels": (arrays(y_train=Y[:7]), ["y_train", "7 labels for 20 images"]),
    "two places of channels": (arrays(x_train=np.zeros((20, 3, 28, 1), np.uint8)), ["(20, 3, 28, 1)", "channels"]),
    "a flat image": (arrays(x_train=X.reshape(20, 64)), ["x_train", "(20, 64)"]),
    "five channels": (arrays(x_train=np.zeros((20, 8, 8, 5), np.uint8)), ["x_train", "(20, 8, 8, 5)", "channels"]),
    "no pixels": (arrays(x_train=np.zeros((20, 0, 8))), ["x_train", "(20, 0, 8)"]),
    "no rows": (arrays(x_train=X[:0], y_train=Y[:0]), ["x_train", "(0, 8, 8)"]),
    "no test rows": (arrays(x_test=X[:0], y_test=Y[:0]), ["x_test", "(0, 8, 8)"]),
    "one row per class": (arrays(y_train=np.arange(20)), ["test"]),
    "a test label beyond the classes": (
        arrays(x_test=X, y_test=Y + 1),
        ["test label 2", "does not occur in the training labels", "0 to 1"],
    ),
    "a test label between the classes": (
        arrays(y_train=2 * Y, x_test=X, y_test=Y),
        ["test label 1", "does not occur in the training labels"],
    ),
    "test images in another range": (arrays(x_test=X / 255, y_test=Y), ["x_test", "up to 1 only", "255 is white"]),
    "test images in a range of 16 bits": (
        arrays(x_train=X.astype(np.uint16) * 257, x_test=X.astype(int), y_test=Y),
        ["x_test", "up to 255 only", "65535 is white"],
    ),
    "test images of another size": (arrays(x_test=X[:, :6], y_test=Y), ["1x6x8", "1x8x8"]),
}

BAD_FOLDERS = {
    "a file in place of a folder": (
        lambda tmp: (tmp / "data").write_text("text"),
        ["{tmp}/data", "not an .npz", "np.savez"],
    ),
    "no classes": (lambda tmp: picture(tmp / "data" / "0.png"), ["{tmp}/data", "no class folders"]),
    "an empty class": (pictures(then=lambda folder: (folder / "emu").mkdir()), ["data/emu", "no picture"]),
    "an empty test class": (
        pictures("train", "test", then=lambda folder: [path.unlink() for path in folder.glob("test/dog/*")]),
        ["data/test/dog", "no picture"],
    ),
    "text named .png": (
        pictures(then=lambda folder: (folder / "cat" / "x.png").write_text("text")),
        ["cat/x.png", "not a readable picture"],
    ),
    "an empty picture": (
        pictures(then=lambda folder: (folder / "cat" / "x.png").touch()),
        ["cat/x.png", "not a readable picture"],
    ),
    "a cut picture": (pictures(then=lambda folder: cut(folder / "dog" / "2.png")), ["dog/2.png", "not a readable"]),
    "a picture of floats": (
        pictures(then=lambda folder: Image.fromarray(np.zeros((8, 8), np.float32)).save(folder / "cat" / "x.tif")),
        ["cat/x.tif", "floating-point", "8 or 16 bits"],
    ),
    "mixed sizes": (
        pictures(then=lambda folder: picture(folder / "dog" / "x.png", (9, 8))),
        ["differ in size", "dog/x.png", "9x8", "8x8", "--size"],
    ),
    "a test part of another size": (
        pictures("train", then=lambda folder: picture(folder / "test" / "cat" / "x.png", (9, 8))),
        ["differ in size", "test/cat/x.png", "--size"],
    ),
    "a class in test/ alone": (
        pictures("train", "test", then=lambda folder: picture(folder / "test" / "emu" / "0.png")),
        ["data/test/emu", "no folder in the training part"],
    ),
    "an empty test/": (pictures("train", then=lambda folder: (folder / "test").mkdir()), ["{tmp}/data/test"]),
    "no train/": (pictures("test"), ["{tmp}/data", "no train/"]),
    "one picture a class": (
        lambda tmp: [picture(tmp / "data" / name / "0.png") for name in ("cat", "dog")],
        ["{tmp}/data", "test"],
    ),
}


def svhn_with(name="train_32x32.mat", damage=lambda content: content, **arrays):
    def make(tmp):
        write_svhn(tmp, **arrays)
        (tmp / "SVHN" / name).write_bytes(damage((tmp / "SVHN" / name).read_bytes()))

    return make


def cifar_with(version, file, content, name="cifar10"):
    def make(tmp):
        write_cifar(tmp, version, name)
        path = next(tmp.glob("cifar-*")) / file
        path.unlink() if content is None else path.write_bytes(content)

    return make


def photos(*parts, then=lambda folder: None):
    def make(tmp):
        for part, wnid in product(parts, WNIDS[:10]):
            picture(tmp / "ImageNet" / part / wnid / "0.jpeg")
        then(tmp / "ImageNet")

    return make


BYTES = cifar_file("binary", "cifar10", *next(colored(10, 1)))
BAD_LAYOUTS = {
    "svhn, no file": (lambda tmp: (tmp / "SVHN").mkdir(), ["SVHN/train_32x32.mat: no such file"]),
    "svhn, text": (svhn_with(damage=lambda old: b"text\n"), ["train_32x32.mat", "not a little-endian"]),
    "svhn, MATLAB 7.3": (svhn_with(damage=lambda old: old[:124] + b"\0\2IM" + old[128:]), ["MATLAB 5 file"]),
    "svhn, cut": (svhn_with("test_32x32.mat", lambda old: old[:-5]), ["test_32x32.mat", "cut off"]),
    "svhn, damaged": (svhn_with(damage=lambda old: old[:-99] + b"\xff" * 9 + old[-90:]), ["not a readable file"]),
    "svhn, other images": (svhn_with(X=np.zeros((8, 8, 3, 10), np.uint8)), ["X is uint8", "(8, 8, 3, 10)"]),
    "svhn, floats": (svhn_with(X=np.zeros((32, 32, 3, 10))), ["X is float64"]),
    "svhn, complex": (svhn_with(X=np.zeros((32, 32, 3, 10)) + 1j), ["X is not an array of real numbers"]),
    "svhn, a structure": (svhn_with(X={"a": 1}), ["X is not an array of real numbers"]),
    "svhn, a label 11": (svhn_with(y=np.full((10, 1), 11)), ["labels", "0 to 10"]),
    "svhn, too few labels": (svhn_with(y=np.ones((9, 1), int)), ["9 labels"]),
    "cifar10, no file": (cifar_with("binary", "test_batch.bin", None), ["test_batch.bin: no such file"]),
    "cifar10, no bytes": (cifar_with("binary", "test_batch.bin", b""), ["test_batch.bin", "0 bytes"]),
    "cifar10, cut": (cifar_with("binary", "test_batch.bin", BYTES[:-1]), ["30,729 bytes", "3,073"]),
    "cifar10, a label 10": (
        cifar_with("binary", "data_batch_3.bin", b"\n" + BYTES[1:]),
        ["data_batch_3", "from 0 to 9"],
    ),
    "cifar100, a bomb": (
        cifar_with("python 3", "meta", pickle.dumps(Bomb(), protocol=2), "cifar100"),
        ["cifar-100-python/meta", "nothing in it is executed"],
    ),
    "cifar100, too few names": (
        cifar_with("binary", "fine_label_names.txt", b"apple\n", "cifar100"),
        ["fine_label_names.txt", "1 names for 100 classes"],
    ),
    "imagenet10, no class": (photos("train"), ["ImageNet/val/n02869837: no such folder", "ImageNet10"]),
    "imagenet10, an empty class": (
        photos("train", "val", then=lambda folder: (folder / "train/n02107142/0.jpeg").unlink()),
        ["ImageNet/train/n02107142", "no pictures of this class"],
    ),
    "imagenet10 --size 0, no pixels": (photos("train", "val"), ["--size", "at least 1"]),
    "imagenet10 --size 99999, many pixels": (photos("train", "val"), ["--size 99999", "CONDENSERY_LIMIT_GB"]),
}

ROWS, NUMBERS = np.zeros((10, 3072), np.uint8), list(range(10))
BAD_PICKLES = {
    "a bomb": (Bomb(), "nothing in it is executed"),
    "a bomb beside the data": ({"data": ROWS, "labels": NUMBERS, "more": Bomb()}, "nothing in it is executed"),
    "a bomb for labels": ({"data": ROWS, "labels": [Bomb()] * 10}, "nothing in it is executed"),
    "a bomb for images": ({"data": np.array([[Bomb()]]), "labels": [1]}, "other than numbers"),
    "a command": (b"cos\nsystem\n(S'touch exploded'\ntR.", "os.system"),
    "a command in place of an array": (b"cnumpy\nndarray\n(U\5touchtR.", "other than numbers"),
    "another codec": (b"c_codecs\nencode\n(U\1aU\3hextR.", "other than numbers"),
    "a filled text": (b"U\1a}b.", "other than bytes in rows"),
    "an extension": (b"\x82\1.", "EXT1"),
    "a persistent id": (b"U\1aQ.", "BINPERSID"),
    "an instance": (b"(ios\nsystem\n.", "INST"),
    "a cut pickle": (pickled({"data": ROWS, "labels": NUMBERS})[:-9], "not a readable file"),
    "no pickle": (b"text", "not a readable file"),
    "something that is not there": (b"h\0.", "make no sense"),
    "nothing": (b"\x80\2.", "make no sense"),
    "protocol 4": (pickle.dumps([], protocol=4), "(MEMOIZE)"),
    "a list": (NUMBERS, "no dictionary"),
    "no labels": ({"data": ROWS, "fine_labels": NUMBERS}, "named labels"),
    "labels in text": ({"data": ROWS, "labels": list("0123456789")}, "named labels"),
    "a label 10": ({"data": ROWS, "labels": [*NUMBERS[1:], 10]}, "from 0 to 9"),
    "a label -1": ({"data": ROWS, "labels": [*NUMBERS[1:], -1]}, "from 0 to 9"),
    "too few labels": ({"data": ROWS, "labels": NUMBERS[1:]}, "9 labels"),
    "floats": ({"data": ROWS / 1, "labels": NUMBERS}, "other than numbers"),
    "images of another size": ({"data": ROWS[:, 1:], "labels": NUMBERS}, "(10, 3071)"),
    "images with four axes": ({"data": ROWS.reshape(10, 3, 32, 32), "labels": NUMBERS}, "in rows and columns"),
}


@pytest.mark.parametrize(("content", "words"), BAD_PICKLES.values(), ids=BAD_PICKLES)
def test_bad_pickles(content, words, tmp_path, refuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = content if isinstance(content, bytes) else pickled(content)
    cifar_with("python 2", "data_batch_2", content)(tmp_path)
    refuse("run random --data cifar10 --data-dir {tmp} --ipc 1 --out {tmp}/out", "-py/data_batch_2: not a", words)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize("name", BAD_LAYOUTS)
def test_bad_layouts(name, tmp_path, good, refuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, words = BAD_LAYOUTS[name]
    make(tmp_path)
    shutil.copytree(good, tmp_path / "out")
    data = name.partition(",")[0]
    refuse(f"run random --data {data} --data-dir {{tmp}} --ipc 1 --out {{tmp}}/out", *words)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(("make", "words"), BAD_ARRAYS.values(), ids=BAD_ARRAYS)
def test_bad_arrays(make, words, tmp_path, good, refuse, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(tmp_path)
    shutil.copytree(good, tmp_path / "out")
    refuse("run random --data {tmp}/data.npz --ipc 1 --out {tmp}/out", "{tmp}/data.npz", *words)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(("make", "words"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_bad_folders(make, words, tmp_path, good, refuse):
    make(tmp_path)
    shutil.copytree(good, tmp_path / "out")
    refuse("run random --data {tmp}/data --ipc 1 --out {tmp}/out", *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--data {tmp}/nowhere", ["--data {tmp}/nowhere", "neither a name nor a path that exists"]),
        ("--data {tmp}/nowhere.npz", ["{tmp}/nowhere.npz", "no such file"]),
        ("--data digts", ["--data digts", "did you mean digits?", "mnist"]),
        ("--data minst", ["--data minst", "did you mean mnist?"]),
        ("--data xyzzy", ["--data xyzzy", "digits, mnist"]),
        ("--data mnist", ["MNIST", "--data-dir", "CONDENSERY_DATA"]),
        ("--data mnist --data-dir {tmp}/nowhere", ["{tmp}/nowhere", "no such folder"]),
        ("--data usps --data-dir {tmp}", ["{tmp}/USPS", "no such folder"]),
        (
            "--data cifar10 --data-dir {tmp}",
            ["/cifar-10-batches-bin: no such folder, nor cifar-10-batches-py/"],
        ),
        ("--data imagenet100 --data-dir {tmp}", ["{tmp}/ImageNet", "no such folder"]),
        ("--data svhn --size 8", ["--size", "svhn"]),
        ("--data digits --size 8", ["--size", "digits"]),
        ("--data {tmp}/data.npz --size 8", ["--size", "data.npz"]),
        ("--data {tmp}/data --size 0", ["--size", "at least 1", "0"]),
        ("--data {tmp}/data --size -4", ["--size", "at least 1", "-4"]),
        ("--data digits --device nowhere", ["--device nowhere", "cpu"]),
        ("--data digits --device meta", ["--device meta", "cpu"]),
    ],
)
@pytest.mark.parametrize(
    "command", ["run random --ipc 1 --out {tmp}/out", "evaluate {good} --repeats 1", "compare --methods random"]
)
def test_data_that_is_not_to_be_had(command, options, words, tmp_path, refuse, monkeypatch):
    monkeypatch.delenv("CONDENSERY_DATA", raising=False)
    arrays()(tmp_path)
    pictures()(tmp_path)
    refuse(f"{command} {options}", *words)


# ---- the words of a command


RUN = "run dc:quick --data digits --out {tmp}/out"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("rnu dc:quick", ["unknown command 'rnu'", "did you mean run?"]),
        ("condense", ["unknown command 'condense'", "run, resume, plan, evaluate"]),
        ("--verison", ["--verison"]),
        ("run", ["RECIPE", "dc:quick"]),
        ("run --data digits", ["RECIPE", "dc:quick"]),
        ("run dc:quik --data digits --out {tmp}/out", ["unknown recipe 'dc:quik'", "did you mean dc:quick?"]),
        ("run DC --data digits --out {tmp}/out", ["unknown recipe 'DC'", "random"]),
        (f"{RUN} --outer-step 3", ["--outer-step", "--outer-steps INT"]),
        (f"{RUN} --network-epoch 3", ["--network-epoch", "--network-epochs"]),
        (f"{RUN} --xyzzy", ["--xyzzy"]),
        (f"{RUN} surplus", ["surplus"]),
        ("run dc:quick --out {tmp}/out", ["--data"]),
        ("run dc:quick --data digits", ["--out"]),
        ("run dc:quick --data digits --out", ["--out"]),
        (f"{RUN} --ipc abc", ["--ipc", "abc"]),
        (f"{RUN} --ipc 1.5", ["--ipc", "1.5"]),
        (f"{RUN} --lr much", ["--lr", "much"]),
        (f"{RUN} --init nose", ["--init", "nose", "noise"]),
        (f"{RUN} --distance far", ["--distance", "far", "layerwise_cosine"]),
        (f"{RUN} --net vgg", ["unknown network 'vgg'", "vgg11", "torchvision:NAME"]),
        (f"{RUN} --net", ["--net"]),
        (f"{RUN} --net mlp --net.depth 3", ["--net.depth"]),
        (f"{RUN} --net torchvision:xyzzy", ["--net torchvision:xyzzy", "torchvision"]),
        (f"{RUN} --net vgg11 --net.depth 12", ["--net.depth", "12", "11"]),
        (f"{RUN} --ipc 0", ["--ipc", "at least 1", "got 0"]),
        (f"{RUN} --ipc -1", ["--ipc", "at least 1", "got -1"]),
        (f"{RUN} --outer-steps -3", ["--outer-steps", "at least 1", "got -3"]),
        (f"{RUN} --outer-steps 0", ["--outer-steps", "at least 1", "got 0"]),
        (f"{RUN} --inner-steps 0", ["--inner-steps", "at least 1", "got 0"]),
        (f"{RUN} --network-epochs -1", ["--network-epochs", "at least 0", "got -1"]),
        (f"{RUN} --real-rows 0", ["--real-rows", "at least 1", "got 0"]),
        (f"{RUN} --lr -0.1", ["--lr", "at least 0", "got -0.1"]),
        (f"{RUN} --lr nan", ["--lr", "nan"]),
        (f"{RUN} --lr inf", ["--lr", "inf"]),
        (f"{RUN} --checkpoint-seconds -1", ["--checkpoint-seconds", "at least 0", "got -1"]),
        (f"{RUN} --net.width 0", ["--net.width", "from 1 to 4,096", "got 0"]),
        (f"{RUN} --net.depth 0", ["--net.depth", "from 1 to 32", "got 0"]),
        ("run herding --data digits --out {tmp}/out --feature-epochs -1", ["--feature-epochs", "at least 0", "got -1"]),
        ("run forgetting --data digits --out {tmp}/out --epochs 0", ["--epochs", "at least 1", "got 0"]),
        ("evaluate --data digits", ["FILE", "the folder of a run"]),
        ("evaluate {good} --data digits --repeat 3", ["--repeat", "--repeats INT"]),
        ("evaluate {good} --data digits --repeats 0", ["--repeats", "at least 1", "got 0"]),
        ("evaluate {good} --data digits --repeats -1", ["--repeats", "at least 1", "got -1"]),
        ("evaluate {good} --data digits --repeats few", ["--repeats", "few"]),
        ("evaluate {good} --data digits --protocol dc2020", ["unknown protocol 'dc2020'", "did you mean dc2021?"]),
        ("evaluate {good} --data digits --networks convnet vgg", ["unknown network 'vgg'", "convnet, convnet4, mlp"]),
        ("evaluate {good} --data digits --scores --networks mlp lenet", ["--scores", "all but one"]),
        ("plan auto --data digits", ["run", "auto", "plans by itself"]),
        ("data --size 8", ["--data"]),
        ("nas --data digits --proxies random --grid dc --networks mlp lenet", ["--grid", "give one of them"]),
        ("continual --data digits --memory random --steps 10", ["--steps", "expected two whole numbers, got '10'"]),
        ("nas --data digits --proxies random --settings 0", ["settings", "2"]),
        ("evaluate {good} --sizes a", ["--sizes", "cannot read 'a'"]),
        ("subset {good} --out {tmp}/part.safetensors", ["give one of --ipc and --budget"]),
        ("privacy --data digits --methods random --dtype bfloat16", ["--dtype"]),
        ("compare --data digits", ["--methods"]),
        ("compare --data digits --methods", ["--methods", "random"]),
        ("compare --data digits --methods random randm", ["'randm'", "did you mean random?"]),
        ("compare --data digits --methods random --csv {tmp}/t --json {tmp}/t", ["--json", "the same file"]),
        ("compare --data digits --methods random --ipc 0", ["--ipc", "at least 1", "got 0"]),
        ("compare --data digits --methods random --repeats -1", ["--repeats", "at least 1", "got -1"]),
        ("compare --data digits --methods random --protocol whole10", ["unknown protocol 'whole10'", "whole"]),
        ("compare --data digits --methods random --net.width 0", ["--net.width", "from 1 to 4,096"]),
        ("show", ["STR"]),
        ("show {good} --pgn {tmp}/x.png", ["--pgn", "--png"]),
    ],
)
def test_wrong_words(line, words, tmp_path, refuse):
    refuse(line, *words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_a_wrong_word_is_one_line_in_every_encoding(encoding, refuse, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    refuse(f"{RUN} --outer-step 3", "--outer-step", "--outer-steps")


@pytest.mark.parametrize("command", ["run dc:quick --out {tmp}/out", "compare --methods random"])
def test_a_network_too_deep_for_the_images(command, refuse):
    refuse(f"{command} --ipc 1 --data digits --net.depth 9", "depth 9", "8x8", "at most 3")


# ---- more images per class than there are


@pytest.mark.parametrize("recipe", [f"dc:quick {SMALL}", "random", "herding", "k-center", "forgetting"])
def test_more_real_images_than_a_class_has(recipe, tmp_path, refuse):
    arrays(x_train=X[:14], y_train=Y[:14])(tmp_path)
    refuse(f"run {recipe} --data {{tmp}}/data.npz --ipc 4 --out {{tmp}}/out", "ipc 4", "class '1'", "3")


@pytest.mark.parametrize("methods", ["random", "herding", "k-center", "forgetting"])
def test_more_real_images_than_a_class_has_in_a_comparison(methods, refuse):
    refuse(f"compare --data digits --ipc 1000 --methods {methods} --net.width 8", "ipc 1000", "class '8'", "139")


# ---- where results go


OUT_OF_REACH = [
    ("{tmp}/file/out", "Not a directory"),
    ("{tmp}/file", ""),
    pytest.param("/proc/nowhere", "", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")),
]


@pytest.mark.parametrize(("out", "reason"), OUT_OF_REACH)
@pytest.mark.parametrize("command", [f"run dc:quick {QUICK}", "run random --ipc 1", "compare --methods random"])
def test_an_out_that_cannot_be_written(command, out, reason, tmp_path, refuse):
    (tmp_path / "file").write_text("kept")
    refuse(f"{command} --data digits --out {out}", f"--out {out}", "cannot be written", reason, "another folder")


@pytest.mark.parametrize("target", ["{tmp}/nowhere/x.json", "{tmp}/file/x.json", "{tmp}"])
@pytest.mark.parametrize("command", ["evaluate {good}", "compare --methods random --net.width 8"])
def test_a_json_that_cannot_be_written(command, target, tmp_path, refuse):
    (tmp_path / "file").write_text("kept")
    refuse(f"{command} --data digits --repeats 1 --json {target}", f"--json {target}")


@pytest.mark.parametrize("png", ["{tmp}/nowhere/x.png", "{tmp}/file/x.png", "{tmp}"])
def test_a_png_that_cannot_be_written(png, tmp_path, refuse):
    (tmp_path / "file").write_text("kept")
    refuse(f"show {{good}} --png {png}", f"--png {png}", "cannot be written")


OTHERS = [
    ("run dc:quick --data digits --ipc 2 --outer-steps 2", "ipc"),
    (f"run dc:quick --data digits {QUICK} --lr 0.2", "lr"),
    (f"run dc:quick --data digits {QUICK} --seed 1", "seed"),
    (f"run dc:quick --data {{tmp}}/data.npz {QUICK}", "data"),
    ("run random --data digits --ipc 1", ""),
]


@pytest.mark.parametrize(("line", "word"), OTHERS)
def test_an_out_that_holds_another_finished_run(line, word, tmp_path, refuse):
    arrays()(tmp_path)
    refuse(f"{line} --out {{good}}", "{good} contains another", word, "another folder (--out)")


@pytest.mark.parametrize(("line", "word"), OTHERS)
def test_an_out_that_holds_another_unfinished_run(line, word, tmp_path, unfinished, refuse):
    arrays()(tmp_path)
    shutil.copytree(unfinished, tmp_path / "out")
    refuse(f"{line} --out {{tmp}}/out", "{tmp}/out contains another run", word, "another folder (--out)")


def test_a_comparison_s_out_that_holds_another_run(tmp_path, unfinished, refuse):
    shutil.copytree(unfinished, tmp_path / "out" / "dc-digits")
    refuse(
        "compare --data digits --methods dc random --net.width 8 --out {tmp}/out",
        "{tmp}/out/dc-digits contains another run",
        "another folder (--out)",
    )


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_cut_checkpoint(share, tmp_path, unfinished, refuse):
    shutil.copytree(unfinished, tmp_path / "out")
    cut(tmp_path / "out" / "checkpoint.safetensors", share)
    refuse(f"{RUN} {QUICK}", "{tmp}/out/checkpoint.safetensors", "remove it")


def test_a_checkpoint_that_is_none(tmp_path, unfinished, good, refuse):
    shutil.copytree(unfinished, tmp_path / "out")
    shutil.copy(good / ARTIFACT, tmp_path / "out" / "checkpoint.safetensors")
    refuse(f"{RUN} {QUICK}", "{tmp}/out/checkpoint.safetensors", "remove it")


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_an_out_whose_artifact_is_cut(share, tmp_path, good, refuse):
    shutil.copytree(good, tmp_path / "out")
    cut(tmp_path / "out" / ARTIFACT, share)
    refuse(f"{RUN} {QUICK}", f"{{tmp}}/out/{ARTIFACT}", "truncated")


# ---- artifacts


def deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


def metadata(**entries):
    """Damage to entries of the head, under a checksum that fits; None takes one away."""

    def damage(path):
        head, parts = read_tensors(path)
        for name, value in entries.items():
            *above, last = name.split("__")
            inner = head
            for key in above:
                inner = inner[key]
            if value is None:
                del inner[last]
            else:
                inner[last] = value
        write_tensors(path, parts, head)

    return damage


def tensors(change):
    """Damage to the tensors, under a checksum that fits."""

    def damage(path):
        head, parts = read_tensors(path)
        changed = change({name: part.numpy() for name, part in parts.items()})
        write_tensors(path, {name: torch.from_numpy(np.asarray(part)) for name, part in changed.items()}, head)

    return damage


def foreign(head):
    """The same tensors under the head of another program."""
    return lambda path: save_file(load_file(path), path, head)


def flipped(byte):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[byte] ^= 1
        path.write_bytes(content)

    return damage


BAD_ARTIFACTS = {
    "missing": (Path.unlink, ["no such file"]),
    **{
        f"cut at {share}": (lambda path, share=share: cut(path, share), ["truncated"])
        for share in (0, 0.001, 0.01, 0.2, 0.5, 0.9, 0.9999)
    },
    "text": (lambda path: path.write_text("no artifact\n" * 99), ["not a safetensors file"]),
    "a pickle": (lambda path: torch.save({"bases": 1}, path), ["not a safetensors file"]),
    "longer than it says": (lambda path: path.write_bytes(path.read_bytes() + b"x"), ["not a safetensors file"]),
    "another program's": (foreign({}), ["condensery did not write"]),
    "another program's, with metadata": (foreign({"format": "pt"}), ["condensery did not write"]),
    "metadata that is no JSON": (foreign({"condensery": "{"}), ["head is damaged", "create or copy it again"]),
    "metadata that is no table": (foreign({"condensery": "[1]"}), ["head is damaged"]),
    "almost no metadata": (
        lambda path: write_tensors(path, read_tensors(path)[1], {"format": 1}),
        ["do not fit together"],
    ),
    "a later format": (metadata(format=999), ["format 999", "format 1", "install"]),
    **{
        f"no {name}": (metadata(**{name: None}), ["do not fit together"])
        for name in (
            "class_names",
            "space",
            "space__mean",
            "decoder",
            "shape",
            "recipe",
            "recipe__name",
            "steps",
            "data",
        )
    },
    "no fingerprint": (metadata(data__fingerprint=None), ["do not fit together"]),
    "a recipe that is no table": (metadata(recipe=[1]), ["do not fit together"]),
    "an unknown decoder": (metadata(decoder__name="xyzzy"), ["unknown decoder 'xyzzy'"]),
    "an unknown network": (metadata(recipe__net={"family": "xyzzy"}), ["network family 'xyzzy'"]),
    "an unknown field of the network": (metadata(recipe__net={"family": "mlp", "depth": 1}), ["mlp has other fields"]),
    "a network without a family": (metadata(recipe__net={"width": 1}), ["do not fit together"]),
    "one class name too few": (metadata(class_names=list("012345678")), ["do not fit together"]),
    "another shape": (metadata(shape=[1, 8, 9]), ["do not fit together"]),
    "a mean too many": (metadata(space__mean=[0.1, 0.2]), ["do not fit together"]),
    "an unknown pixel space": (metadata(space__stored="xyzzy"), ["do not fit together"]),
    "no images": (tensors(lambda parts: {"other": parts["bases"]}), ["do not fit together (no images)"]),
    "no image of a class": (tensors(lambda parts: {"bases": parts["bases"][:, :0].copy()}), ["do not fit together"]),
    "integers": (tensors(lambda parts: {"bases": parts["bases"].astype(int)}), ["do not fit together"]),
    "NaN": (tensors(lambda parts: {"bases": parts["bases"] * np.nan}), ["NaN"]),
    "a flipped bit": (flipped(-100), ["damaged", "checksum"]),
    "a head without its checksum": (foreign({"condensery": '{"format": 1}'}), ["damaged", "checksum"]),
    "a head as deep as a well": (
        foreign({"condensery": '{"checksum": "", "head": ' + '{"a":' * 10**5 + "1" + "}" * 10**5 + "}"}),
        ["head is damaged"],
    ),
    "a recipe as deep as a well": (metadata(recipe__deep=deep(500)), ["nested too deeply"]),
    "class names that are numbers": (metadata(class_names=list(range(10))), ["class_names", "do not fit together"]),
    "a mean beyond all numbers": (metadata(space__mean=[10**400]), ["space.mean", "do not fit together"]),
    "a deviation of 0": (metadata(space__std=[0.0]), ["space.std", "do not fit together"]),
    "a deviation below 0": (metadata(space__std=[-1.0]), ["space.std", "do not fit together"]),
    "a shape without pixels": (metadata(shape=[1, 0, 8]), ["shape", "do not fit together"]),
    "a network as wide as the world": (metadata(recipe__net={"family": "mlp", "width": 10**30}), ["net.width"]),
    "a tensor too many": (tensors(lambda parts: {**parts, "other": np.zeros(1)}), ["do not fit together"]),
}


READ = [("show", name) for name in BAD_ARTIFACTS]  # every command reads an artifact by the same function
READ += [("evaluate --data digits", name) for name in ("a pickle", "NaN", "a flipped bit")]


@pytest.mark.parametrize(("command", "name"), READ)
def test_bad_artifacts(command, name, tmp_path, good, refuse):
    path, (damage, words) = tmp_path / ARTIFACT, BAD_ARTIFACTS[name]
    shutil.copy(good / ARTIFACT, path)
    damage(path)
    refuse(f"{command} {path}", str(path), *words)


@pytest.mark.parametrize("command", ["show", "evaluate --data digits --repeats 1"])
def test_a_folder_without_an_artifact(command, tmp_path, unfinished, refuse):
    (tmp_path / "empty").mkdir()
    refuse(f"{command} {tmp_path}/empty", "{tmp}/empty", f"no {ARTIFACT}")
    refuse(f"{command} {unfinished}", str(unfinished), f"no {ARTIFACT}", "resume")
    refuse(f"{command} {unfinished}/checkpoint.safetensors", str(unfinished), "condensed set")


def test_a_set_of_other_classes_than_the_data_s(tmp_path, refuse):
    arrays()(tmp_path)
    refuse("evaluate {good} --data {tmp}/data.npz", "10 classes", "data has 2", "beyond the classes")


def test_a_set_of_another_shape_than_the_data_s(tmp_path, refuse):
    ten = np.arange(20) % 10
    arrays(x_train=X[:, :6], y_train=ten)(tmp_path)
    refuse("evaluate {good} --data {tmp}/data.npz", "(1, 8, 8)", "(1, 6, 8)")


def test_a_set_of_classes_with_other_names_than_the_data_s(tmp_path, refuse):
    arrays(x_train=np.repeat(X, 5, 0), y_train=np.arange(100) % 10 + 3)(tmp_path)
    refuse("evaluate {good} --data {tmp}/data.npz", "class '0'", "in the condensed set but not in data")


# ---- runs that fail


@pytest.mark.parametrize("options", ["--lr 1e30 --outer-steps 5", "--lr 1e38 --outer-steps 1 --distance l1"])
def test_a_loss_or_an_image_that_is_not_finite(options, tmp_path, refuse):
    refuse(
        f"run dc:quick --data digits --ipc 1 {SMALL} {options} --out {{tmp}}/out",
        "a lower learning rate",
        status=1,
    )


@pytest.mark.parametrize(
    "options", ["--network-lr 1e45", "--lr 1e300", "--real-rows 99999999999999", "--net.width 1000000"]
)
def test_a_number_beyond_all_use(options, refuse):
    refuse(f"run dc:quick --data digits --ipc 1 {options} --out {{tmp}}/out", options.split()[0], "must be a", "got")


def test_a_number_of_400_digits(refuse):
    digits = "9" * 400
    refuse(f"run random --data digits --budget {digits} --out {{tmp}}/out", "no number of bytes")
    refuse(f"subset {{good}} --budget {digits}MB --out {{tmp}}/out.safetensors", "no number of bytes")
    refuse(f"continual --data digits --memory random --ipc 1 --then digits --steps {digits} 1", "--steps must be")


@pytest.mark.parametrize("recipe", ["dm", "auto"])
@pytest.mark.parametrize("seconds", ["inf", "nan", "-1"])
def test_seconds_that_run_json_could_not_hold(recipe, seconds, refuse):
    refuse(f"run {recipe} --data digits --checkpoint-seconds={seconds} --out {{tmp}}/out", "--checkpoint-seconds must")


@pytest.mark.parametrize("command", ["subset {good} --ipc 1", "export {good} --to torch"])
def test_a_set_is_not_replaced_by_what_is_made_of_it(command, refuse):
    refuse(f"{command} --out {{good}}/condensed.safetensors", "is the condensed set that is read")


def test_more_images_than_memory_holds(refuse):
    refuse("run dc --data digits --ipc 9999999 --out {tmp}/out", "--ipc 9999999", "CONDENSERY_LIMIT_GB")
    codes = "run kfs:digits --data digits --init noise --out {tmp}/out --ipc"
    refuse(f"{codes} 9999999", "--ipc 9999999: the initial codes", "CONDENSERY_LIMIT_GB")
    pool = "run kfs:digits+unrolled --data digits --out {tmp}/out --network-pool"
    refuse(f"{pool} 999999999", "999,999,999 networks", "CONDENSERY_LIMIT_GB")


def test_a_message_is_one_short_line(refuse):
    refuse("evaluate {good} --data " + "x" * 3000 + "\x1b[2J", "...", "folder of pictures")
    for command in (
        "show",
        "run random --ipc 1 --data digits --out",
        "evaluate {good} --data digits --repeats 1 --json",
    ):
        refuse(f"{command} " + "x" * 3000)


LIMITED = """
import resource, runpy, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
runpy.run_module("condensery", run_name="__main__", alter_sys=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
@pytest.mark.parametrize("share", [0.1, 0.95])
def test_a_full_disk_leaves_no_half_written_artifact_and_the_command_resumes(share, tmp_path, good, capfd):
    limit = int(share * (good / ARTIFACT).stat().st_size)
    command = f"run dc:quick --data digits {QUICK} --out {tmp_path}/out".split()
    full = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, str(limit), *command],
        capture_output=True, text=True, timeout=60, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    lines = full.stderr.splitlines()
    assert full.returncode == 1, full.stderr
    assert [line for line in lines if not line.startswith("condensery: ")] == []
    assert "File too large" in lines[-1]
    assert f"{tmp_path}/out/" in lines[-1]  # which file
    assert "repeat the command" in lines[-1]
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith((ARTIFACT, ".part"))]
    assert main(command) == 0
    assert (tmp_path / "out" / ARTIFACT).read_bytes() == (good / ARTIFACT).read_bytes()
