"""Exports: what every format says, and that code that does not know this library trains on it as well as we do."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import blobs
from lists import RECIPES
from PIL import Image
from safetensors import safe_open
from sklearn.linear_model import LogisticRegression

import condensery as cd
from condensery.cli import main
from condensery.data.pixels import PixelSpace, Whitening
from condensery.errors import InputError
from condensery.evaluation.protocols import Protocol
from condensery.evaluation.training import Training
from condensery.exchange.exports import export, measured
from condensery.runs.artifact import save
from condensery.runs.condensed import Condensed
from condensery.synthetic import SyntheticSet

KINDS = ("idc 2", "dc soft labels", "kfs whole")
SUFFIX = {"npz": ".npz", "torch": ".safetensors"}


def made(name, class_names=("a", "b", "c")):
    return cd.condense(RECIPES[name], blobs().called("blobs", class_names), progress=False)


def written(condensed, to, tmp_path, **more):
    return export(condensed, tmp_path / f"x{SUFFIX.get(to, '')}", to, **more)


@pytest.mark.parametrize("name", KINDS)
def test_arrays_hold_the_decoded_rows_and_what_normalizes_them(name, tmp_path):
    condensed = made(name)
    x, y = condensed.tensors()
    unit = condensed.space.unit(x).float()
    with np.load(written(condensed, "npz", tmp_path).files[0]) as arrays:
        assert np.array_equal(arrays["images"], unit)
        assert arrays["class_names"].tolist() == ["a", "b", "c"]
        normalized = (arrays["images"] - arrays["mean"][:, None, None]) / arrays["std"][:, None, None]
        assert np.allclose(normalized, x, atol=1e-5)
        about = json.loads(str(arrays["about"]))
        labels, soft = arrays["labels"], arrays["soft_labels"] if y.is_floating_point() else None
    with safe_open(written(condensed, "torch", tmp_path).files[0], "pt") as file:
        assert json.loads(file.metadata()["about"]) == about
        assert torch.equal(file.get_tensor("images"), unit)
        assert np.array_equal(file.get_tensor("labels"), labels)
    assert np.array_equal(labels, np.repeat(range(3), condensed.rows_per_class))
    assert np.allclose(soft, y) if soft is not None else np.array_equal(labels, y)
    assert about["stored"] == {
        "per class": condensed.bases_per_class,
        "floats": condensed.floats,
        "bytes": condensed.bytes,
    }
    assert about["decoded"]["bytes"] == unit.numel() * 4


@pytest.mark.parametrize("name", KINDS)
def test_pictures_are_read_back_by_our_reader_and_by_datasets(name, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    condensed = made(name)
    pixels, _ = condensed.tensors(space="uint8")
    folder = tmp_path / "images"
    export(condensed, folder, "images")
    for number, class_name in enumerate("abc"):
        for place, file in enumerate(sorted((folder / class_name).iterdir())):
            with Image.open(file) as picture:
                own = pixels[number * condensed.rows_per_class + place, 0]
                assert np.array_equal(np.asarray(picture), own)
    assert cd.image_folder(folder).class_names == ("a", "b", "c")
    export(condensed, tmp_path / "hf", "hf")
    train = datasets.load_dataset(str(tmp_path / "hf"), split="train", cache_dir=str(tmp_path / "cache"))
    assert train.features["label"].names == ["a", "b", "c"]
    assert np.array_equal(np.stack([np.asarray(row["image"]) for row in train]), pixels[:, 0])
    if condensed.synthetic.labels is not None:
        assert np.allclose(train["soft_label"], condensed.tensors()[1])


def test_the_card_says_size_recipe_accuracy_and_license(tmp_path):
    condensed = made("idc 2")
    figure = {"accuracy": 0.5, "std": 0.01, "n": 5, "protocol": "idc2022", "network": {"family": "convnet"}}
    packaged = {**figure, "network": {"factory": "torchvision:resnet18", "arguments": ""}}
    own = {**figure, "network": {"factory": "mine.made", "source": "0"}}
    export(condensed, tmp_path / "x", "hf", [figure, packaged, own], "cc-by-4.0")
    said = (tmp_path / "x" / "README.md").read_text()
    for part in ('license: "cc-by-4.0"', "50.0 ± 1.0", f"{condensed.floats:,} floats", "load_dataset", '"name": "idc"'):
        assert part in said
    for network in ("convnet", "torchvision:resnet18", "a custom network"):
        assert f"| {network} |" in said
    strange = {**condensed.recipe, "name": "<img src=x>\n# idc"}
    export(replace(condensed, recipe=strange, version="1\n# 2"), tmp_path / "z", "hf")
    said = (tmp_path / "z" / "README.md").read_text().partition("```json")[0]
    assert "<img" not in said.replace("\\<", "")
    assert len([line for line in said.splitlines() if line.startswith("#")]) == 4
    export(condensed, tmp_path / "y", "hf")
    said = (tmp_path / "y" / "README.md").read_text()
    assert "Not measured" in said
    assert "not stated" in said


def test_what_a_format_cannot_hold_is_said(tmp_path):
    condensed = made("dc soft labels")
    condensed.synthetic.bases.data[0] = 9.0
    notes = " ".join(written(condensed, "images", tmp_path).notes)
    assert "were clamped" in notes
    assert "soft labels" in notes
    assert not written(condensed, "npz", tmp_path).notes
    space = PixelSpace((0.4,), (0.3,), "normalized", Whitening(torch.zeros(64), 2 * torch.eye(64)))
    white = SyntheticSet(torch.randn(3, 1, 1, 8, 8), space)
    white = Condensed(white, ("a", "b", "c"), {"name": "dc"}, 1, condensed.data)
    assert "whitened" in " ".join(export(white, tmp_path / "w", "images").notes)
    with np.load(written(white, "npz", tmp_path).files[0]) as arrays:
        normalized = ((arrays["images"] - 0.4) / 0.3).reshape(3, -1)
        rows = (normalized - arrays["whitening_center"]) @ arrays["whitening_matrix"]
        assert np.allclose(rows, white.tensors()[0].flatten(1), atol=1e-5)
    matrix = Whitening(torch.randn(64), torch.randn(64, 64) + 8 * torch.eye(64))
    white = replace(white, synthetic=SyntheticSet(white.synthetic.bases.detach(), replace(space, whitening=matrix)))
    (tmp_path / 'a "b"').mkdir()
    exec(export(white, tmp_path / 'a "b"' / "x.safetensors", "torch").loader, loaded := {})
    assert torch.allclose(loaded["train"].tensors[0], white.tensors()[0], atol=1e-4)
    assert torch.equal(loaded["train"].tensors[1], white.tensors()[1])


def test_class_names_become_folders_whatever_they_are(tmp_path):
    names = ("../A_b-2", "_a:b", "_a?b")
    condensed = made("dc 2", names)
    done = written(condensed, "images", tmp_path)
    assert all(tmp_path / "x" in file.parents for file in done.files)
    folders = json.loads((tmp_path / "x" / "about.json").read_text())["folders"]
    assert len({folder.lower() for folder in folders}) == 3
    assert all((tmp_path / "x" / folder / "0000.png").is_file() for folder in folders)


def test_the_benchmark_gets_its_own_constants(tmp_path):
    condensed = made("idc 2")
    with pytest.raises(InputError, match="blobs"):
        export(condensed, tmp_path / "no", "ddranking")
    color = SyntheticSet(torch.rand(3, 2, 3, 8, 8), PixelSpace((0.5,) * 3, (0.2,) * 3, "unit"))
    color = Condensed(color, ("a", "b", "c"), {"name": "idc"}, 1, {**condensed.data, "name": "CIFAR100"})
    export(color, tmp_path / "dd", "ddranking")
    images = torch.load(tmp_path / "dd" / "images.pt", weights_only=True)
    unit = color.tensors(space="unit")[0]
    assert torch.allclose(images[:, 0], (unit[:, 0] - 0.4914) / 0.2023, atol=1e-6)
    assert "ipc: 2" in (tmp_path / "dd" / "config.yaml").read_text()
    white = replace(color.synthetic.space, whitening=Whitening(torch.zeros(192), torch.eye(192)))
    color = replace(color, synthetic=SyntheticSet(color.synthetic.bases.detach(), white))
    assert "use_zca: false" in export(color, tmp_path / "white", "ddranking").files[0].read_text()


TRAINED = """
import json, pathlib, sys
import numpy as np
import torch
from datasets import load_dataset
from PIL import Image
from torch import nn

