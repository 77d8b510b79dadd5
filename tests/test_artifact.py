import errno
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import blobs
from lists import DECODERS, RECIPES, over
from torch.utils.data import DataLoader

from condensery.cli import main
from condensery.data.pixels import PixelSpace, Whitening
from condensery.decoders import Bound, Learnable, MultiScale, Uniform
from condensery.errors import InputError
from condensery.networks.net import Net
from condensery.report.report import report
from condensery.runs import storage
from condensery.runs.artifact import load, save
from condensery.runs.condensed import Condensed
from condensery.runs.run import condense
from condensery.runs.storage import read_tensors, write_tensors
from condensery.synthetic import SyntheticSet


def condensed(recipe, real):
    return condense(recipe, real.called("blobs", ("a", "b", "c")), progress=False)


@over(RECIPES)
def test_what_is_loaded_is_what_was_saved(part, tmp_path):
    real = blobs()
    ours = condensed(part, real)
    theirs = load(save(ours, tmp_path / "set.safetensors"))
    assert torch.equal(theirs.synthetic.bases, ours.synthetic.bases)
    assert theirs.synthetic.space == ours.synthetic.space
    assert replace(theirs, synthetic=ours.synthetic) == ours
    assert (theirs.floats, theirs.bytes) == (ours.floats, ours.bytes)
    assert theirs.show().tobytes() == ours.show().tobytes()
    assert theirs.show().getpixel((0, 0)) in (255, (255, 255, 255), 128)  # what is behind names: white, for codes gray
    assert theirs.net == (part.net if isinstance(part.net, Net) else None)  # a file holds no function


def test_the_same_set_is_the_same_bytes_a_year_later(tmp_path, monkeypatch):
    real, recipe = blobs(), RECIPES["dc 1"]
    a = save(condensed(recipe, real), tmp_path / "a").read_bytes()
    later, strftime = time.time() + 366 * 86400, time.strftime
    monkeypatch.setattr(time, "time", lambda: later)
    monkeypatch.setattr(time, "strftime", lambda words, when=time.localtime(later): strftime(words, when))
    assert save(condensed(recipe, real), tmp_path / "b").read_bytes() == a


@pytest.mark.parametrize("pad", [0, 1])
@pytest.mark.parametrize("kind", [lambda pad: Uniform(2, pad), lambda pad: MultiScale(2, pad),
                                  lambda pad: Learnable(2, 1, pad=pad), lambda pad: Bound([2, 1], pad)])  # fmt: skip
def test_padding_may_be_a_whole_number(kind, pad, tmp_path):
    decoder = kind(pad)
    synthetic = SyntheticSet(torch.rand(3, 2, 1, 8, 8), PixelSpace((0.4,), (0.3,), "unit"), decoder)
    about = {"name": "blobs", "rows": 21, "fingerprint": "0"}
    there = load(save(Condensed(synthetic, ("a", "b", "c"), {"name": "dc"}, 1, about), tmp_path / "s"))
    assert torch.equal(there.synthetic().x, synthetic().x)


@over(DECODERS)
def test_rows_are_counted_without_decoding(part):
    decoder = part((1, 8, 8), 3)
    rows = torch.randn(3, decoder.initial_rows(3), 1, 8, 8)
    synthetic = SyntheticSet.from_rows(rows, PixelSpace((0.4,), (0.3,), "unit"), decoder)
    for n in (1, 2, 3):
        assert synthetic.rows_of_first(n) == synthetic(images=n).y.shape[1]


@over(DECODERS)
@pytest.mark.parametrize("stored", ["normalized", "unit"])
def test_every_decoder_and_pixel_space_survives(part, stored, tmp_path):
    space = PixelSpace((0.4,), (0.3,), stored)
    decoder = part((1, 8, 8), 2)
    synthetic = SyntheticSet.from_rows(torch.randn(3, decoder.initial_rows(2), 1, 8, 8), space, decoder)
    about = {"name": "blobs", "rows": 21, "fingerprint": "0"}
    there = load(save(Condensed(synthetic, ("a", "b", "c"), {"name": "dc"}, 1, about), tmp_path / "s"))
    assert torch.equal(there.synthetic().x, synthetic().x)
    assert there.floats == synthetic.floats


def test_a_loaded_set_trains_anywhere(tmp_path):
    there = load(save(condensed(RECIPES["dc 2"], blobs()), tmp_path / "s"))
    x, y = next(iter(DataLoader(there.dataset(), batch_size=6)))
    assert x.shape == (6, 1, 8, 8)
    assert y.tolist() == [0, 0, 1, 1, 2, 2]
    unit, _ = there.tensors(space="unit")
    assert torch.allclose(unit, there.space.unit(x).clamp(0, 1))
    assert torch.equal(there.tensors(space="uint8")[0], (unit * 255).round().to(torch.uint8))


def test_a_misspelt_space_is_refused(tmp_path):
    there = load(save(condensed(RECIPES["dc 2"], blobs()), tmp_path / "s"))
    with pytest.raises(InputError, match="UINT8"):
        there.tensors(space="UINT8")


