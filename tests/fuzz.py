"""Hostile bytes for whatever the library reads: it works, or refuses in one line, within time and memory.

    python tests/fuzz.py --artifacts 20000 --data 10000 --checkpoints 500 --seed 0
    python tests/fuzz.py --only artifacts:1234

What a case does comes from its seed, kind and number alone.
"""

import argparse
import bz2
import contextlib
import copy
import gzip
import io
import json
import logging
import os
import pickle
import pickletools
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count, pairwise, product
from math import inf, nan, prod
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from conftest import blobs
from layouts import CIFAR, SVHN, VERSIONS, pickled, write_cifar, write_svhn
from lists import DECODERS, LEARNED, WRAPPED
from numpy.lib.format import write_array
from PIL import Image
from safetensors.torch import save as safetensors_of

import condensery as cd
from condensery import decoders
from condensery.cli import main as command
from condensery.console import Spoken
from condensery.data.pixels import PixelSpace, Whitening
from condensery.errors import InputError, RunError
from condensery.evaluation.protocols import Protocol
from condensery.evaluation.training import Training
from condensery.kernels import memory
from condensery.networks.convnet import ConvNet
from condensery.networks.names import FAMILIES
from condensery.runs import storage
from condensery.runs.artifact import save
from condensery.runs.checkpoint import Interrupted
from condensery.runs.condensed import Condensed
from condensery.runs.run import provenance, run
from condensery.runs.session import seconds_of
from condensery.runs.storage import read_tensors, tensor_file
from condensery.synthetic import SyntheticSet

LONGEST, SECONDS, GROWTH = 1100, 2.0, 512 * 2**20  # of a message; of a case, which may not grow the process by more
STUCK = 20  # seconds on the clock, after which a case is given up
LIMIT_GB = "0.02"  # what one file may ask for here; a case decodes its set seven times
ROOM = 8 * 2**30  # bytes of addresses: a case that takes all memory is stopped there, and not by the system

