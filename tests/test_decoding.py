"""Pictures that are larger than memory are decoded once into a file, and stay the same data."""

import logging
import os
import struct
import sys
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

import condensery as cd
from condensery.data import decoding
from condensery.errors import InputError
from condensery.runs import storage

MODES = ["L", "RGB", "mixed"]
seen_from_outside = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process has mapped")


def drawn(folder, mode="RGB", count=60, size=(8, 6)):
    """Sixty pictures in each of two classes, so that one picture is less than a hundredth of all."""
    for c, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for n in range(count):
            pixels = np.random.default_rng(1000 * c + n).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            kind = ("L", "RGB")[n % 2] if mode == "mixed" else mode
            Image.fromarray(pixels).convert(kind).save(folder / name / f"{n:03}.png")
    return folder


@pytest.fixture
def small(monkeypatch):
    """Lowers the limit of memory below the pictures of `drawn`."""
    return lambda: monkeypatch.setenv("CONDENSERY_LIMIT_GB", str(120 * 3 * 47 / 2**30))


def same(a, b):
    return (
        a.train.fingerprint == b.train.fingerprint
        and a.test.fingerprint == b.test.fingerprint
        and a.train.sizes == b.train.sizes
        and (a.mean, a.std) == (b.mean, b.std)
        and all(
            torch.equal(*(part.read(slice(0, 7)) for part in parts))
            for parts in zip(parts_of(a), parts_of(b), strict=True)
        )
    )