def test_a_subset_is_the_first_images(tmp_path):
    there = load(save(condensed(RECIPES["dc 2"], blobs()), tmp_path / "s"))
    assert torch.equal(there.subset(1).synthetic().x, there.synthetic().x[:, :1])
    assert torch.equal(there.tensors(1)[0], there.subset(1).tensors()[0])
    assert there.subset(1).floats * 2 == there.floats
    for wrong in (0, 3):
        with pytest.raises(InputError, match="1 to 2"):
            there.subset(wrong)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = save(condensed(RECIPES["dc 1"], blobs()), tmp_path / "s")
    good = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        save(condensed(RECIPES["random"], blobs()), path)
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize(
    "damage",
    [
        {"decoder": {"name": "uniform", "factor": [0, 2], "pad": 0.5}},
        {"decoder": {"name": "uniform", "factor": "2", "pad": 0.5}},
        {"decoder": {"name": "multi-scale", "factor": 10**9, "pad": 0.5}},
        {"decoder": {"name": "bound", "factors": [2], "pad": 0.5}},
        {"decoder": {"name": "learnable", "factor": 2, "channels": 1, "width": 4, "pad": 0.5}},
        {"decoder": {"name": "os.system"}},
        {"shape": [1, 8, 9]},
        {"recipe": {"name": ["idc"]}},
        {"recipe": {"name": "mdc", "base": "x"}},
        {"space": {"stored": "unit", "mean": [0.4], "std": [0.3], "whitened": True}},
        {"stored_as": {"format": "uint8", "dtype": "float64", "grids": {"bases": [0.0, 1.0]}}},
        {"stored_as": {"format": "float8", "dtype": "float64", "grids": {}}},
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused(damage, tmp_path):
    path = save(condensed(RECIPES["idc 2"], blobs()), tmp_path / "s")
    head, tensors = read_tensors(path)
    write_tensors(path, tensors, head | damage)
    with pytest.raises(InputError, match="do not fit"):
        load(path)


@pytest.mark.parametrize("value", [0.0, float("nan")])
def test_a_whitening_that_cannot_be_undone_is_refused(value, tmp_path):
    space = PixelSpace((0.4,), (0.3,), "normalized", Whitening(torch.zeros(64), torch.full((64, 64), value)))
    ours = condensed(RECIPES["random"], blobs())
    broken = replace(ours, synthetic=SyntheticSet(ours.synthetic.bases.detach(), space))
    with pytest.raises(InputError, match="do not fit"):
        save(broken, tmp_path / "s")


def test_bytes_may_be_words():
    ours = condensed(RECIPES["random"], blobs())  # 1 image per class of 64 float64
    assert (
        ours.subset(bytes="1.6 KB").bases_per_class
        == ours.subset(bytes=1600).bases_per_class
        == ours.subset(bytes="1600").bases_per_class
    )
    assert ours.subset(bytes="2KiB").bases_per_class == ours.subset(bytes=2048).bases_per_class
    assert ours.subset(bytes="1 GB").bases_per_class == ours.bases_per_class
    for wrong in ("2 TB", "", "-1", "many", float("nan"), True):
        with pytest.raises(InputError, match="bytes"):
            ours.subset(bytes=wrong)
    for wrong in ("2", 1.0, True):
        with pytest.raises(InputError, match="a subset of"):
            ours.subset(wrong)


def test_what_load_would_refuse_is_not_written(tmp_path):
    ours = condensed(RECIPES["random"], blobs())
    ours.synthetic.bases.data[0] = float("inf")
    with pytest.raises(InputError, match=r"\(NaN or infinity in .*\); correct the set"):
        save(ours, tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_read_is_refused(tmp_path, monkeypatch):
    def forbidden(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_file", forbidden)  # permissions do not stop a test that the superuser runs
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        load(tmp_path)


def test_more_decoded_rows_than_the_limit_are_refused_before_they_are_made(tmp_path, monkeypatch):
    path = save(condensed(RECIPES["idc 2"], blobs()), tmp_path / "s")
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "1e-7")
    with pytest.raises(InputError, match="CONDENSERY_LIMIT_GB"):
        load(path)
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "nan")
    with pytest.raises(InputError, match="a number of GB above 0"):
        load(path)


def test_a_set_that_decodes_beyond_the_limit_is_described_but_not_decoded(tmp_path, monkeypatch, capsys):
    bases = torch.rand(3, 40, 1, 8, 8)
    about = {"name": "blobs", "rows": 21, "fingerprint": "0"}
    synthetic = SyntheticSet(bases, PixelSpace((0.4,), (0.3,)), Uniform(8))
    path = save(Condensed(synthetic, ("a", "b", "c"), {"name": "dm", "ipc": 40}, 1, about), tmp_path / "s.safetensors")
    monkeypatch.setenv("CONDENSERY_LIMIT_GB", "6e-4")  # a base per class takes 150 KB, all of them 6 MB
    monkeypatch.setattr(Uniform, "forward", few := limited(Uniform.forward, 64 * 3 * 2))
    there = load(path)
    assert there.rows_per_class == 40 * 64
    assert main(["show", str(path), "--png", str(tmp_path / "s.png")]) == 0
    assert "2560 rows per class" in capsys.readouterr().out
    report([path])
    with pytest.raises(InputError, match=r"decoding 7,680 rows at once .* CONDENSERY_LIMIT_GB"):
        there.tensors()
    assert few.called


def limited(forward, most):
    """A decoder's `forward` that makes no more than so many rows, unless it makes them of shapes alone."""

    def limit(self, bases):
        rows = forward(self, bases)
        assert rows.is_meta or rows.shape[0] * rows.shape[1] <= most
        limit.called |= not rows.is_meta
        return rows

    limit.called = False
    return limit


def test_a_file_that_may_not_be_read_is_not_called_truncated(tmp_path, monkeypatch):
    def refused(path, framework):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    (tmp_path / "set.safetensors").touch()
    monkeypatch.setattr(storage, "safe_open", refused)
    with pytest.raises(InputError, match=r"set\.safetensors: cannot be read \(Permission denied\)"):
        load(tmp_path / "set.safetensors")
