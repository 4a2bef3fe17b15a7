"""Inductor's generated code turned into a kernel file: Triton functions, their launches, and a choice by the arguments' form.

Text in, text out. It knows how Inductor's wrapper code looks and what of it a kernel may not keep; it runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_KERNEL = re.compile(
    r"^(\w+) = async_compile\.triton\('\w+', '''\n(.*?)''', device_str='\w+'\)$", re.M | re.S
)
_CALL = re.compile(r"^    def call\(self, args\):\n(.*?)(?=^\S|\Z)", re.M | re.S)
_SYMBOL = re.compile(r"^(\w+) = (arg\d+_1)$")
_CHECKED = re.compile(r"^assert_size_stride\((arg\d+_1), \((.*?)\), \((.*?)\), '")
_DROPPED = re.compile(
    r"^(?:args\.clear\(\)|raw_stream\w+ = get_raw_stream\(|assert_size_stride\(|assert_alignment\()"
)
_FOREIGN = re.compile(r"extern_kernels\.(\w+)|torch\.ops\.(\w+\.\w+)|\baten\.(\w+)")

_HEAD = '''"""{name} as torch.compile writes it: a set of kernels for each form of the arguments, with the sizes left open."""

import math
from math import inf, nan

import torch
import triton
import triton.language as tl
from torch import device  # noqa: F401
from torch._inductor.runtime import triton_helpers
from torch._inductor.runtime.triton_helpers import libdevice, math as tl_math


class Kernel:
    """A kernel with its blocks; called as the generated code calls it, with its sizes last."""

    def __init__(self, function, blocks, num_warps, num_stages):
        self.function, self.blocks = function, blocks
        self.options = {{"num_warps": num_warps, "num_stages": num_stages}}
        self.names = [name for name in function.arg_names if name not in blocks]

    def run(self, *args):
        sizes = dict(zip(self.names, args))
        grid = tuple(
            triton.cdiv(sizes[f"{{axis}}numel"], self.blocks.get(f"{{axis.upper()}}BLOCK", 1))
            for axis in "xyz" if f"{{axis}}numel" in sizes
        )
        if all(grid):
            self.function[grid](*args, **self.blocks, **self.options)


def reinterpret_tensor(tensor, size, stride, offset=0):
    return torch.as_strided(tensor, size, stride, tensor.storage_offset() + offset)
'''

_TAIL = '''
FORMS = [
{forms}
]


def leaves(value):
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in leaves(item)]
    return [value] if isinstance(value, torch.Tensor) else []


def fits(pattern, value, sizes):
    """Whether an argument has the form: of a tensor dtype and rank, and its sizes; those that are open have names, and one name is one size."""
    if isinstance(pattern, tuple):
        if not isinstance(value, torch.Tensor) or str(value.dtype) != pattern[0] or value.dim() != len(pattern[1]):
            return False
        known = (sizes.setdefault(size, given) if isinstance(size, str) else size for size, given in zip(pattern[1], value.shape))
        return tuple(known) == tuple(value.shape)
    if isinstance(pattern, list):
        same_length = isinstance(value, (list, tuple)) and len(pattern) == len(value)
        return same_length and all(fits(part, item, sizes) for part, item in zip(pattern, value))
    return not isinstance(value, (torch.Tensor, list, tuple)) and repr(value) == pattern


def {function}(*args, **kwargs):
    given = {{**DEFAULTS, **dict(zip(ARGUMENTS, args)), **kwargs}}
    values = [given[name] for name in ARGUMENTS]
    for pattern, form in FORMS:
        if fits(pattern, values, {{}}):
            break
    else:
        raise NotImplementedError("torch.compile was asked for no arguments of this form")
    tensors = leaves(values)
    if any(tensor.numel() >= 2**31 for tensor in tensors):
        raise NotImplementedError("the indices of this code have 32 bits")
    dense = [tensor.contiguous() for tensor in tensors]
    results = form(*dense)
    for tensor, copy in zip(tensors, dense):
        if tensor is not copy and any(tensor is given[name] for name in WRITTEN):
            tensor.copy_(copy)
    {answer}
'''


class NoKernel(Exception):
    """Inductor has no Triton code for a call; the text says why."""


@dataclass(frozen=True, slots=True)
class Operation:
    """What the file must know of the operator's schema."""

    name: str
    function: str
    """The function that the file defines."""
    arguments: tuple[str, ...]
    """Names, in the schema's order."""
    defaults: Mapping[str, str]
    """Default values as Python text."""
    results: int
    written: tuple[str, ...]
    """Arguments that it writes to."""
    returns_written: bool
    """Whether it returns them."""


@dataclass(frozen=True, slots=True)
class Launch:
    """One Triton function and how it is launched."""

    name: str
    source: str
    """The module that Inductor wrote around it."""
    blocks: Mapping[str, int]
    num_warps: int
    num_stages: int


