"""The commands `data`, `demo` and `completion`."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from condensery.cli.compare import compare_command
from condensery.cli.names import PROTOCOLS, RECIPES
from condensery.cli.parsing import parse
from condensery.cli.sources import NAMED, Source, read
from condensery.cli.table import check_json, write_json
from condensery.console import print_table, say
from condensery.errors import InputError
from condensery.networks.names import NETWORKS

__all__ = ["completion_command", "data_command", "demo_command"]


@dataclass(frozen=True)
class DataOptions:
    """List the data sets that have a name, and say which are ready and what others need; with --data, describe one."""

    source: Annotated[Source, tyro.conf.arg(name="")] = Source("auto")
    json: str | None = None
    """File to which the list or the description is also written, as JSON."""


@dataclass(frozen=True)
class DemoOptions:
    """Condense the embedded digits with three methods and compare them with random images; a few minutes."""

    out: str = "condensery-demo"
    """Folder for the runs."""


@dataclass(frozen=True)
class CompletionOptions:
    """Print a script that completes commands, names and files: eval "$(condensery completion bash)"."""

    shell: tyro.conf.Positional[Literal["bash", "zsh"]]
    """The shell."""


def data_command(argv: list[str]) -> int:
    options = parse(DataOptions, argv, "data")
    check_json(options.json)
    if options.source.data != "auto":
        return _describe(options)
    if replace(options.source, data_dir=None) != Source("auto"):
        raise InputError("without --data, the data sets with a name are listed; give --data, or --data-dir alone")
    root = options.source.data_dir or os.environ.get("CONDENSERY_DATA")
    if root and not os.path.isdir(root):
        raise InputError(f"{root}: no such folder; correct --data-dir or CONDENSERY_DATA")
    listed = []
    for name, (about, folders) in NAMED.items():
        found = [folder for folder in folders if root and (Path(root) / folder).is_dir()]
        where = str(Path(root or "DIR") / (found or list(folders) or [""])[0])
        state = "ready" if not folders or found else "absent"
        needs = "nothing" if not folders else where if found else f"its files in {where}"
        listed.append({"name": name, "about": about, "state": state, "needs": needs})
    print_table("data sets with a name", ("name", "what", "state", "needs"), [tuple(row.values()) for row in listed])
    say("DIR is --data-dir, or the environment variable CONDENSERY_DATA. --data also takes:\n"
        "  a folder of pictures (CLASS/*, or train/CLASS/* beside test, val or valid),\n"
        "  a folder of sound clips (wav, flac; needs the package soundfile),\n"
        "  an .npz file (x_train, y_train, x_test, y_test, or images, labels),\n"
        "  hub:NAME (mnist, fashionmnist, usps, svhn, cifar10, cifar100, tinyimagenet, imagenet10, imagenet100,\n"
        "  speechcommands) or hub:OWNER/NAME (a network), or hub:DIR, a folder of parquet files (all three need\n"
        "  the package datasets)")  # fmt: skip
    write_json(options.json, listed)
    return 0


def _describe(options: DataOptions) -> int:
    """Say what was read of a data set."""
    data = read(options.source)
    counts = data.test.labels.bincount(minlength=data.train.classes).tolist()
    channels, height, width = data.shape
    described = {
        "name": data.name, "images": f"{height} x {width} pixels, {'gray' if channels == 1 else 'in color'}",
        "training": len(data.train), "test": len(data.test), "may be mirrored": "yes" if data.facts.flip else "no",
        "mean": [round(m, 4) for m in data.mean], "std": [round(s, 4) for s in data.std],
        "bytes per image": data.train.bytes_per_image, "fingerprint": data.train.fingerprint,
    }  # fmt: skip
    for fact, value in described.items():
        say(f"{fact:<16} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    rows = list(zip(data.class_names, data.train.sizes, counts, strict=True))
    lines = [(name, f"{training:,}", f"{test:,}") for name, training, test in rows]
    print_table("images of each class", ("class", "training", "test"), lines)
    classes = [{"name": name, "training": training, "test": test} for name, training, test in rows]
    write_json(options.json, described | {"classes": classes})
    return 0


def demo_command(argv: list[str]) -> int:
    out = parse(DemoOptions, argv, "demo").out
    words = ["--data", "digits", "--ipc", "1", "--methods", "random", "herding", "dc", "idc", "--out", out]
    say(f"condensery compare {' '.join(words)}")
    return compare_command(words)


def completion_command(argv: list[str]) -> int:
    shell = parse(CompletionOptions, argv, "completion").shell
    from condensery.cli import COMMANDS  # which imports this module

    script = _BASH.format(
        commands=" ".join(COMMANDS), recipes=" ".join(RECIPES), data=" ".join(NAMED), protocols=" ".join(PROTOCOLS),
        networks=" ".join(NETWORKS),
    )  # fmt: skip
    say(f"autoload -U bashcompinit && bashcompinit\n{script}" if shell == "zsh" else script)
    return 0


_BASH = """_condensery() {{
  local now=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words=""
  if [ "$COMP_CWORD" = 1 ]; then words="{commands}"
  else case "$before" in
    run|plan|--methods|--recipe) words="{recipes}" ;;
    --data) words="{data}" ;;
    --protocol) words="{protocols}" ;;
    --net|--networks) words="{networks}" ;;
    --to) words="images npz hf torch ddranking" ;;
    --from) words="vico idc mtt kip" ;;
  esac; fi
  COMPREPLY=($(compgen -W "$words" -- "$now") $(compgen -f -- "$now"))
}}
COMP_WORDBREAKS=${{COMP_WORDBREAKS//:}}
complete -o filenames -F _condensery condensery"""
