"""Data sets of the hub, from small folders of parquet files with the columns that they have there."""

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import condensery as cd
from condensery.cli import main
from condensery.data.hub import HUB, Hub
from condensery.errors import InputError

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def offline(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")


def pictures(count, shape=(8, 8), seed=0):
    generator = np.random.default_rng(seed)
    return [Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8)) for _ in range(count)]


def folder(tmp_path, image="image", label="label", parts=("train", "test"), names=("cat", "dog", "emu"), shape=(8, 8)):
    classes = datasets.ClassLabel(names=list(names)) if names else datasets.Value("int64")
    kinds = {image: datasets.Image(), label: classes}
    (tmp_path / "set" / "data").mkdir(parents=True)
    for seed, part in enumerate(parts):
        columns = {image: pictures(9, shape, seed), label: [0, 1, 2] * 3}
        made = datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
        made.to_parquet(tmp_path / "set" / "data" / f"{part}-00000-of-00001.parquet")
    return str(tmp_path / "set")


@pytest.mark.parametrize(("image", "label"), [("image", "label"), ("img", "fine_label")])
def test_a_folder_of_parquet_files_is_read_as_its_arrays(image, label, tmp_path):
    data = cd.hub(folder(tmp_path, image, label))
    x = np.stack([np.asarray(p) for p in pictures(9)])
    x_test = np.stack([np.asarray(p) for p in pictures(9, seed=1)])
    y = np.array([0, 1, 2] * 3)
    same = cd.from_arrays(x, y, x_test, y)
    assert data.train.fingerprint == same.train.fingerprint
    assert data.test.fingerprint == same.test.fingerprint
    assert data.class_names == ("cat", "dog", "emu")


def test_without_a_test_part_some_are_held_out_and_colors_are_kept(tmp_path):
    data = cd.hub(folder(tmp_path, parts=("train",), shape=(8, 8, 3)))
    assert (len(data.train), len(data.test)) == (6, 3)
    assert data.shape == (3, 8, 8)


def test_validation_may_be_the_test_part(tmp_path):
    path = folder(tmp_path, parts=("train", "validation"))
    assert len(cd.hub(path).test) == 9
    with pytest.raises(InputError, match="no split 'exam'"):
        cd.hub(path, test="exam")


def test_plain_integers_are_classes_if_their_column_is_named(tmp_path):
    path = folder(tmp_path, label="kind", names=())
    with pytest.raises(InputError, match="which of its columns"):
        cd.hub(path)
    assert cd.hub(path, label="kind").class_names == ("0", "1", "2")
    with pytest.raises(InputError, match="`image`"):
        cd.hub(path, image="picture", label="kind")


def test_several_labels_in_a_row_are_one_clear_line(tmp_path):
    kinds = {"image": datasets.Image(), "labels": datasets.Sequence(datasets.Value("int64"))}
    made = datasets.Dataset.from_dict(
        {"image": pictures(4), "labels": [[0], [0, 1], [1], [2]]}, datasets.Features(kinds)
    )
    (tmp_path / "set").mkdir()
    made.to_parquet(tmp_path / "set" / "train-00000-of-00001.parquet")
    with pytest.raises(InputError, match="one label per row"):
        cd.hub(str(tmp_path / "set"))


def test_what_is_not_there_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no folder and no owner/name"):
        cd.hub("nowhere")
    with pytest.raises(InputError, match="put a copy of its parquet files into a folder"):
        cd.hub("mnist")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be loaded"):
        cd.hub(str(tmp_path / "empty"))


def test_a_broken_picture_is_named(tmp_path):
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    broken = {"image": [{"bytes": b"no picture", "path": None}] * 4, "label": [0, 1, 0, 1]}
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict(broken, features=kinds).to_parquet(tmp_path / "set" / "train.parquet")
    with pytest.raises(InputError, match="row 0: not a readable picture"):
        cd.hub(str(tmp_path / "set"))


@pytest.mark.parametrize(("place", "words"), [("set/pictures", ""), (".", "has no image")])
def test_a_picture_in_a_file_is_read_if_it_belongs_to_the_data_set(place, words, tmp_path):
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    (tmp_path / "set" / "pictures").mkdir(parents=True)
    files = [tmp_path / place / f"{n}.png" for n in range(4)]
    for file, picture in zip(files, pictures(4), strict=True):
        picture.save(file)
    columns = {"image": [{"bytes": None, "path": str(file)} for file in files], "label": [0, 0, 1, 1]}
    made = datasets.Dataset.from_dict(columns, features=kinds)
    made.to_parquet(tmp_path / "set" / "train.parquet")
    with pytest.raises(InputError, match=words) if words else nullcontext():
        data = cd.hub(str(tmp_path / "set"))
        x = np.stack([np.asarray(picture) for picture in pictures(4)])
        assert data.train.fingerprint == cd.from_arrays(x, np.array([0, 0, 1, 1])).train.fingerprint


def test_a_training_part_without_rows_of_the_classes_is_refused(tmp_path, monkeypatch):
    path = folder(tmp_path, names=("cat", "dog", "emu", "fly"))
    monkeypatch.setitem(HUB, "flies", Hub(path, classes=("fly",)))
    with pytest.raises(InputError, match="'train' has no rows"):
        cd.hub("flies")


def test_a_library_that_executes_programs_of_data_sets_is_refused(tmp_path, monkeypatch):
    path = folder(tmp_path)
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    monkeypatch.setattr(datasets, "load_dataset", None)
    with pytest.raises(InputError, match="can execute programs"):
        cd.hub(path)


