"""Sound clips as spectrograms."""

import numpy as np
import pytest
import torch

import condensery as cd
from condensery.cli import main
from condensery.data.audio import spectrogram
from condensery.errors import InputError
from condensery.evaluation.protocols import dsa2021, idc2022

soundfile = pytest.importorskip("soundfile")


def tone(frequency, seconds=1.0, rate=16000):
    return np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate).astype(np.float32) / 2


def clips(folder, count=9, suffix=".wav", **more):
    """Two classes: low and high tones, each clip a little other than the one before."""
    for name, frequency in (("low", 500), ("high", 4000)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            soundfile.write(folder / name / f"{i}{suffix}", tone(frequency + 20 * i, **more), more.get("rate", 16000))
    return folder


@pytest.mark.parametrize("frequency", [500, 2000, 6000])
def test_a_tone_is_a_line_at_its_frequency(frequency):
    image = spectrogram(torch.from_numpy(tone(frequency)))
    assert image.shape == (64, 64)
    assert abs(int(image[:, 32].argmax()) - frequency / 8000 * 64) <= 1
    assert image[:, 20:40].argmax(0).unique().numel() == 1


def test_a_short_clip_is_followed_by_silence_and_of_a_long_one_the_middle_counts():
    short = spectrogram(torch.from_numpy(tone(1000, 0.5)))
    assert torch.allclose(short[:, 40:], torch.full((64, 24), 1e-3).log())
    whole = torch.from_numpy(np.concatenate([np.zeros(8000, np.float32), tone(1000), np.zeros(8000, np.float32)]))
    assert torch.equal(spectrogram(whole), spectrogram(torch.from_numpy(tone(1000))))


def test_rates_channels_and_formats_give_the_same_picture(tmp_path):
    plain = cd.audio_folder(clips(tmp_path / "a"))
    for name, more in (("b", {"rate": 48000}), ("c", {"suffix": ".flac"})):
        other = cd.audio_folder(clips(tmp_path / name, **more))
        assert (other.train.images - plain.train.images).abs().mean() < 0.02, name
        assert other.class_names == plain.class_names == ("high", "low")
    for file in (tmp_path / "a").rglob("*.wav"):
        mono, rate = soundfile.read(file)
        soundfile.write(file, np.stack([mono, mono], 1), rate)
    assert torch.equal(cd.audio_folder(tmp_path / "a").train.images, plain.train.images)


def test_every_eighth_clip_is_a_test_clip_unless_there_is_a_test_part(tmp_path):
    data = cd.audio_folder(clips(tmp_path / "a"))
    assert (len(data.train), len(data.test)) == (16, 2)
    clips(tmp_path / "b" / "train")
    clips(tmp_path / "b" / "test", 3)
    data = cd.audio_folder(tmp_path / "b")
    assert (len(data.train), len(data.test)) == (18, 6)
    assert data.train.images.min() == 0
    assert data.train.images.max() == 1


@pytest.mark.parametrize("count", [2, 7, 8, 16])
def test_a_class_of_two_clips_has_a_test_clip(count, tmp_path):
    clips(tmp_path, count)
    soundfile.write(tmp_path / "low" / "x.wav", tone(900), 16000)
    data = cd.audio_folder(tmp_path)
    held = data.test.labels.bincount().tolist()
    assert held == [max(1, count // 8), max(1, (count + 1) // 8)]
    assert data.train.sizes == [count - held[0], count + 1 - held[1]]


def test_spectrograms_are_neither_flipped_nor_augmented(tmp_path):
    data = cd.audio_folder(clips(tmp_path / "a"))
    for protocol in (idc2022(data), dsa2021(data)):
        assert protocol.augment is None
        assert protocol.mix is None
        assert "no augmentation" in protocol.name
    recipe = cd.IDC.published("speech").having(ipc=1, outer_steps=1, inner_steps=1, real_rows=4, network_rows=4)
    made = recipe.having(net=cd.ConvNet(width=4)).algorithm(data.train)
    assert (made.augment.always, made.augment.one_of) == ((), ())
    assert tuple(made.synthetic.bases.shape) == (2, 1, 1, 64, 64)
    for recipe in (cd.DSA(ipc=1), cd.DM(ipc=1), cd.KFS(init="noise", augment="dsa")):
        other = recipe.algorithm(data.train).augment
        assert (other.always, other.one_of) == ((), ())
    x = made.synthetic(range(1)).x
    assert x.shape[1] == 2  # two cells, one after the other in time


def test_the_command_line_knows_a_folder_of_clips(tmp_path, capsys):
    clips(tmp_path / "a", 12)
    words = ["--data", str(tmp_path / "a"), "--ipc", "1", "--outer-steps", "1", "--inner-steps", "1"]
    assert (
        main(["run", "idc:speech", *words, "--net.width", "4", "--real-rows", "4", "--out", str(tmp_path / "o")]) == 0
    )
    assert cd.load(tmp_path / "o").rows_per_class == 2


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        (lambda file: file.write_bytes(b"RIFF no sound"), "not a readable clip"),
        (lambda file: soundfile.write(file, np.zeros(0, np.float32), 16000), "samples"),
        (lambda file: soundfile.write(file, np.full(99, np.nan, np.float32), 16000, subtype="FLOAT"), "NaN"),
        (lambda file: soundfile.write(file, np.zeros(99), 16000, format="OGG"), "give wav or flac"),
        (lambda file: soundfile.write(file, np.zeros(99), 3999), "3,999 samples per second"),
        (lambda file: soundfile.write(file, np.zeros(99), 2**30 + 1), "4,000 to 192,000"),
    ],
)
def test_a_broken_clip_is_named(broken, complaint, tmp_path):
    clips(tmp_path, 3)
    broken(tmp_path / "low" / "1.wav")
    with pytest.raises(InputError, match=complaint) as refused:
        cd.audio_folder(tmp_path)
    assert "1.wav" in str(refused.value)


def test_folders_without_clips_are_refused(tmp_path):
    with pytest.raises(InputError, match="no class folders"):
        cd.audio_folder(tmp_path)
    clips(tmp_path, 3)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no clips of this class"):
        cd.audio_folder(tmp_path)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        cd.audio_folder(tmp_path / "nowhere")


def test_clips_that_leave_no_test_part_are_refused(tmp_path):
    with pytest.raises(InputError, match="no class has two clips"):
        cd.audio_folder(clips(tmp_path / "a", 1))
    clips(tmp_path / "b" / "train", 2)
    (tmp_path / "b" / "test").mkdir()
    with pytest.raises(InputError, match="test: no class folders in it; add clips"):
        cd.audio_folder(tmp_path / "b")
    clips(tmp_path / "b" / "test" / "more", 1)
    with pytest.raises(InputError, match="add training clips"):
        cd.audio_folder(tmp_path / "b")
