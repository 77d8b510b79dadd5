"""Parsing of command lines: options of a dataclass, helps without what tyro adds, and errors of one line."""

import contextlib
import inspect
import io
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tyro

from condensery.errors import InputError

__all__ = ["parse", "writable"]

tyro._experimental_options["ansi_codes"] = False  # tyro ignores NO_COLOR, and prints most of a help in dim letters

# tyro would start a new paragraph at the indented second line of a docstring
_joined = tyro._strings.remove_single_line_breaks
tyro._strings.remove_single_line_breaks = lambda helptext: _joined(inspect.cleandoc(helptext))


def parse(options: Any, argv: list[str], prog: str, default: Any = None, main: Sequence[str] = ()) -> Any:
    """Parse `argv` with tyro.

    Arguments:
        main: names of the options that the help lists first, in a box of their own; empty: one box has all options.

    Raises:
        InputError: tyro refuses `argv`; its boxed message as one line.
    """
    said, told = io.StringIO(), _Told()
    width = min(100, shutil.get_terminal_size().columns)  # tyro puts boxes side by side if there is more room
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(told), _environment(COLUMNS=str(width)):
            given = {} if default is None else {"default": default}
            return tyro.cli(options, args=argv, prog=f"condensery {prog}", **given)
    except SystemExit as stop:
        if not stop.code:
            text = _plain(told.getvalue())
            print(_divided(text, main) if main else text, end="")
            raise
        parts = re.split(r"[─-]{3,}", re.sub(r"[│╭╮╰╯\n]", " ", said.getvalue()))
        words = [" ".join(part.split()) for part in parts]
        complaint = "; ".join(w for w in words[1:] if w and not w.startswith(("For full", "Argument helptext")))
        number = r"Error parsing (\S+): invalid literal for int\(\) with base 10: (.*?)(?=;|$)"
        complaint = re.sub(number, r"\1 must be a whole number, got \2", complaint)
        complaint = re.sub(r"Could not find valid parse for arguments: \[(.*?)\]", r"cannot read \1", complaint)
        complaint = re.sub(_UNREADABLE, lambda found: f"expected {_KINDS[found[1]]}, got {found[2]}", complaint)
        raise InputError(f"{complaint or said.getvalue().strip()} (condensery {prog} --help)") from None


class _Told(io.StringIO):
    """Collects what tyro prints, which draws boxes if the encoding has the characters (`console.spell` spells them)."""

    encoding = "utf-8"


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """A context in which environment variables have other values."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


_KINDS = {"INT": "a whole number", "FLOAT": "a number", "STR": "text", "{INT INT}": "two whole numbers"}
_UNREADABLE = r"no type matching \{None\}\|(INT|FLOAT|STR|\{INT INT\}) could be instantiated from \[(.*?)\]\..*$"


def _plain(told: str) -> str:
    """The text of a help without None: an option that may be left out is shown by the type of its value alone."""
    for word in ("(default: None)", "(default: )"):
        told = told.replace(word, " " * len(word))
    return re.sub(r"\{None\}\|(\w+)", lambda found: found[1] + " " * len("{None}|"), told)


def _divided(told: str, main: Sequence[str]) -> str:
    """The text of a help, whose box of options is divided into the options `main` and the others."""
    head, top, box = re.split(r"(?m)^(╭─ options ─+╮\n)", told, maxsplit=1)
    box, bottom, rest = re.split(r"(?m)^(╰─+╯\n)", box, maxsplit=1)
    first = {"help", *(name.replace("_", "-") for name in main)}
    parts: tuple[list[str], list[str]] = ([], [])
    for option in re.split(r"(?m)^(?=│ -)", box)[1:]:
        name = re.search(r"--([\w.-]+)", option)
        parts[name is None or name[1] not in first].append(option)
    other = top.replace("options ─────", "more options ")
    return "".join([head, top, *parts[0], bottom, other, *parts[1], bottom, rest])


def writable(path: Path, option: str, suffix: str = "") -> None:
    """Check before work begins that a file can be written later.

    Raises:
        InputError: it cannot, or its name does not end in `suffix`.
    """
    if len(os.fsencode(path.name)) > 200:
        raise InputError(f"{option} cannot be written: the file name is too long; give a shorter one")
    if os.path.exists(path) and not os.path.isfile(path):
        raise InputError(f"{option} cannot be written: it is a folder or a device; name a file")
    if suffix and path.suffix != suffix:
        raise InputError(f"{option}: only {suffix} files can be written; name a file that ends in {suffix}")
    if not os.path.isdir(path.absolute().parent) or not os.access(path.absolute().parent, os.W_OK):
        raise InputError(f"{option} cannot be written: its folder does not exist or is read-only; choose another")