@pytest.mark.parametrize("size", [0, -4])
def test_a_size_below_one_pixel_is_refused(size, tmp_path):
    with pytest.raises(InputError, match="at least 1 pixel"):
        cd.hub(folder(tmp_path), size=size)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_row_without_a_class_is_named(part, tmp_path):
    path = folder(tmp_path)
    kinds = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=["cat", "dog", "emu"]))
    made = datasets.Dataset.from_dict({"image": pictures(9), "label": [0, 1, 2, 0, None, 2, 0, 1, 2]}, kinds)
    made.to_parquet(f"{path}/data/{part}-00000-of-00001.parquet")
    with pytest.raises(InputError, match="row 4 has no label"):
        cd.hub(path)


def test_our_own_exports_come_back(tmp_path, caplog):
    small = cd.condense(cd.Random(ipc=3), cd.digits().train)
    cd.export(small, tmp_path / "hf", "hf")
    data = cd.hub(str(tmp_path / "hf"))
    assert data.class_names == small.class_names
    assert len(data.train) + len(data.test) == 30
    assert "holds a condensed set" in caplog.text


def test_the_command_line_takes_the_hub_and_its_columns(tmp_path, capsys, brief):
    path = folder(tmp_path, "img", "fine_label")
    words = ["run", "random", "--data", f"hub:{path}", "--ipc", "1", "--out", str(tmp_path / "r")]
    assert main([*words, "--label", "fine_label"]) == 0
    assert main(["resume", str(tmp_path / "r")]) == 0
    measured = ["--protocol", "fixed-steps", "--repeats", "1", "--no-random", "--json", str(tmp_path / "found.json")]
    assert main(["evaluate", str(tmp_path / "r"), *measured]) == 0
    assert json.loads((tmp_path / "found.json").read_text())["data"]["source"] == f"hub:{path}"
    assert f"--data hub:{path}" in capsys.readouterr().err
    assert main(["run", "random", "--data", "digits", "--label", "x", "--ipc", "1", "--out", str(tmp_path / "s")]) == 2
    assert "--label is for data of the hub" in capsys.readouterr().err


def test_a_part_of_the_classes_is_read_in_its_own_order(tmp_path, monkeypatch):
    from condensery.data.imagenet import CLASSES

    places = list(CLASSES.values())[:10]
    classes = datasets.ClassLabel(names=[f"class {n}" for n in range(1000)])
    labels = [*places, 1, 2, *places, 3]
    for seed, part in enumerate(("train", "validation")):
        columns = {"image": pictures(len(labels), (8, 8, 3), seed), "label": labels}
        made = datasets.Dataset.from_dict(columns, datasets.Features(image=datasets.Image(), label=classes))
        (tmp_path / "set" / "data").mkdir(parents=True, exist_ok=True)
        made.to_parquet(tmp_path / "set" / "data" / f"{part}-00000-of-00001.parquet")
    monkeypatch.setitem(HUB, "imagenet10", replace(HUB["imagenet10"], repository=str(tmp_path / "set"), size=8))
    data = cd.hub("imagenet10")
    assert data.class_names == tuple(CLASSES)[:10]
    assert data.train.sizes == [2] * 10
    assert data.test.labels.tolist() == [*range(10), *range(10)]
    third = np.asarray(pictures(len(labels), (8, 8, 3))[2]).transpose(2, 0, 1)
    assert np.array_equal(data.train.images[data.train.rows(2)][0].numpy(), third)
    assert data.mean == (0.485, 0.456, 0.406)


def test_clips_become_spectrograms(tmp_path, monkeypatch):
    soundfile = pytest.importorskip("soundfile")
    words, generator = HUB["speechcommands"].classes, np.random.default_rng(0)
    names, files = ["bed", *words[::-1], "zero"], {"train": [], "test": []}
    for part, rows in files.items():
        for n in range(30):
            word = names[n % len(names)]
            path = tmp_path / "folder" / part / word / f"{n:02}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, generator.uniform(-1, 1, 16000), 16000)
            rows.append((path.read_bytes(), names.index(word)))
        kinds = datasets.Features(
            audio={"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            label=datasets.ClassLabel(names=names),
        )
        columns = {"audio": [{"bytes": clip, "path": None} for clip, _ in rows], "label": [label for _, label in rows]}
        made = datasets.Dataset.from_dict(columns, kinds).cast_column("audio", datasets.Audio(decode=False))
        (tmp_path / "set").mkdir(exist_ok=True)
        made.to_parquet(tmp_path / "set" / f"{part}-00000-of-00001.parquet")
        for word in ("bed", "zero"):
            shutil.rmtree(tmp_path / "folder" / part / word)
    entry = replace(HUB["speechcommands"], repository=str(tmp_path / "set"), config=None, revision=None)
    monkeypatch.setitem(HUB, "speechcommands", entry)
    here, data = cd.audio_folder(tmp_path / "folder"), cd.hub("speechcommands")
    assert data.class_names == here.class_names == words
    assert data.train.fingerprint == here.train.fingerprint
    in_order = data.test.labels.argsort(stable=True)
    assert torch.equal(data.test.read(in_order), here.test.read(slice(None)))
    assert data.facts == here.facts
    assert data.name == "speechcommands"
    assert cd.hub(str(tmp_path / "set")).shape == (1, 64, 64)


def test_every_named_set_has_its_facts():
    from condensery.data.facts import FACTS
    from condensery.exchange.exports import _BENCHMARK

    assert all(entry.facts is None or entry.facts in FACTS for entry in HUB.values())
    assert HUB["tinyimagenet"].title in _BENCHMARK
    assert all(entry.repository.count("/") == 1 for entry in HUB.values())
