"""A reader for a folder of sound clips with one subfolder per class, as spectrograms (needs soundfile)."""

import io
import logging
from collections.abc import Sequence
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from condensery.data.arrays import from_arrays
from condensery.data.decoding import Encoded
from condensery.data.facts import FACTS
from condensery.data.folder import classes_of, files_of
from condensery.data.sets import Data
from condensery.errors import InputError, bounded

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["SOUNDS", "audio_folder", "spectrogram", "spectrograms"]

log = logging.getLogger("condensery")

SOUNDS = {".wav", ".flac"}
RATE, SIDE = 16_000, 64
_WINDOW, _HOP, _PADDED = 255, 128, 128
_EIGHTH = 8  # without a test part, one of this many clips of a class is a test clip
_MOST = RATE * 3600  # samples of one clip; one second is used
_RATES = (4_000, 192_000)  # samples per second; a header may name any rate, and with it any amount of memory


def audio_folder(path: str | Path) -> Data:
    """Read clips from `<path>/<class>/*.wav`, or from `<path>/train/<class>/*` with `test`, `val`, ... beside `train`.

    A clip becomes a gray image of 64 x 64 pixels, with low frequencies at the top and time from left to right: the
    `spectrogram` of its middle second (a shorter clip is followed by silence), whose values are moved to the range from
    0 to 1 that those of the training part have. Wav and flac files with 4,000 to 192,000 samples per second are
    read; several channels are averaged. Without a test part, every eighth clip of a class, in the order of the names,
    is a test clip; of two to seven clips, the last one is.

    Raises:
        InputError: soundfile is not installed, the folder does not exist, a class has no clips, a file is not a
            readable clip, the test part has a class that the training part lacks, or there is neither a test part nor a
            class with two clips.

    References:
        IDC section 5.3 and its program for speech. Departs: values are moved to the range from 0 to 1, outside which
        test clips are clamped; once normalized, rows are the same otherwise.
    """
    path = Path(path)
    _soundfile()
    train_part, test_part, names = classes_of(path, "clips")
    files, labels = files_of(train_part, names, SOUNDS, "clips")
    y = np.array(labels)
    if test_part is None:
        counts = np.bincount(y)
        last = [(np.arange(n) % _EIGHTH == min(n, _EIGHTH) - 1) & (n > 1) for n in counts]
        if not (held := np.concatenate(last)).any():
            raise InputError(f"{path}: no test part, and no class has two clips; add clips, or a test part")
        log.info(
            f"{path}: no test part; every eighth clip of a class is a test clip, or the last one of fewer "
            f"({held.sum()} of {len(y)})"
        )
    else:
        more, test_labels = files_of(test_part, names, SOUNDS, "clips")
        held = np.arange(len(files) + len(more)) >= len(files)
        files, y = files + more, np.concatenate([y, np.array(test_labels, dtype=y.dtype)])
    images = spectrograms([Encoded(file) for file in files], held, str(path))
    return from_arrays(
        images[~held], y[~held], images[held], y[held], class_names=names, source=path, name=path.resolve().name,
        facts=FACTS["speech"],
    )  # fmt: skip


def spectrograms(clips: Sequence[Encoded], held: np.ndarray, where: str) -> np.ndarray:
    """The spectrograms of clips, moved to the range from 0 to 1 that those outside the test part have.

    Arguments:
        clips: wav or flac, in files or in memory; N of them.
        held: whether a clip belongs to the test part, shape (N,).
        where: the folder or data set, for messages.

    Returns:
        Images of shape (N, 1, 64, 64), float32.

    Raises:
        InputError: see `audio_folder`.
    """
    reader = _soundfile()
    bounded(4 * len(clips) * SIDE**2 * 2, f"{where}: {len(clips)} spectrograms")
    x = torch.stack([spectrogram(_samples(reader, clip)) for clip in clips])
    low, high = x[~held].min(), x[~held].max()
    log.info(f"{where}: {len(clips)} clips as spectrograms of {SIDE} x {SIDE} pixels, time from left to right")
    images: np.ndarray = ((x - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)[:, None].numpy()
    return images


def spectrogram(samples: Tensor) -> Tensor:
    """The logarithm of the magnitudes of a second of sound, as an image of shape (64, 64): frequency, time.

    128 frequencies at 125 times, padded to 128 x 128 with silence and reduced bilinearly.

    Arguments:
        samples: from -1 to 1, at 16 kHz, shape (n,). The middle second is used; fewer samples are followed by zeros.
    """
    start = max(0, (len(samples) - RATE) // 2)
    second = samples[start : start + RATE].float()
    second = F.pad(second, (0, RATE - len(second)))
    waves = torch.stft(second, _WINDOW, _HOP, window=torch.hann_window(_WINDOW), return_complex=True)
    magnitudes = waves.abs()[:, : RATE // _HOP]
    rest = _PADDED - magnitudes.shape[1]
    padded = F.pad(magnitudes, (rest // 2, rest - rest // 2))
    return F.interpolate((padded + 1e-3).log()[None, None], (SIDE, SIDE), mode="bilinear")[0, 0]


def _soundfile() -> "ModuleType":
    try:
        import soundfile
    except (ImportError, OSError):  # OSError: its library is missing
        raise InputError("sound clips need soundfile: pip install soundfile") from None
    return soundfile


def _samples(reader: "ModuleType", clip: Encoded) -> Tensor:
    """The samples of a clip at 16 kHz, the mean of its channels.

    Raises:
        InputError: it is not a clip, too long, or its rate is out of range.
    """
    file = clip.where
    try:
        with reader.SoundFile(io.BytesIO(clip.content()) if clip.content else str(file)) as sound:
            if sound.format not in ("WAV", "WAVEX", "FLAC"):
                raise InputError(f"{file}: a {sound.format} file; give wav or flac")
            if not 0 < sound.frames * sound.channels <= _MOST:
                raise InputError(f"{file}: {sound.frames} samples; give clips of about a second")
            if not _RATES[0] <= sound.samplerate <= _RATES[1]:
                raise InputError(
                    f"{file}: {sound.samplerate:,} samples per second; give clips with {_RATES[0]:,} to {_RATES[1]:,}"
                )
            samples, rate = sound.read(dtype="float32", always_2d=True), sound.samplerate
    except InputError:
        raise
    except Exception as error:  # the file is untrusted, and the library raises several kinds of errors
        raise InputError(f"{file}: not a readable clip ({error}); replace or remove it") from error
    mono = samples.mean(1)
    if not np.isfinite(mono).all():
        raise InputError(f"{file}: its samples hold NaN or infinity; replace or remove it")
    if rate != RATE:
        from scipy.signal import resample_poly

        common = gcd(rate, RATE)
        mono = resample_poly(mono, RATE // common, rate // common)
    return torch.from_numpy(np.ascontiguousarray(mono, dtype=np.float32))