def in_file(images):
    """Whether the memory of a tensor is mapped from the file of decoded pictures."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        low, high = (int(end, 16) for end in line.split()[0].split("-"))
        if low <= images.data_ptr() < high:
            return line.endswith("pictures.npy")
    return False


def parts_of(data):
    return data.train, data.test


@seen_from_outside
@pytest.mark.parametrize("split", [False, True], ids=["held out", "test part"])
@pytest.mark.parametrize("mode", MODES)
def test_a_folder_that_is_larger_than_memory_is_the_same_data(mode, split, tmp_path, small):
    folder = drawn(tmp_path / "set" / "train" if split else tmp_path / "set", mode)
    if split:
        drawn(tmp_path / "set" / "test", mode, 3)
    before = cd.image_folder(tmp_path / "set")
    small()
    mapped = cd.image_folder(tmp_path / "set")
    assert same(before, mapped)
    assert all(in_file(part.images) for part in parts_of(mapped))
    assert not any(in_file(part.images) for part in parts_of(before))
    assert folder.exists()
    recipe = cd.DM(ipc=1, steps=2, real_rows=4, net=cd.ConvNet(width=4, depth=1))
    sets = [cd.condense(recipe, data.train, progress=False).synthetic.bases for data in (before, mapped)]
    assert torch.equal(*sets)


@seen_from_outside
def test_a_large_folder_of_parquet_files_is_the_same_data(tmp_path, monkeypatch, small):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    generator = np.random.default_rng(0)
    columns = {
        "image": [Image.fromarray(generator.integers(0, 256, (6, 8, 3), dtype=np.uint8)) for _ in range(120)],
        "label": ["dog", "cat", "emu"] * 40,
    }
    kinds = datasets.Features(image=datasets.Image(), label=datasets.Value("string"))
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict(columns, features=kinds).to_parquet(tmp_path / "set" / "train-00000-of-00001.parquet")
    before = cd.hub(str(tmp_path / "set"))
    small()
    mapped = cd.hub(str(tmp_path / "set"))
    assert same(before, mapped)
    assert all(in_file(part.images) for part in parts_of(mapped))
    assert mapped.class_names == ("cat", "dog", "emu")


def test_pictures_are_decoded_once_and_again_when_one_has_changed(tmp_path, monkeypatch, small):
    folder = drawn(tmp_path / "set")
    small()
    first = cd.image_folder(folder, size=7)
    read = decoding._Reader.read
    monkeypatch.setattr(decoding._Reader, "read", None)
    assert same(first, cd.image_folder(folder, size=7))
    monkeypatch.setattr(decoding._Reader, "read", read)
    Image.new("RGB", (8, 6), "red").save(folder / "cat" / "000.png")
    assert not same(first, cd.image_folder(folder, size=7))


def test_decoding_that_is_interrupted_goes_on_where_it_stopped(tmp_path, monkeypatch, small):
    folder = drawn(tmp_path / "set")
    before = cd.image_folder(folder)
    small()
    monkeypatch.setattr(decoding, "_SAVED", 0.0)
    read, seen = decoding._Reader.read, []

    def stopped(self, picture):
        if len(seen) == 50:
            raise KeyboardInterrupt
        seen.append(picture.where)
        return read(self, picture)

    monkeypatch.setattr(decoding._Reader, "read", stopped)
    with pytest.raises(KeyboardInterrupt):
        cd.image_folder(folder)
    seen[:] = [None] * 51
    mapped = cd.image_folder(folder)
    again = seen[52:]  # without the first picture, which tells the size
    assert len(again) == 120 - 49
    assert same(before, mapped)


def test_a_second_process_waits_and_does_not_decode_again(tmp_path, monkeypatch, small, caplog):
    folder = drawn(tmp_path / "set")
    small()
    first = cd.image_folder(folder)
    (done,) = storage.cache("pictures").glob("*/pictures.npy")
    done.rename(done.with_name("aside"))
    read, seen, found = decoding._Reader.read, [], []
    monkeypatch.setattr(decoding._Reader, "read", lambda self, picture: seen.append(1) or read(self, picture))
    second = Thread(target=lambda: found.append(cd.image_folder(folder)))
    with caplog.at_level(logging.INFO, "condensery"):
        with storage.locked(done.parent):
            second.start()
            while second.is_alive() and "waiting for it" not in caplog.text:
                time.sleep(0.01)
            done.with_name("aside").rename(done)
        second.join()
    assert same(first, found[0])
    assert len(seen) == 1  # the first picture tells the size


def test_a_damaged_picture_of_a_large_folder_is_named(tmp_path, small):
    folder = drawn(tmp_path / "set")
    (folder / "dog" / "030.png").write_bytes(b"no picture")
    small()
    with pytest.raises(InputError, match=r"030\.png: not a readable picture"):
        cd.image_folder(folder)


@pytest.mark.parametrize(("set_up", "words"), [("full disk", "CONDENSERY_CACHE"), ("no cache", "CONDENSERY_LIMIT_GB")])
def test_where_no_file_can_be_written_one_line_says_so(set_up, words, tmp_path, monkeypatch, small):
    folder = drawn(tmp_path / "set")
    small()
    if set_up == "full disk":
        monkeypatch.setattr(decoding.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    else:
        monkeypatch.setenv("CONDENSERY_CACHE", "")
    with pytest.raises(InputError, match=words):
        cd.image_folder(folder)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("size", [None, 8])
def test_gray_of_16_bits_becomes_8_bits(suffix, size, tmp_path, caplog):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for n in range(2):
            Image.fromarray(values + n).save(tmp_path / name / f"{n}.{suffix}")
    data = cd.image_folder(tmp_path, size)
    assert data.shape == (1, 8, 8)
    assert np.abs(data.train.images[0, 0].numpy() - values / 257).max() <= 0.51
    assert caplog.text.count("16 bits are reduced to 8 bits") == 1


def test_a_picture_in_which_0_is_white_is_read_as_it_is_seen(tmp_path):
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1040
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for n in range(2):
            file = tmp_path / name / f"{n}.tif"
            Image.fromarray(values + n).save(file)
            content, usual = bytearray(file.read_bytes()), struct.pack("<HHII", 262, 3, 1, 1)
            place = content.index(usual)
            content[place : place + len(usual)] = struct.pack("<HHII", 262, 3, 1, 0)
            file.write_bytes(content)
    found = cd.image_folder(tmp_path).train.images[0, 0].numpy()
    assert np.abs(255 - found.astype(int) - values / 257).max() <= 1


def test_other_pictures_of_equal_names_sizes_and_times_are_decoded_anew(tmp_path, small):
    small()
    for name in ("a", "b"):
        folder = drawn(tmp_path / name)
        for n, file in enumerate(sorted(folder.rglob("*.png"))):
            pixels = np.asarray(Image.open(file))
            file.unlink()
            Image.fromarray(pixels if name == "a" else 255 - pixels).save(file.with_suffix(".bmp"))
            os.utime(file.with_suffix(".bmp"), (n, n))
    first, second = (cd.image_folder(tmp_path / name) for name in ("a", "b"))
    assert torch.equal(first.train.images, 255 - second.train.images)


def test_numbers_of_more_than_16_bits_are_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((8, 8), 70000, dtype=np.int32)).save(tmp_path / name / "0.tif")
    with pytest.raises(InputError, match="above 65535"):
        cd.image_folder(tmp_path)
    Image.fromarray(np.ones((8, 8), dtype=np.float32)).save(tmp_path / "cat" / "0.tif")
    with pytest.raises(InputError, match="floating-point"):
        cd.image_folder(tmp_path)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_all_damaged_pictures_are_named_at_once(count, tmp_path):
    folder = drawn(tmp_path / "pictures", count=20)
    paths = [folder / "cat" / f"{n:03}.png" for n in range(1, 1 + count)]
    for path in paths:
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="damaged or truncated") as refused:
        cd.image_folder(folder)
    told = str(refused.value)
    assert str(folder) in told
    assert sum(f"cat/{path.name}" in told for path in paths) == min(count, 10)
    assert ("12 pictures are not readable" in told and "and 2 others" in told) == (count == 12)
    assert "\n" not in told