root = pathlib.Path(sys.argv[1])
held = torch.load(root / "test.pt", weights_only=True)

def block(before):
    return nn.Sequential(nn.Conv2d(before, 32, 3, padding=1), nn.GroupNorm(32, 32), nn.ReLU(), nn.AvgPool2d(2))

def trained(x, y, seed):
    torch.manual_seed(seed)
    net = nn.Sequential(block(1), block(32), nn.Flatten(), nn.Linear(128, 10))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)
    for _ in range(100):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        return (net(held["images"]).argmax(1) == held["labels"]).float().mean().item()

def pixels(pictures):
    return torch.tensor(np.stack([np.asarray(picture) for picture in pictures])).float()[:, None] / 255

sets = {}
with np.load(root / "set.npz") as arrays:
    sets["npz"] = torch.tensor(arrays["images"]), torch.tensor(arrays["labels"])
files = sorted(root.glob("images/*/*.png"))
sets["images"] = pixels(map(Image.open, files)), torch.tensor([int(file.parent.name) for file in files])
train = load_dataset(str(root / "hf"), split="train", cache_dir=str(root / "cache"))
sets["hf"] = pixels(train["image"]), torch.tensor(train["label"])
normalized = {name: ((x - held["mean"]) / held["std"], y) for name, (x, y) in sets.items()}
loaded = {}
exec(sys.stdin.read(), loaded)  # what the command printed
normalized["torch"] = loaded["train"].tensors
reached = {name: [trained(*rows, seed) for seed in range(4)] for name, rows in normalized.items()}
assert not any("condensery" in name for name in sys.modules)
print(json.dumps(reached))
"""
"""Trains on every export with other libraries, and prints the accuracies."""


def test_a_script_without_this_library_trains_on_every_format_as_well(tmp_path, capsys):
    pytest.importorskip("datasets")
    data = cd.digits()
    recipe = cd.DM(ipc=2, steps=20, lr=10.0, real_rows=64, net=cd.ConvNet(width=16))
    small = cd.condense(recipe, data.train, progress=False)
    save(small, tmp_path / "own")
    mean, std, test = small.space.mean[0], small.space.std[0], data.test.normalized_by(small.space)
    held = {"images": test.read(slice(None)), "labels": test.labels, "mean": mean, "std": std}
    torch.save(held, tmp_path / "test.pt")
    for to, name in (("npz", "set.npz"), ("images", "images"), ("hf", "hf"), ("torch", "set.safetensors")):
        assert main(["export", str(tmp_path / "own"), "--to", to, "-o", str(tmp_path / name)]) == 0
    loader = capsys.readouterr().out.partition("copy:")[2]
    done = subprocess.run(
        [sys.executable, "-c", TRAINED, str(tmp_path)],
        input=loader,
        capture_output=True,
        text=True,
        env={"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    reached = {to: np.mean(runs) for to, runs in json.loads(done.stdout).items()}
    plain = Protocol("plain", Training(momentum=0.9), steps=100)
    ours = cd.evaluate(small, data, cd.ConvNet(width=32), lambda *_: plain, repeats=4, progress=False)
    assert set(reached) == {"npz", "torch", "images", "hf"}
    assert all(abs(accuracy - ours.mean) < 0.05 for accuracy in reached.values()), (reached, ours.runs)
    assert ours.mean > 0.5
    with np.load(tmp_path / "set.npz") as arrays:
        flat, labels = arrays["images"].reshape(len(arrays["images"]), -1), arrays["labels"]
    learned = LogisticRegression(max_iter=200).fit(flat, labels)
    assert learned.score(test.space.unit(held["images"]).flatten(1), test.labels) > 0.5


def test_the_command_refuses_what_it_cannot_write(tmp_path, capsys):
    path = str(save(made("dc 2"), tmp_path / "set"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    for words, complaint in (
        (["--to", "images", "-o", str(tmp_path / "full")], "not an empty folder"),
        (["--to", "npz", "-o", str(tmp_path / "set.zip")], ".npz"),
        (["--to", "hf", "-o", str(tmp_path / "x"), "--figures", str(tmp_path / "none.json")], "none.json"),
    ):
        assert main(["export", path, *words]) == 2
        assert complaint in capsys.readouterr().err
    assert (tmp_path / "full" / "note.txt").read_text() == "mine"


def test_figures_must_be_of_this_set_and_of_its_data(tmp_path):
    condensed, file = made("dc 2"), tmp_path / "f.json"
    result = {"accuracy": 0.5, "std": 0.1, "runs": [0.4, 0.6], "protocol": "dc2021", "network": {}}
    result |= {"floats": condensed.floats, "bytes": condensed.bytes}

    def write(method, fingerprint=condensed.data["fingerprint"], **recipe):
        rival = {**result, "method": "random", "accuracy": 0.3}
        content = {"data": {"fingerprint": fingerprint}, "results": [{**result, "method": method}, rival], **recipe}
        file.write_text(json.dumps({**content, "date": "2026-01-01"}))

    write("dc:3min", recipes=[{"row": "dc:3min", **condensed.recipe}, {"row": "random", "name": "random"}])  # compare
    assert [(each["accuracy"], each["n"]) for each in measured(condensed, file)] == [(0.5, 2)]
    write("dc", recipe=condensed.recipe)  # evaluate
    assert [(each["accuracy"], each["n"]) for each in measured(condensed, file)] == [(0.5, 2)]
    with pytest.raises(InputError, match="another recipe"):
        measured(made("idc 2"), file)
    with pytest.raises(InputError, match="no figure"):
        measured(condensed.subset(1), file)
    write("dc", "another", recipe=condensed.recipe)
    with pytest.raises(InputError, match="other data"):
        measured(condensed, file)
    result["sets"] = 2
    write("dc", recipe=condensed.recipe)
    with pytest.raises(InputError, match="several sets"):
        measured(condensed, file)
    result["sets"] = 3
    write("dc", recipe=condensed.recipe)
    with pytest.raises(InputError, match="2 runs of 3 sets"):
        measured(condensed, file)


def test_a_subset_is_cut_by_number_or_bytes(tmp_path, capsys):
    path, out = str(save(made("dc 2"), tmp_path / "set")), str(tmp_path / "s.safetensors")
    assert main(["subset", path, "--ipc", "1", "-o", out]) == 0
    assert cd.load(out).bases_per_class == 1
    assert main(["subset", path, "--budget", "100KB", "-o", out]) == 0
    assert cd.load(out).bases_per_class == 2
    for words in (["--ipc", "3"], ["--budget", "1"], [], ["--ipc", "1", "--budget", "100KB"]):
        assert main(["subset", path, *words, "-o", out]) == 2
        assert capsys.readouterr().err.count("\n") == 1
