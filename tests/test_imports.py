"""Sets in the files of released programs."""

import numpy as np
import pytest
import torch
from torch import nn

import condensery as cd
from condensery.cli import main
from condensery.errors import InputError
from condensery.exchange.imports import import_set
from condensery.recipes import Recipe

SHAPE, CLASSES, IPC = (1, 8, 8), 10, 2
LABELS = torch.arange(CLASSES).repeat(IPC)  # class after class is not the order of every program


def rows():
    return torch.randn(CLASSES * IPC, *SHAPE, generator=torch.Generator().manual_seed(0))


def vico(folder):
    accuracies = {"ConvNet": [np.float64(0.5)]}  # the program keeps NumPy numbers beside the tensors
    torch.save({"data": [[rows() * 2, LABELS], [rows(), LABELS]], "accs_all_exps": accuracies}, folder / "res.pt")
    return folder / "res.pt", {"experiment": 1}


def idc(folder):
    torch.save([rows().sigmoid(), LABELS], folder / "data_best.pt")
    return folder / "data_best.pt", {"factor": 2}


def mtt(folder):
    torch.save(rows(), folder / "images_best.pt")
    torch.save(LABELS, folder / "labels_best.pt")
    return folder / "images_best.pt", {"space": "normalized"}


def kip(folder):
    targets = torch.eye(CLASSES)[LABELS] - 0.1
    np.savez(folder / "kip.npz", images=rows().movedim(1, 3).numpy(), labels=targets.numpy())
    return folder / "kip.npz", {"space": "normalized"}


LAYOUTS = {"vico": vico, "idc": idc, "mtt": mtt, "kip": kip}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_a_program_stored_is_what_we_store(layout, tmp_path):
    data = cd.digits()
    path, more = LAYOUTS[layout](tmp_path)
    there = import_set(path, layout, data, **more)
    order = torch.argsort(LABELS, stable=True)
    wanted = rows().sigmoid() if layout == "idc" else rows()
    assert torch.equal(there.synthetic.bases, wanted[order].unflatten(0, (CLASSES, IPC)))
    assert there.rows_per_class == (IPC * 4 if layout == "idc" else IPC)
    assert there.space.stored == ("unit" if layout == "idc" else "normalized")
    assert (there.space.mean, there.space.std) == (data.train.space.mean, data.train.space.std)
    assert there.class_names == data.class_names
    again = cd.load(cd.save(there, tmp_path / "set.safetensors"))
    assert torch.equal(again.tensors()[0], there.tensors()[0])
    assert Recipe.protocol_of(again.recipe) == ("idc2022" if layout == "idc" else "dc2021")


def test_whitened_pixels_are_those_of_whitened_data(tmp_path):
    data = cd.digits()
    path, _ = mtt(tmp_path)
    there = import_set(path, "mtt", data, space="zca")
    assert there.space == data.whitened().train.space
    assert there.data["zca"]


def test_data_that_are_whitened_are_not_those_of_a_file_that_is_not(tmp_path):
    path, more = mtt(tmp_path)
    with pytest.raises(InputError, match="digits is whitened"):
        import_set(path, "mtt", cd.digits().whitened(), **more)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


@pytest.mark.parametrize(
    ("content", "layout", "more", "words"),
    [
        (lambda: {"data": [[rows(), Bomb()]]}, "vico", {}, "nothing in it was run"),
        (lambda: nn.Linear(2, 2), "vico", {}, "nothing in it was run"),
        (lambda: [rows(), LABELS], "vico", {}, "no list of runs"),
        (lambda: {"data": [[rows(), LABELS]]}, "vico", {"experiment": 1}, "experiments 0 to 0"),
        (lambda: {"data": [[rows(), LABELS]]}, "idc", {}, "another program"),
        (lambda: [rows()[:, :, :4], LABELS], "idc", {}, "(20, 1, 4, 8)"),
        (lambda: [rows()[1:], LABELS[1:]], "idc", {}, "not equally many"),
        (lambda: [rows(), LABELS - 1], "idc", {}, "not equally many"),
        (lambda: [rows(), LABELS + 2**40], "idc", {}, "not equally many"),
        (lambda: [rows()[:0], LABELS[:0]], "idc", {}, "not equally many"),
        (lambda: [rows() * float("nan"), LABELS], "idc", {}, "NaN"),
        (lambda: [rows(), LABELS], "idc", {"factor": 0}, "must be 1 to 32"),
        (lambda: [rows(), LABELS], "idc", {"experiment": 1}, "belongs to the layout vico"),
        (lambda: [rows(), LABELS], "idc", {"labels": "labels.pt"}, "belongs to the layout mtt"),
        (lambda: rows(), "mtt", {}, "`space`"),
        (lambda: [rows(), LABELS], "idc", {"space": "ZCA"}, "unknown pixel space 'ZCA'"),
        (lambda: [rows()[:1].expand(2**31, *SHAPE), LABELS], "idc", {}, "CONDENSERY_LIMIT_GB"),
        (lambda: [rows(), LABELS[:1].expand(2**31)], "idc", {}, "CONDENSERY_LIMIT_GB"),
        (lambda: [torch.empty(20, *SHAPE, device="meta"), LABELS], "idc", {}, "another program"),
        (lambda: [rows().to_sparse(), LABELS], "idc", {}, "another program"),
        (lambda: [rows(), LABELS * 1j], "idc", {}, "another program"),
        (lambda: rows(), "mtt", {"space": "zca"}, "has its labels"),
        (lambda: rows(), "mtt", {"space": "zca", "labels": "nowhere.pt"}, "nowhere.pt"),
        (lambda: [rows(), LABELS], "vico", {"factor": 2}, "belongs to the layout idc"),
        (lambda: [rows(), LABELS], "ftd", {}, "unknown layout"),
    ],
)
def test_other_files_are_refused_and_nothing_in_them_runs(content, layout, more, words, tmp_path, capsys):
    torch.save(content(), tmp_path / "set.pt")
    with pytest.raises(InputError) as refused:
        import_set(tmp_path / "set.pt", layout, cd.digits(), **more)
    assert words in str(refused.value)
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    [
        {"images": np.array(["text"] * 20), "labels": LABELS.numpy()},
        {"images": rows().movedim(1, 3).numpy(), "labels": np.array(["text"] * 20)},
        {"images": rows().movedim(1, 3).numpy(), "labels": np.zeros((20, 0))},
    ],
    ids=["images", "labels", "no labels"],
)
def test_what_kip_does_not_write_is_refused(content, tmp_path):
    np.savez(tmp_path / "kip.npz", **content)
    with pytest.raises(InputError, match="another program"):
        import_set(tmp_path / "kip.npz", "kip", cd.digits(), space="normalized")


def test_what_unpacks_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    path, more = idc(tmp_path)
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1e-7")
    with pytest.raises(InputError, match="CONDENSERY_LIMIT_GB"):
        import_set(path, "idc", cd.digits(), **more)


def test_the_command_imports_and_names_the_next_step(tmp_path, capsys):
    path, _ = idc(tmp_path)
    out = str(tmp_path / "set.safetensors")
    words = ["import", str(path), "--from", "idc", "--data", "digits", "-o", out]
    assert main([*words, "--method", "idc-i", "--factor", "1"]) == 0
    said = capsys.readouterr().out
    assert "10 classes, 2 images per class" in said
    assert f"evaluate {out} --data digits" in said
    assert cd.load(out).method == "idc-i"
    assert main(["import", str(path), "--from", "mtt", "--data", "digits", "-o", out]) == 2
    assert "--space" in capsys.readouterr().err