@dataclass(frozen=True, slots=True)
class Form:
    """The code for arguments of one form."""

    pattern: str
    """Python text: what `fits` of the file compares arguments with."""
    text: str
    """The Triton functions and the function that launches them."""
    name: str

    @classmethod
    def of(
        cls, number: int, code: str, launches: Sequence[Launch],
        tensors: Sequence[tuple[str, tuple[int, ...]]], values: Sequence[Any],
    ) -> Form:  # fmt: skip
        """From Inductor's code for a call with these tensors and arguments. Raises `NoKernel`."""
        name = f"form_{number}"
        body, shapes = _body(code, [shape for _, shape in tensors])
        functions = []
        for launch in launches:
            new = f"{launch.name}_of_{name}"
            function = launch.source[launch.source.index("@triton.jit") :].rstrip()
            functions.append(re.sub(rf"\b{launch.name}\b", f"{new}_function", function))
            options = f"{dict(launch.blocks)!r}, {launch.num_warps}, {launch.num_stages}"
            functions.append(f"{new} = Kernel({new}_function, {options})")
            body = re.sub(rf"\b{launch.name}\.run\(", f"{new}.run(", body)
        parameters = ", ".join(f"input_{at}" for at in range(len(tensors)))
        whole = "\n\n\n".join([*functions, f"def {name}({parameters}):\n{body}"])
        left = iter([(dtype, shape) for (dtype, _), shape in zip(tensors, shapes, strict=True)])
        return cls(f"[{', '.join(_pattern(value, left) for value in values)}]", whole, name)


def kernels_of(code: str) -> Iterator[tuple[str, str]]:
    """Name and module text of each Triton kernel in Inductor's code."""
    yield from _KERNEL.findall(code)


def assemble(operation: Operation, forms: Sequence[Form]) -> str:
    """The kernel file."""
    defaults = ", ".join(f"{name!r}: {value}" for name, value in operation.defaults.items())
    if operation.returns_written:
        answer = f"return {', '.join(f'given[{name!r}]' for name in operation.written)}"
    else:
        answer = "return results[0]" if operation.results == 1 else "return results"
    tables = (
        f"ARGUMENTS = {operation.arguments!r}\nDEFAULTS = {{{defaults}}}\nWRITTEN = {operation.written!r}"
    )
    lines = "\n".join(f"    ({form.pattern}, {form.name})," for form in forms)
    tail = _TAIL.format(forms=lines, function=operation.function, answer=answer)
    parts = [_HEAD.format(name=operation.name), *(form.text for form in forms), tables]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n" + tail


def _body(code: str, shapes: Sequence[tuple[int, ...]]) -> tuple[str, list[tuple[int | str, ...]]]:
    """The lines that launch, on parameters `input_N`; and of each input its shape, a name where the size is open."""
    found = _CALL.search(code)
    if found is None:
        raise NoKernel("its code has no function that launches")
    bare = (re.sub(r"(?:^|  )#.*", "", line).strip() for line in found[1].splitlines())
    lines = [line for line in bare if line]
    if foreign := next((match for line in lines if (match := _FOREIGN.search(line))), None):
        raise NoKernel(f"Inductor calls {next(filter(None, foreign.groups()))} for it")
    if not any(".run(" in line for line in lines):
        raise NoKernel("Inductor launches nothing for it")
    taken = [name.strip() for name in lines[0].removesuffix("= args").split(",") if name.strip()]
    symbols = {match[2]: match[1] for line in lines if (match := _SYMBOL.match(line))}
    inputs = [name for name in taken if name not in symbols]
    if not lines[0].endswith("= args") or len(inputs) != len(shapes):
        raise NoKernel("Inductor leaves out one of its inputs")
    checked = {match[1]: match for line in lines if (match := _CHECKED.match(line))}
    sizes = {name: [size.strip() for size in checked[name][2].split(",") if size.strip()] for name in checked}
    open_shapes: list[tuple[int | str, ...]] = []
    named: dict[str, str] = {}
    places: dict[str, str] = {}
    for at, (name, shape) in enumerate(zip(inputs, shapes, strict=True)):
        texts = sizes.get(name, [str(size) for size in shape])
        open_shapes.append(
            tuple(int(text) if text.isdigit() else named.setdefault(text, f"s{len(named)}") for text in texts)
        )
        places |= {text: f"input_{at}.shape[{dim}]" for dim, text in enumerate(texts) if text not in places}
    kept = ["device_of_inputs = input_0.device"]
    for line in lines[1:]:
        if match := _SYMBOL.match(line):
            if match[1] in places:
                kept.append(f"{match[1]} = {places[match[1]]}")
            elif any(re.search(rf"\b{match[1]}\b", other) for other in lines if other != line):
                raise NoKernel("one of its sizes is not that of an input")
        elif not _DROPPED.match(line):
            kept.append(_line(line))
    names = {name: f"input_{at}" for at, name in enumerate(inputs)}
    text = re.sub(r"\barg\d+_1\b", lambda match: names[match[0]], "\n".join(kept))
    return "\n".join(f"    {line}" for line in text.splitlines()), open_shapes


def _line(line: str) -> str:
    """A line of the wrapper in the file's own terms."""
    line = re.sub(r", stream=raw_stream\w+\)", ")", line)
    allocation = r"torch.empty_strided(\1, dtype=\2, device=device_of_inputs)"
    return re.sub(r"\bempty_strided_\w+\((.*?\)), (torch\.\w+)\)", allocation, line)


def _pattern(value: Any, tensors: Iterator[tuple[str, tuple[int | str, ...]]]) -> str:
    """The form of an argument; its tensors come from `tensors`, in order."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_pattern(item, tensors) for item in value)}]"
    if type(value).__name__ in ("Tensor", "Parameter"):
        dtype, shape = next(tensors)
        return repr((dtype, shape))
    return repr(repr(value))
