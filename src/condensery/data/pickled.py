"""The data in a pickle, read without unpickling it.

A pickle is a program for a stack machine. Python's machine can import and call anything. This one knows numbers, text,
lists, tuples, dictionaries and arrays of bytes: what the files of CIFAR consist of, as Python 2 wrote them and as
Python 3 writes them with protocol 2. It never looks up a name that a file mentions.
"""

import pickletools
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Array", "data_in"]

_MOST = 2**20  # instructions; the longest file of CIFAR has less than half as many


@dataclass
class Array:
    """An array of bytes with two axes. Until `numbers` is called, it shares the text that the file holds."""

    rows: int = 0
    columns: int = 0
    text: str = ""
    """One character per byte."""

    def numbers(self) -> np.ndarray:
        """The uint8 array of shape (rows, columns)."""
        return np.frombuffer(self.text.encode("latin1"), np.uint8).reshape(self.rows, self.columns)


class _Name(str):
    """What stands for something that the file wants to import."""


_RECONSTRUCT = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_NAMES = {*_RECONSTRUCT, "numpy ndarray", "numpy dtype", "_codecs encode"}
_BYTES = _Name("dtype u1")


def data_in(content: bytes) -> Any:
    """The value that a pickle describes, made of int, bool, None, str, list, tuple, dict and `Array`.

    Bytes are text with one character per byte, which is how Python 2 pickles its text. The value takes at most about
    six times the memory of `content`, and 200 MB more.

    Raises:
        ValueError: the pickle is damaged, too long, or holds anything else.
    """
    try:
        return _run(content)
    except (LookupError, TypeError, AttributeError) as error:  # something is missing where an instruction needs it
        raise ValueError("its instructions make no sense") from error


def _run(content: bytes) -> Any:
    stack: list[Any] = []
    marked: list[list[Any]] = []  # stacks that wait below a mark
    memo: dict[int, Any] = {}
    argument: Any
    for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
        if count == _MOST:
            raise ValueError(f"more than {_MOST:,} instructions")
        match opcode.name:
            case "BININT" | "BININT1" | "BININT2" | "BINSTRING" | "SHORT_BINSTRING" | "BINUNICODE":
                stack.append(argument)
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                stack.append({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[opcode.name])
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                stack[-size:] = [tuple(stack[-size:])]
            case "MARK":
                marked.append(stack)
                stack = []
            case "TUPLE":
                items, stack = stack, marked.pop()
                stack.append(tuple(items))
            case "APPEND":
                _extend(stack[-2], [stack.pop()])
            case "APPENDS":
                items, stack = stack, marked.pop()
                _extend(stack[-1], items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _set(stack[-1], [key, value])
            case "SETITEMS":
                items, stack = stack, marked.pop()
                _set(stack[-1], items)
            case "GLOBAL":
                if argument not in _NAMES:
                    raise ValueError(f"it asks for {argument[:80].replace(' ', '.')}, and nothing in it is executed")
                stack.append(_Name(argument))
            case "REDUCE":
                arguments, name = stack.pop(), stack.pop()
                stack.append(_made(name, arguments))
            case "BUILD":
                state = stack.pop()
                if stack[-1] is not _BYTES:  # the state of a dtype says nothing about bytes
                    _fill(stack[-1], state)
            case "PROTO" | "STOP":
                pass
            case other:
                raise ValueError(f"it holds something other than numbers, text and arrays of bytes ({other})")
    return stack.pop()


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) is not list:
        raise ValueError("it appends to something other than a list")
    target.extend(items)


def _set(target: Any, items: list[Any]) -> None:
    if type(target) is not dict or not all(type(key) is str for key in items[::2]):
        raise ValueError("it holds a dictionary whose keys are not text")
    target.update(zip(items[::2], items[1::2], strict=True))


def _made(name: Any, arguments: Any) -> Any:
    """What a call of a known name returns: text, the dtype of bytes, or an array that is filled later."""
    if type(name) is _Name:
        match name, arguments:
            case "_codecs encode", (str() as text, "latin1"):  # how Python 3 pickles bytes
                return text
            case "numpy dtype", ("u1", *_):
                return _BYTES
            case _, ("numpy ndarray", *_) if name in _RECONSTRUCT:
                return Array()
    raise ValueError("it holds something other than numbers, text and arrays of bytes")


def _fill(target: Any, state: Any) -> None:
    match target, state:
        case Array(), (_, (int() as rows, int() as columns), dtype, False, str() as text) if dtype is _BYTES:
            if rows < 0 or rows * columns != len(text):
                raise ValueError(f"an array of shape ({rows}, {columns}) has {len(text):,} bytes")
            target.rows, target.columns, target.text = rows, columns, text
        case _:
            raise ValueError("it holds an array of something other than bytes in rows and columns")
