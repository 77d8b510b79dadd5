"""What decoding makes and the memory that it takes, found from shapes alone."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from condensery.decoders.decoder import Decoder

__all__ = ["AT_ONCE", "decoding"]

AT_ONCE = 3
"""Decoding holds this many tensors of the largest size at the same time."""


class _Largest(TorchDispatchMode):
    """Records the size in bytes of the largest result of an operation inside the block."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else (result,):
            if isinstance(part, Tensor):
                self.bytes = max(self.bytes, part.numel() * part.element_size())
        return result


def decoding(decoder: Decoder, bases: Tensor) -> tuple[tuple[int, ...], int]:
    """The shape of the decoded rows, and the size in bytes of the largest tensor in decoding.

    Arguments:
        bases: any bases of the shape and the number format to decode; their values and their device do not matter.
    """
    with _Largest() as largest:
        decoded = deepcopy(decoder).to("meta")(torch.empty_like(bases, device="meta"))
    return tuple(decoded.shape), largest.bytes