SIZES = (0, 1, 2, 7, 8, 255, 256, 2**15, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
NAMES = (
    "a", "1", "é", "e\u0301", "a\nb", "\x1b[31mred", os.fsdecode(b"\xff\xfe"), "\u202ex", " ", "n" * 240, "TEST", "-rf",
)  # fmt: skip
WORDS = ("", "x" * 3000, "\x1b]0;t\x07", "a\nb\r\tc", "\ud800", "\u202egnp\u2066", "\0", "\u2028\x85", "unit", "passes")
HOSTILE = (
    None, True, False, -1, 3, 33, *SIZES, -(2**63), 10**9, 10**30, 10**400, -(10**400), 0.5, 1e-320, 1e38, 1e308, nan,
    inf, -inf, *WORDS, [], {}, [[]], [None], [0], [1, 2, 3, 4], {"": None}, {"name": "dc"}, "pixels", "mlp",
)  # fmt: skip
DTYPES = (
    torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.uint8, torch.int64, torch.bool, torch.complex64,
    torch.float8_e4m3fn, torch.uint16,
)  # fmt: skip


class Bomb:
    """Unpickled, it leaves a file."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


# ---- damage


def number(r: random.Random, size: int) -> bytes:
    return (r.choice(SIZES) % 256**size).to_bytes(size, r.choice(("little", "little", "big")))


def damaged(content: bytes, r: random.Random) -> bytes:
    """Bytes flipped, overwritten, cut off, put in, near the start more often than elsewhere."""
    made = bytearray(content)
    for _ in range(r.choice((1, 1, 1, 2, 5))):
        at = r.randrange(r.choice((min(len(made), 64), min(len(made), 400), len(made))) + 1)
        old = bytes(made[at : at + r.choice((1, 2, 4, 8, 100, len(made)))])
        flip = bytes((old[0] ^ 1 << r.randrange(8),)) + old[1:] if old else b""
        other = r.randbytes(len(old)), bytes(len(old)), number(r, min(len(old), 8)), b"", r.randbytes(9) + old
        made[at : at + len(old)] = r.choice((flip, flip, flip, *other))
    return bytes(made)


def grafted(tree: dict, r: random.Random) -> dict:
    """A tree of JSON in which one node is another, gone, repeated or has company."""
    made = copy.deepcopy(tree)
    parent, key = made, r.choice(list(made))
    while isinstance(inner := parent[key], dict | list) and inner and r.random() < 0.7:
        parent, key = inner, r.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
    way = r.choice(("other", "other", "other", "gone", "more", "longer", "number"))
    value = json.loads("[" * 150 + "]" * 150) if r.random() < 0.02 else r.choice(HOSTILE)
    if way == "longer" and isinstance(inner, list | str):
        value = inner * r.choice((0, 2, 40))
    elif way == "number" and isinstance(inner, int | float):
        value = inner * r.choice((-1, 2, 1e-30, 1e30)) + r.choice((0, 1, -1))
    if way == "more":
        parent.insert(key, value) if isinstance(parent, list) else parent.update({r.choice((*WORDS, "phase")): value})
    elif way == "gone":
        del parent[key]
    else:
        parent[key] = value
    return made


def retensored(tensors: dict, r: random.Random) -> dict:
    """Tensors of which one is gone, renamed, doubled, of another shape or type, or holds odd numbers."""
    made, name, dtype = dict(tensors), r.choice(list(tensors)), r.choice(DTYPES)
    t = made.pop(name)
    flat, rows = t.flatten().clone(), t if t.ndim else t[None]
    odd = r.choice((nan, inf, -inf, 3e38, 1e-45, -0.0, 2.0**63, -1.0)) if t.is_floating_point() else 1
    odd = r.choice((-1, 1000, 2**62)) if t.dtype == torch.int64 else odd
    flat[r.randrange(len(flat) + 1) :: r.choice((1, 10**9))] = odd
    shapes = t[None], flat, flat[:0], flat.sum(), flat[None, :0], rows[:1], rows.transpose(0, -1), torch.cat([rows] * 2)
    scaled = t * r.choice((0, 1e-40, 1e20, 1e38, -1))
    value = r.choice((t, t.to(dtype), scaled, flat.reshape(t.shape), r.choice(shapes)))
    other = r.choice((*NAMES[:6], *WORDS[:5], "labels", "whitening.center", "decoder.x", "more.x"))
    made |= {key: value.clone() for key in r.choice(((), (name,), (name,), (name,), (other,), (name, other)))}
    return {name: tensor.to(dtype) for name, tensor in made.items()} if r.random() < 0.1 else made


# ---- artifacts


@cache
def artifacts() -> list[tuple[bytes, dict, dict]]:
    """Small valid files, as bytes, heads and tensors: every decoder, with and without labels and whitening."""
    made, path, recipes = [], Path("base").absolute(), [*LEARNED.values(), *WRAPPED.values()]
    for i, (part, labeled, whitened) in enumerate(product(DECODERS.values(), (False, True), (False, True))):
        real, stored = blobs((1, 8, 8) if whitened or i % 8 < 4 else (3, 8, 8)), ("unit", "normalized")[i % 2]
        decoder, recipe = part(real.shape, 2), recipes[i % len(recipes)]
        labels = torch.rand(3, 2, 3) if labeled and decoder.even else None
        whitening = Whitening.measured([real.read(slice(None)).float()]) if whitened else None
        space, about = PixelSpace(real.space.mean, real.space.std, stored, whitening), provenance(recipe, real)
        rows = torch.rand(3, decoder.initial_rows(2), *real.shape)
        synthetic = SyntheticSet.from_rows(rows, space, decoder, labels)
        save(Condensed(synthetic, ("a", "b", "c"), about["recipe"], 1, about["data"]), path)
        made.append((path.read_bytes(), *read_tensors(path)))
    path.unlink()
    return made


def counted(head: dict, tensors: dict) -> bytes:
    """A file whose head says how many numbers there are."""
    floats = sum(t.numel() for name, t in tensors.items() if not name.startswith("whitening."))
    size = floats * next(iter(tensors.values())).element_size()
    return tensor_file(tensors, head | {"floats": floats, "bytes": size})


def odd_head(head: dict, tensors: dict, r: random.Random) -> bytes:
    """A file under a fitting checksum, whose head no program of ours writes."""
    text, well = json.dumps(head), r.choice((600, 5000, 10**5))
    steps = r.choice(("9" * 400, "9" * 5000, "1e400", "NaN", "-0", "[" * well + "]" * well, '"\\ud800"', "1, 2", "\\"))
    text = r.choice((
        text.replace('"steps": 1', f'"steps": {steps}'), text.replace('"recipe": {', f'"recipe": {{"x": {steps}, '),
        text.replace('"recipe": {', '"recipe": {"base": null, '), text.replace('"net": {', '"net": null, "x": {'),
        "1", text[:-1] + ', "recipe": 1}', '{"a":' * well + "1" + "}" * well, text.replace("{", "{ ", 1), "null", "",
    ))  # fmt: skip
    checksum = storage._checksum(text.encode(), tensors)
    return safetensors_of(tensors, {"condensery": f'{{"checksum": "{checksum}", "head": {text}}}'})


def odd_parts(head: dict, r: random.Random) -> tuple[dict, dict]:
    """Head and tensors that fit together, of sizes and numbers that nobody uses."""
    styles, labeled, white, extreme = (r.random() < 0.2 for _ in range(4))
    numbers = ((0.4, 0.3, 1e38), (1e308, 1.0, 1.0), (0.4, 1e-320, 1.0), (0.4, 1e308, 1e-30), (0, 1e30, 1e10))
    mean, std, scale = r.choice(numbers) if extreme else (0.4, 0.3, 1.0)
    sizes, pad = {"": (2**19,)}, r.choice((0.5, 1e38)) if extreme else 0.5
    while sum(map(prod, sizes.values())) > 2**18:
        shape = [r.choice((1, 1, 3, 3, 2)), *(r.choice((1, 2, 3, 8, 8, 31, 100, 2000, 2**16)) for _ in range(2))]
        classes, ipc, factor = r.choice((1, 2, 3, 100, 3000)), r.choice((1, 2, 5, 300)), r.choice((1, 2, 3, 8, 32))
        name, kind, arguments = r.choice((
            ("pixels", decoders.Pixels, {}), ("bound", decoders.Bound, {"factors": [factor] * ipc, "pad": pad}),
            ("uniform", decoders.Uniform, {"factor": [factor, r.choice((1, 2, 32))], "pad": pad}),
            ("multi-scale", decoders.MultiScale, {"factor": factor, "pad": pad}),
            ("learnable", decoders.Learnable, {
                "factor": factor, "channels": shape[0], "width": r.choice((1, 8, 64)), "pad": pad,
            }),
            ("factorized", decoders.Factorized, {
                "shape": shape, "channels": [r.choice((1, 2, 50))] * r.choice((1, 2, 6, 12)), "styles": styles,
                "decoders": r.choice((1, 3, 200)), "kernel": r.choice((2, 4)), "activation": "relu",
            }),
        ))  # fmt: skip
        with contextlib.suppress(InputError), torch.device("meta"):
            decoder = kind(**arguments)
            sizes = {"bases": (classes, ipc, *decoder.base_shape(tuple(shape)))}
            sizes |= {f"decoder.{k}": w.shape for k, w in decoder.state_dict().items()}
            sizes |= {"labels": (classes, ipc, classes)} if labeled else {}
            values = prod(shape) if white and prod(shape) <= 200 else 0
            sizes |= {"whitening.center": (values,), "whitening.matrix": (values, values)} if values else {}
    generator = torch.Generator().manual_seed(r.randrange(2**32))
    tensors = {name: torch.randn(size, generator=generator) for name, size in sizes.items()}
    tensors["bases"] *= scale
    space = {"stored": r.choice(("unit", "normalized")), "mean": [mean] * shape[0], "std": [std] * shape[0]}
    names, space["whitened"], described = list(map(str, range(classes))), bool(values), {"name": name, **arguments}
    return head | {"class_names": names, "space": space, "decoder": described, "shape": shape}, tensors


def foreign(head: dict, tensors: dict, r: random.Random) -> bytes:
    """What is no artifact at all, or another program's."""
    torch.save({"bases": Bomb()}, packed := io.BytesIO())
    entry = r.choice(("", "{", "[1]", "null", '{"checksum": 1, "head": 2}', json.dumps(head)))
    return r.choice((
        b"", b"text\n" * 99, pickle.dumps(Bomb()), packed.getvalue(), safetensors_of(tensors), r.choice(pictures()),
        safetensors_of(tensors, {"format": "pt"}), safetensors_of(tensors, {"condensery": entry}),
    ))  # fmt: skip


def reheaded(content: bytes, r: random.Random) -> bytes:
    """A safetensors file whose own header lies."""
    length = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    sizes = (0, 1, 4, len(data), len(data) + 1, 2**63, 2**64 - 1)
    for _ in range(r.choice((1, 1, 3))):
        entry = header[r.choice(list(header))]
        if isinstance(entry, dict) and "shape" in entry and r.random() < 0.5:
            entry["data_offsets"] = [r.choice(sizes), r.choice(sizes)]
            entry["shape"] = r.choice((entry["shape"], [2**31, 2**31], [2**63, 2], [0, 2**63], [2**62, 4], [-1], []))
            entry["dtype"] = r.choice(("F32", "F32", "F64", "BOOL", "F4", "F6_E2M3", "F8_E8M0", "U64", "C64", "X", ""))
        else:
            header = grafted(header, r)
    text = json.dumps(header).encode()
    return struct.pack("<Q", r.choice((len(text),) * 20 + SIZES)) + text + data


def several(change: Callable[[dict, random.Random], dict], old: dict, r: random.Random) -> dict:
    for _ in range(r.choice((1, 1, 2, 3))):
        old = change(old, r)
    return old


def artifact(r: random.Random, folder: Path) -> Callable[[], None]:
    content, head, tensors = r.choice(artifacts())
    fields = {
        "width": r.choice((1, 4, 4096)), "depth": r.choice((None, 1, 10, 32)), "norm": r.choice(("batch", "none")),
        "growth": 1, "blocks": r.choice(([1, 2], [10**9], 1)), "pooling": "none",
    }  # fmt: skip
    net = {"family": r.choice((*FAMILIES, "xyzzy"))}
    net |= {name: fields[name] for name in r.sample(sorted(fields), r.choice((0, 1, 1, 2)))}
    ways = {
        "bytes": lambda: damaged(content, r),
        "tree": lambda: tensor_file(tensors, several(grafted, head, r)),
        "tensors": lambda: counted(head, several(retensored, tensors, r)),
        "both": lambda: counted(grafted(head, r), retensored(tensors, r)),
        "decoder": lambda: tensor_file(tensors, head | {"decoder": several(grafted, head["decoder"], r)}),
        "net": lambda: tensor_file(tensors, head | {"recipe": head["recipe"] | {"net": net}}),
        "odd": lambda: counted(*odd_parts(head, r)),
        "head": lambda: odd_head(head, tensors, r),
        "header": lambda: reheaded(content, r),
        "foreign": lambda: foreign(head, tensors, r),
    }
    way, path = r.choice(list(ways)), folder / (r.choice(NAMES) if r.random() < 0.05 else "set.safetensors")
    path.write_bytes(damaged(content, r))
    with contextlib.suppress(Exception):  # what cannot be written down is no file
        path.write_bytes(ways[way]())
    if way == "foreign" and r.random() < 0.03:  # zeros, which take no room on the disk
        hollow = {"x": {"dtype": "U8", "shape": [280 * 2**20], "data_offsets": [0, 280 * 2**20]}}
        text = json.dumps(hollow | {"__metadata__": {"condensery": "{}"}}).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text)
        os.truncate(path, 8 + len(text) + 280 * 2**20)
    return partial(use_artifact, path, r, 0.1 if way == "net" else 0.01)


