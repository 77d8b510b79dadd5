"""A pretended GPU: tensors that are computed on the CPU and say that they are on a device called "elsewhere".

As on a GPU, operations on tensors of two devices are an error, except for single numbers and indices on the CPU, and
generators of the CPU draw no numbers there. So tests find what would fail on a GPU on machines that have none.
"""

import contextlib

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("elsewhere")
ELSEWHERE = torch.device("elsewhere", 0)
aten = torch.ops.aten

ACROSS = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default, aten._to_copy.default, aten.copy_.default}
"""Operations that take tensors of two devices."""


class Elsewhere(torch.Tensor):
    """A tensor on the pretended device; `here` is its content on the CPU."""

    here: torch.Tensor

    @staticmethod
    def __new__(cls, here):
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), storage_offset=here.storage_offset(), dtype=here.dtype,
            device=ELSEWHERE, dispatch_sizes_strides_policy="sizes",
        )  # fmt: skip
        made.here = here
        return made

    def __repr__(self):
        return f"{self.here!r}, elsewhere"

    def tolist(self):
        return self.here.tolist()

    def numpy(self, *args, **more):
        raise TypeError("a tensor elsewhere has no numpy array; copy it to the CPU first")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """A context in which tensors that are created on the pretended device are `Elsewhere`.

    Autocasting, of which PyTorch knows only for devices that it is built for, does nothing in it.
    """

    autocast = torch.autocast

    def __enter__(self):
        torch.autocast = lambda *args, **more: contextlib.nullcontext()
        return super().__enter__()

    def __exit__(self, *error):
        torch.autocast = self.autocast
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return computed(function, args, kwargs or {})


def here(x):
    """The content of a tensor elsewhere; all else as it is."""
    return x.here if isinstance(x, Elsewhere) else x


SHAPES = {
    aten.sym_size.default: lambda x: x.size(), aten.size.default: lambda x: x.size(),
    aten.sym_stride.default: lambda x: x.stride(), aten.stride.default: lambda x: x.stride(),
    aten.sym_storage_offset.default: lambda x: x.storage_offset(),
    aten.sym_numel.default: lambda x: x.numel(), aten.numel.default: lambda x: x.numel(),
    aten.dim.default: lambda x: x.dim(),
    aten.is_contiguous.default: lambda x: x.is_contiguous(),
    aten.is_contiguous.memory_format: lambda x, form: x.is_contiguous(memory_format=form),
    aten.is_strides_like_format.default: lambda x, form: x.is_contiguous(memory_format=form) and not x.is_contiguous(),
}  # fmt: skip


def computed(function, args, kwargs):
    """The result of an operation, on the device on which it belongs."""
    if function in SHAPES and isinstance(args[0], Elsewhere):
        return SHAPES[function](here(args[0]), *args[1:])
    leaves = tree_leaves((args, kwargs))
    tensors = [x for x in leaves if isinstance(x, torch.Tensor)]
    there = any(isinstance(x, Elsewhere) for x in tensors)
    asked = kwargs.get("device")
    if asked is not None:
        there_after, kwargs = torch.device(asked).type == "elsewhere", {**kwargs, "device": torch.device("cpu")}
    else:
        there_after = there
    strangers = [x for x in tensors if not isinstance(x, Elsewhere) and x.ndim]
    if there and strangers and function not in ACROSS:
        raise RuntimeError(f"{function}: tensors on two devices")
    if function is aten.index.Tensor and there and not isinstance(args[0], Elsewhere):
        raise RuntimeError("indices elsewhere for a tensor on the CPU")
    if (there or there_after) and any(isinstance(x, torch.Generator) for x in leaves):
        raise RuntimeError(f"{function}: a generator of the CPU for a tensor elsewhere")
    result = function(*tree_map(here, args), **tree_map(here, kwargs))
    if function._schema.name.endswith("_"):  # in place
        return tensors[0]
    return tree_map(lambda x: Elsewhere(x) if isinstance(x, torch.Tensor) else x, result) if there_after else result


@torch.library.impl("aten::empty_strided", "PrivateUse1")
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, pin_memory=None):
    return Elsewhere(torch.empty_strided(size, stride, dtype=dtype))


@torch.library.impl("aten::empty.memory_format", "PrivateUse1")
def empty(size, *, dtype=None, layout=None, device=None, pin_memory=None, memory_format=None):
    return Elsewhere(torch.empty(size, dtype=dtype))


@torch.library.impl("aten::_copy_from", "PrivateUse1")
def copied(source, target, non_blocking=False):
    here(target).copy_(here(source))
    return target