def use_artifact(path: Path, r: random.Random, measured: float) -> None:
    there = cd.load(path)
    for space in ("normalized", "unit", "uint8"):
        there.tensors(space=space)
    assert repr(there.dataset()[0]) + repr(there.subset(1)) + there.method + repr(there.net)
    with contextlib.suppress(InputError):  # none may fit
        there.subset(bytes=r.choice((0, 300, "1 KB", "3.5MB", 10**30)))
    if r.random() < 0.2:
        status = command(["show", str(path), "--png", str(path.with_name("set.png"))])
        assert status in (0, 2), f"show ended with {status}"
    classes, shape = there.synthetic.classes, there.tensors(1)[0].shape[1:]
    if r.random() < measured and classes * prod(shape) <= 2**16:
        images, ids = np.random.default_rng(0).random((2 * classes, *shape), np.float32), [*range(classes)] * 2
        data = cd.from_arrays(images, ids, images, ids, class_names=there.class_names)
        cd.evaluate(
            there, data, protocol=lambda *given: Protocol("tiny", Training(0.1), steps=2), repeats=1, progress=False
        )


# ---- data files


def npy(r: random.Random) -> bytes:
    """An array's bytes whose header lies."""
    kind = r.choice(("'|u1'",) * 9 + (
        "'<f4'", "'>f8'", "'|O'", "'<M8[ns]'", "'<U900000000'", "'|V0'", "'|b1'", "'<c8'", "'<f2'", "'<f16'", "''",
        "'|S0'", "'x'", "[('a','<f4')]", "None", "{}", "('<f4', (10**6,))", "('<f4', (9, 9, 9))",
    ))  # fmt: skip
    shape = r.choice(("(20, 8, 8)",) * 9 + (
        "(20,)", "(20, 8, 8, 3)", "()", "(-1, 8, 8)", "(0, 8, 8)", "(20L, 8L, 8L)", "(1.5,)", "(20, 30000, 30000)",
        "20", "(True, 8, 8)", f"({2**40}, 8)", f"({2**62}, {2**62})", "None", "(20, 8, 8)" * 999,
    ))  # fmt: skip
    text = f"{{'descr': {kind}, 'fortran_order': {r.choice(('False', 'True', '1'))}, 'shape': {shape}, }}"
    odd = ("__import__('os').system('touch exploded')", "[" * 9000, "{" + "1" * 6000, " " * 60000, "\0", text[:30])
    head, major = (r.choice(odd) if r.random() < 0.1 else text).encode() + b"\n", r.choice((1, 1, 2, 3, 9))
    size = 2 if major == 1 else 4
    length = len(head).to_bytes(size, "little") if r.random() < 0.9 else number(r, size)
    return b"\x93NUMPY" + bytes((major, 0)) + length + head + r.randbytes(r.choice((0, 20, 1280)))


def arrays(r: random.Random) -> dict:
    """Arrays that a stranger may hold for a data set."""
    x, y = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8), np.repeat([0, 1], 10)
    other, bombs = r.choice(("f2", "i8", "u2", "?", "c8", ">f4", "M8[s]", "U3", "O")), np.array([Bomb()] * 20)
    images = (
        x, x, x / 255, x / 255 * r.choice((nan, inf, 1.001, 1e300, -1e-40)), x.astype(other), x[..., None], x[:0],
        x[:, 0], x[:, :0], x * 0, x[:, :1, :1], bombs, np.zeros((20, 1, 50000), np.uint8), np.float64(1),
        np.asfortranarray(x / 255), np.repeat(x[:, None], r.choice((1, 3, 4)), 1),
    )  # fmt: skip
    ids = (
        y, y, y, y[:, None], y[:19], y * 2**62, y.astype("u8") * (2**64 - 1), y.astype("i1") - 100, y == 1, y / 1,
        y * 0, y.astype("O"), y.astype("U1"), np.eye(2, dtype=int)[y], np.array(1), y[::-1], bombs, np.arange(20),
    )  # fmt: skip
    test = {"x_test": r.choice(images), "y_test": r.choice(ids)} if r.random() < 0.3 else {}
    return {"x_train": r.choice(images), "y_train": r.choice(ids), **test}


def archive(r: random.Random) -> bytes:
    packing = r.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    file, way = io.BytesIO(), r.choice(("values", "header", "zip", "bytes") * 9 + ("bomb",))
    content = {"x_train": np.arange(1280, dtype=np.uint8).reshape(20, 8, 8), "y_train": np.repeat([0, 1], 10)}
    if way == "bomb":
        content["x_train"] = np.zeros((r.choice((20, 200)), 1000, 1000), r.choice(("u1", "f4")))
    with zipfile.ZipFile(file, "w", packing) as zipped:
        for name, array in (arrays(r) if way == "values" else content).items():
            with zipped.open(f"{name}{r.choice(('.npy',) * 40 + ('', '.NPY'))}", "w") as member:
                lies = way == "header" and r.random() < 0.6
                member.write(npy(r)) if lies else write_array(member, np.asarray(array))
    made = bytearray(file.getvalue())
    if way == "zip":
        entry = r.choice([found.start() for found in re.finditer(b"PK\1\2|PK\3\4|PK\5\6", made)])
        at, size = entry + r.choice((6, 8, 10, 12, 16, 18, 20, 22, 24, 28, 42)), r.choice((2, 4))
        made[at : at + size] = r.choice((number(r, size), r.choice((1, 9, 12, 14, 93, 99)).to_bytes(size, "little")))
    return damaged(bytes(made), r) if way == "bytes" else bytes(made)


def from_npz(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    path = folder / f"{r.choice(NAMES) if r.random() < 0.05 else 'data'}.npz"
    path.write_bytes(archive(r) if r.random() < 0.97 else r.choice((b"", pickle.dumps(Bomb()), npy(r))))
    return lambda: cd.npz(path)


def drawn(form: str, picture: Image.Image, **options) -> bytes:
    picture.save(file := io.BytesIO(), form, **options)
    return file.getvalue()


@cache
def pictures() -> list[bytes]:
    """Small pictures of every kind that is read; the first is as good as all others in a folder."""
    color, turned = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)), Image.Exif()
    turned[0x112] = 6
    kinds = {
        "PNG": ("L", "1", "LA", "P", "RGB", "RGBA", "I;16"), "JPEG": ("L", "RGB", "CMYK"), "GIF": ("L", "P"),
        "BMP": ("1", "L", "P", "RGB"), "WEBP": ("RGB", "RGBA"), "PPM": ("1", "L", "RGB"),
        "TIFF": ("1", "L", "P", "RGB", "RGBA", "CMYK", "F", "I;16"),
    }  # fmt: skip
    ways = [(form, mode, {}) for form, modes in kinds.items() for mode in modes]
    ways += [("TIFF", "RGB", {"compression": way}) for way in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits")]
    ways += [("TIFF", "1", {"compression": "group4"}), ("JPEG", "RGB", {"progressive": True, "exif": turned})]
    ways += [("GIF", "P", {"save_all": True, "append_images": [color] * 3}), ("PNG", "P", {"transparency": 3})]
    sources = {mode: color if mode in ("RGB", "CMYK", "P") else color.convert("L") for _, mode, _ in ways}
    return [drawn(form, sources[mode].convert(mode), **options) for form, mode, options in ways]


@cache
def contraband() -> list[bytes]:
    """Pictures of kinds that are not read, and what is none."""
    made = [b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS\n(exploded) (w) file closefile\n", b"%PDF-1", b""]
    for form in ("EPS", "AVIF", "DDS", "BLP", "ICO", "JPEG2000", "TGA", "PCX", "SGI", "ICNS", "IM", "MSP", "XBM"):
        with contextlib.suppress(Exception):  # Pillow may lack it
            made.append(drawn(form, Image.new({"BLP": "P", "MSP": "1", "XBM": "1"}.get(form, "RGB"), (16, 16))))
    return made


@cache
def large(form: str, mode: str, width: int, height: int) -> bytes:
    return drawn(form, Image.new(mode, (width, height)), **({"transparency": 0} if mode == "P" else {}))


def claiming(r: random.Random) -> bytes:
    """A PNG of any claimed size and kind, whose checksums fit; or a PPM."""
    if r.random() < 0.2:
        width, height, most = r.choice((8, *SIZES)), r.choice((8, *SIZES)), r.choice((255, *SIZES))
        return f"P{r.randrange(1, 8)} {width}\n{height} {most}\n".encode() + bytes(64)
    sides = [r.choice((8, 8, 1, 0, 5000, 8000, 70000, 2**31 - 1, 2**32 - 1)) for _ in range(2)]
    kind = r.choice((1, 8, 8, 16, 7)), r.choice((0, 2, 3, 4, 6, 9)), 0, 0, r.choice((0, 1))
    name = r.choice((b"zTXt", b"iCCP", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"IDAT"))
    more = b"x\0\0" + zlib.compress(bytes(2**22)) if name == b"zTXt" else r.randbytes(r.choice((0, 8, 40, 768)))
    data, made = zlib.compress(r.randbytes(r.choice((0, 72, 1000)))), b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", *sides, *kind)
    for chunk, content in ((b"IHDR", head), (name, more), (b"IDAT", data), (b"IEND", b"")):
        made += struct.pack(">I", len(content)) + chunk + content + struct.pack(">I", zlib.crc32(chunk + content))
    return made


def picture(r: random.Random) -> bytes:
    kinds = ("PNG", "1"), ("PNG", "P"), ("PNG", "RGB"), ("GIF", "P"), ("BMP", "1"), ("JPEG", "L")
    sides = r.choice(((1, 60000), (60000, 1), (3000, 2), (1200, 1200)))
    ways = {
        lambda: damaged(r.choice(pictures()), r): 65,
        lambda: claiming(r): 20,
        lambda: r.choice((*contraband(), damaged(r.choice(contraband()), r))): 10,
        lambda: large("PNG", r.choice(("L", "RGB")), *sides): 4,
        lambda: large(*r.choice(kinds), 8000, 8000): 1,
    }
    return r.choices(list(ways), list(ways.values()))[0]()


def from_folder(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    root, good, odd = folder / "set", pictures()[0], r.random() < 0.15
    parts = r.choice(((".",), (".",), ("train", "test"), ("Train", "VAL", "test"), ("train",)))
    for part, name in product(parts, ("cat", r.choice(NAMES) if odd else "dog")):
        (root / part / name).mkdir(parents=True, exist_ok=True)
        for i in range(2):
            (root / part / name / f"{i}.png").write_bytes(good)
    suffix = r.choice((".png", ".png", ".jpg", ".TIFF", ".webp", ".gif", ".ppm", ".bmp", ".svg"))
    hit = root / parts[-1] / "cat" / f"{r.choice(NAMES) if odd else '9'}{suffix}"
    hit.write_bytes(good if r.random() < 0.05 else picture(r))
    size = r.choice((None, 8, 8, 1, 33))
    return lambda: cd.image_folder(root, size)


def from_idx(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    raw, hit = folder / "MNIST" / r.choice((".", "raw")), r.randrange(4)
    raw.mkdir(parents=True)
    for i, name in enumerate(("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")):
        sizes, values = ([20], bytes(range(10)) * 2) if i % 2 else ([20, 6, 6], bytes(range(240)) * 3)
        magic, packed = bytes((0, 0, 8, len(sizes))), r.random() < 0.5
        way = r.choice(("sizes", "sizes", "magic", "bytes", "bytes", "packed", "values", "long")) if i == hit else ""
        if way == "sizes":
            sizes = [r.choice((s, s, *SIZES, 4000)) % 2**32 for s in sizes] * r.choice((1, 1, 1, 2))
        elif way == "magic":
            magic = r.choice((b"", bytes(4), bytes((0, 0, r.choice((8, 13)), r.randrange(256)))))
        elif way == "values":
            values = r.choice((b"", r.randbytes(20), bytes(720), b"\xff" * 720))
        elif way == "long":
            sizes, values, packed = [r.choice((50, 150)), 1000, 1000], bytes(50 * 10**6), True
        content = magic + struct.pack(f">{len(sizes)}I", *sizes) + values
        content = damaged(content, r) if way == "bytes" else content
        content = gzip.compress(content, 1, mtime=0) if packed else content
        (raw / f"{name}-ubyte{'.gz' * packed}").write_bytes(damaged(content, r) if way == "packed" else content)
    return lambda: cd.mnist(folder)


def from_usps(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    (folder / "USPS").mkdir()
    odd = (
        "1 1:nan", "2 1:inf", "3 1:1e400", "4 0:1", "5 257:1", "6 " + "9" * 99 + ":1", "7 -1:1", "8 1:1 1:1", "9 qid:3",
        "#", "1 #", "2 \0", "3 1:", "4 :", "5 x", "6 1:0x1", "7 é", "8 \x1b[31m", "9 2:1 1:1", "nan 1:1", "1e30 1:1",
        "-5 1:1", "inf 1:1", "1.5 1:1", "", "1,2 1:1", "11 1:1", "1", "\0" * 999,
    )  # fmt: skip
    for name in ("usps.bz2", "usps.t.bz2"):
        lines, way = [f"{1 + i % 10} 1:{i / 20} 250:-1" for i in range(20)], r.random()
        lines[r.randrange(20)] = r.choice(odd) if way < 0.7 else "1 1:1"
        content = bz2.compress("\n".join(lines).encode())
        if way > 0.995:  # streams one after the other, which are packed as one
            content = bz2.compress(r.choice((b"\0", b"\n", b"1 1:1\n", b"1 1:1 ", b"#")) * 100_000) * 250
        (folder / "USPS" / name).write_bytes(damaged(content, r) if 0.75 < way < 0.995 else content)
    return lambda: cd.usps(folder)


def repacked(content: bytes, r: random.Random) -> bytes:
    """A MATLAB file whose last array is damaged below its compression, under a size that fits."""
    ends = [128]
    while ends[-1] < len(content):
        ends.append(ends[-1] + 8 + int.from_bytes(content[ends[-1] + 4 : ends[-1] + 8], "little"))
    at, end = r.choice([*pairwise(ends)])
    inner = zlib.compress(damaged(zlib.decompress(content[at + 8 : end]), r))
    return content[:at] + struct.pack("<II", 15, len(inner)) + inner + content[end:]


def from_svhn(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    packed = r.random() < 0.7
    write_svhn(folder, packed)
    path = folder / "SVHN" / r.choice(SVHN)
    content = path.read_bytes()
    path.write_bytes(repacked(content, r) if packed and r.random() < 0.7 else damaged(content, r))
    return lambda: cd.svhn(folder)


def reordered(content: bytes, r: random.Random) -> bytes:
    """A pickle of which some instructions are others, gone, repeated or elsewhere."""
    starts = [at for _, _, at in pickletools.genops(content)]
    parts = [content[a:b] for a, b in pairwise([*starts, len(content)])]
    odd = (b"(", b"t", b"R", b"b", b"}", b"]", b"e", b"u", b"N", b"0", b"\x85", b"Q", b"h\1", b"cos\nsystem\n", b"\x93")
    for _ in range(r.choice((1, 1, 2, 5))):
        at, way = r.randrange(len(parts)), r.choice(("other", "gone", "again", "odd", "more"))
        other = {"other": r.choice(parts), "gone": b"", "again": parts[at] * 2, "odd": r.choice(odd)}
        parts[at] = other.get(way, r.choice(odd) + parts[at])
    return b"".join(parts)


def from_cifar(r: random.Random, folder: Path) -> Callable[[], cd.Data]:
    version = r.choice(VERSIONS)
    write_cifar(folder, version)
    place, files = CIFAR["cifar10"][version.split()[0]]
    path, bombs = folder / place / r.choice(files), {"data": Bomb(), "labels": [Bomb()]}
    content = path.read_bytes()
    others = pickle.dumps(Bomb(), 2), pickle.dumps(bombs, r.randrange(6)), pickled(arrays(r)), b""
    if version != "binary" and r.random() < 0.6:
        path.write_bytes(reordered(content, r))
    else:
        path.write_bytes(damaged(content, r) if r.random() < 0.8 else r.choice(others))
    return lambda: cd.cifar10(folder)


def data_file(r: random.Random, folder: Path) -> Callable[[], None]:
    kinds = {from_npz: 30, from_folder: 37, from_idx: 10, from_usps: 7, from_svhn: 6, from_cifar: 10}
    return partial(use_data, r.choices(list(kinds), list(kinds.values()))[0](r, folder))


def use_data(read: Callable[[], cd.Data]) -> None:
    data = read()
    rows, labels, _ = next(data.train.minibatches(4, torch.Generator()))
    assert torch.isfinite(rows).all(), "rows that are not finite"
    assert 0 <= int(labels.min()) <= int(labels.max()) < len(data.class_names), "labels beyond the classes"
    assert len(data.test.read(slice(0, 4))), "no test rows"


# ---- checkpoints and kept means


@cache
def few() -> cd.Data:
    return cd.digits().validation(0.95)  # 7 rows per class to condense


@cache
def runs() -> list[tuple[object, dict[str, bytes], bytes]]:
    """Recipes, each with the files that a stop in the middle of it left, and the artifact without a stop."""
    dc, idc = replace(LEARNED["dc 1"], outer_steps=3, real_rows=4), replace(LEARNED["idc early"], real_rows=64, ipc=1)
    norm = replace(dc, net=ConvNet(width=4, depth=2, norm="batch"), ipc=2, outer_steps=2, network_epochs=1)
    dream, kfs = WRAPPED["dream of some idc"], replace(LEARNED["kfs whole"], decoders=2, pretraining=3, steps=3)
    mdc, out, made = WRAPPED["mdc of idc"], Path("case/out").absolute(), []
    for recipe, steps in ((dc, 2), (norm, 3), (idc, 1), (idc, 4), (idc, 6), (dream, 3), (kfs, 2), (kfs, 5), (mdc, 4)):
        files: list[dict[str, bytes]] = []
        for asked in (count(), iter([*range(steps), None])):
            with contextlib.suppress(Interrupted):
                run(recipe, few(), out, stop=lambda asked=asked: next(asked) is None, progress=False)
            files.append({str(p.relative_to(out.parent)): p.read_bytes() for p in out.parent.rglob("*") if p.is_file()})
            shutil.rmtree(out.parent)
            out.parent.mkdir()
        means = {name: content for name, content in files[0].items() if name.startswith("cache")}  # of the next steps
        assert any(name.startswith("out/checkpoint") for name in files[1])
        made.append((recipe, means | files[1], files[0]["out/condensed.safetensors"]))
    return made


def checkpoint(r: random.Random, folder: Path) -> Callable[[], None]:
    recipe, files, whole = r.choice(runs())
    files, tensors = dict(files), [name for name in files if name.endswith(".safetensors")]
    hit = r.choice((*tensors * 3, *(name for name in files if name.endswith(("metrics.jsonl", "run.json")))))
    changed = hit in tensors and r.random() < 0.4  # under a fitting checksum, so that other bytes may come out
    if changed:
        files[hit] = resealed(files[hit], folder / "part", r)
    elif hit in tensors and r.random() < 0.6:
        bit, flipped = r.randrange(8 * len(files[hit])), bytearray(files[hit])
        flipped[bit // 8] ^= 1 << bit % 8
        files[hit] = r.choice((files[r.choice(tensors)], *[bytes(flipped)] * 5))
    else:
        files[hit] = damaged(files[hit], r) if hit in tensors or r.random() < 0.5 else rewritten(files[hit], hit, r)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return partial(resumed, recipe, folder / "out", None if changed else whole)


def resealed(content: bytes, path: Path, r: random.Random) -> bytes:
    path.write_bytes(content)
    head, tensors = read_tensors(path)
    path.unlink()
    with contextlib.suppress(Exception):  # what cannot be written down is no file
        if r.random() < 0.5:
            return tensor_file(tensors, several(grafted, head, r))
        return tensor_file(several(retensored, tensors, r), head)
    return content


def rewritten(content: bytes, name: str, r: random.Random) -> bytes:
    """Records of a run that are JSON, and odd."""
    lines = [content] if name.endswith(".json") else content.splitlines()
    if r.random() < 0.8:
        return b"".join(json.dumps(grafted(json.loads(line), r)).encode() + b"\n" for line in lines)
    return r.choice((b"", b"[" * 10**5, b'{"step": 1, "seconds": ' + b"9" * 5000 + b"}\n", b"null\n", b"\xff\xfe\n"))


def resumed(recipe: object, out: Path, whole: bytes | None) -> None:
    run(recipe, few(), out, progress=False)
    assert whole is None or (out / "condensed.safetensors").read_bytes() == whole, "the artifact is another"
    run(recipe, few(), out, progress=False)
    assert seconds_of(out) >= 0, "seconds below 0"


# ---- the frame


KINDS = {"artifacts": artifact, "data": data_file, "checkpoints": checkpoint}
ACTS = ("pickle.find_class", "subprocess.", "socket.", "os.system", "os.exec", "os.spawn", "os.posix_spawn", "os.fork")
CHANGES = ("os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")


class Watch:
    """Notes what a case does that reading never needs: execute something, or write outside of its folder."""

    folder, acts = "", []

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.folder:
            return
        writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        named = arguments[:1] if writes else arguments[:2] if event in CHANGES else ()
        paths = [os.path.abspath(os.fsdecode(path)) for path in named if isinstance(path, str | bytes | os.PathLike)]
        away = [path for path in paths if not f"{path}/".startswith((f"{self.folder}/", "/dev/null/"))]
        if event.startswith(ACTS) or [path for path in away if "__pycache__" not in path]:
            self.acts.append(f"{event} {arguments!r:.200}")


WATCH = Watch()


@cache
def watching() -> None:
    sys.addaudithook(WATCH)  # for good: no hook can be taken away


class Stuck(BaseException):
    """A case takes too long to wait for."""


def stop(*_) -> None:
    raise Stuck


@dataclass
class Tally:
    """What became of the cases of one kind."""

    kind: str
    cases: int = 0
    refused: int = 0
    slowest: tuple[float, int] = (0.0, -1)
    largest: tuple[float, int] = (0.0, -1)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.kind}: {self.cases} cases, {self.refused} refused, {self.cases - self.refused} accepted, slowest "
            f"{self.slowest[0]:.2f} s (case {self.slowest[1]}), largest growth {self.largest[0] / 2**20:.0f} MB "
            f"(case {self.largest[1]}), {len(self.violations)} violations"
        )


@contextlib.contextmanager
def prepared() -> Iterator[None]:
    """A working folder in memory and the library's messages on standard error; all put back afterwards."""
    watching()
    disk, spoken = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None, {"handlers": [Spoken()], "propagate": False}
    handler, (soft, hard) = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    with (
        tempfile.TemporaryDirectory(dir=disk) as work,
        contextlib.chdir(work),
        mock.patch.multiple(logging.getLogger("condensery"), **spoken),
        mock.patch.dict(os.environ, CONDENSERY_LIMIT_GB=LIMIT_GB, CONDENSERY_CACHE=f"{work}/case/cache"),
    ):
        resource.setrlimit(resource.RLIMIT_AS, (ROOM, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
            signal.signal(signal.SIGALRM, handler)


def printable(line: str) -> bool:
    kinds = {unicodedata.category(c) for c in line} & {"Cc", "Cs", "Zl", "Zp"}
    return not kinds and not re.search("[\u202a-\u202e\u2066-\u2069]", line)


def told(error: BaseException) -> str:
    """An exception in one line: what, and where in the library."""
    frames = traceback.extract_tb(error.__traceback__)
    at = ([frame for frame in frames if "/condensery/" in frame.filename] or frames)[-1]
    return f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno} ({at.name}): {str(error)[:300]!a}"


def tried(use: Callable[[], None], faults: list[str], show: bool) -> bool:
    """Whether a case is refused; what is wrong with it is added to `faults`."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            use()
        refusal = ""
    except (InputError, RunError) as error:
        refusal = str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # Rust's panics are no Exception
        refusal = ""
        faults.append(told(error))
        if show:
            traceback.print_exc()
    if show:
        print(ascii(refusal or "accepted"))
    if len(refusal) > LONGEST or not printable(refusal) or "allocate memory" in refusal:
        faults.append(f"refused in other than one line, or for want of memory: {refusal[:300]!a}")
    lines = [*(f"condensery: {line}" for line in out.getvalue().split("\n")), *err.getvalue().split("\n")[:-1]]
    odd = [line for line in lines if not printable(line) or not line.startswith("condensery: ")]
    faults += [f"printed {line[:300]!a}" for line in odd]
    return bool(refusal)


def fuzz(kind: str, numbers: Iterable[int], seed: int = 0, show: bool = False, longest: float = SECONDS) -> Tally:
    """The cases of these numbers.

    Arguments:
        longest: seconds that a case may take.
        show: whether what became of each is printed, with its traceback.
    """
    tally = Tally(kind)
    with prepared(), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):  # those that Python prints to a user
            warnings.simplefilter("always", category)
        for n in numbers:
            folder = Path("case").absolute()
            folder.mkdir()
            with contextlib.redirect_stderr(io.StringIO()):
                use, faults = KINDS[kind](random.Random(f"{seed} {kind} {n}"), folder), []
            warned.clear()
            memory.forget_peak()
            before, start = memory.resident(), time.process_time()
            WATCH.folder, WATCH.acts = str(folder), []
            signal.setitimer(signal.ITIMER_REAL, STUCK)
            try:
                tally.refused += tried(use, faults, show)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                WATCH.folder = ""
            seconds, growth = time.process_time() - start, memory.peak() - before
            shutil.rmtree(folder)
            faults += [f"warned at {w.filename}:{w.lineno}: {str(w.message)[:200]!a}" for w in warned]
            faults += [f"did {act!a}" for act in WATCH.acts] + [f"left {name!a}" for name in os.listdir()]
            faults += [f"took {seconds:.1f} s"] * (seconds > longest)
            faults += [f"grew by {growth / 2**20:.0f} MB"] * (growth > GROWTH)
            tally.cases += 1
            tally.slowest, tally.largest = max(tally.slowest, (seconds, n)), max(tally.largest, (growth, n))
            tally.violations += [f"--only {kind}:{n} --seed {seed}: {fault}" for fault in faults]
            for name in os.listdir():
                Path(name).unlink()
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="artifacts; half of it data files, a 40th checkpoints")
    for kind in KINDS:
        parser.add_argument(f"--{kind}", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one case, such as artifacts:1234")
    options = vars(parser.parse_args())
    chosen = {"artifacts": options["cases"], "data": options["cases"] // 2, "checkpoints": options["cases"] // 40}
    chosen = {kind: range(n if options[kind] is None else options[kind]) for kind, n in chosen.items()}
    if options["only"]:
        kind, _, n = options["only"].partition(":")
        chosen = {kind: [int(n)]}
    violations = 0
    for kind, numbers in chosen.items():
        tally = fuzz(kind, numbers, options["seed"], bool(options["only"]))
        print(tally, *tally.violations, sep="\n  ", flush=True)
        violations += len(tally.violations)
    return int(violations > 0)


if __name__ == "__main__":
    sys.exit(main())
