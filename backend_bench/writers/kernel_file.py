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

_HEURISTICS = re.compile(r"^@triton_heuristics\.\w+\(.*?^\)\n", re.M | re.S)
_HELPER = re.compile(r"^@triton\.jit\ndef (\w+)\(", re.M)

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
NUMBER = (int, float)
FORMS = [
{forms}
]
GENERAL = [
{general}
]


def inputs(pattern, values):
    """What the code is called with: tensors and open numbers that are arguments, then those in lists."""
    pairs = list(zip(pattern, values))
    inside = [pair for part, value in pairs if isinstance(part, list) for pair in zip(part, value)]
    return [value for part, value in pairs + inside if isinstance(part, (tuple, type))]


def fits(pattern, value, sizes):
    """Whether an argument has the form: of a tensor dtype and rank, and its sizes; those that are open have names, and one name is one size.
    Of a number that is open, its type."""
    if pattern is NUMBER:
        return type(value) in NUMBER and math.isfinite(value)
    if isinstance(pattern, type):
        return type(value) is pattern
    if isinstance(pattern, tuple):
        if not isinstance(value, torch.Tensor) or str(value.dtype) != pattern[0] or value.dim() != len(pattern[1]):
            return False
        known = (sizes.setdefault(size, given) if isinstance(size, str) else size for size, given in zip(pattern[1], value.shape))
        return tuple(known) == tuple(value.shape)
    if isinstance(pattern, list):
        same_length = isinstance(value, (list, tuple)) and len(pattern) == len(value)
        return same_length and all(fits(part, item, sizes) for part, item in zip(pattern, value))
    return not isinstance(value, (torch.Tensor, list, tuple)) and repr(value) == pattern


def called(given, forms):
    values = [given[name] for name in ARGUMENTS]
    found = next(((pattern, form) for pattern, form in forms if fits(pattern, values, {{}})), None)
    if found is None:
        return None
    pattern, form = found
    each = inputs(pattern, values)
    if any(isinstance(value, torch.Tensor) and value.numel() >= 2**31 for value in each):
        raise NotImplementedError("the indices of this code have 32 bits")
    dense = {{id(value): value.contiguous() for value in each if isinstance(value, torch.Tensor)}}
    results = form(*(dense.get(id(value), value) for value in each))
    for value in (given[name] for name in WRITTEN):
        if value is not dense.get(id(value), value):
            value.copy_(dense[id(value)])
    return results
{generally}

def {function}(*args, **kwargs):
    given = {{**DEFAULTS, **dict(zip(ARGUMENTS, args)), **kwargs}}
    results = called(given, FORMS)
    if results is None and GENERAL:
        results = generally(given)
    if results is None:
        raise NotImplementedError("torch.compile was asked for no arguments of this form")
    {answer}
'''

GENERALLY = '''
def generally(given):
    """By the code for one simple form, into which the arguments are brought."""
    simple, back = simplified(given)
    simple |= {name: simple[name].clone() for name in WRITTEN}
    results = called(simple, GENERAL)
    if results is None:
        return None
    for name in WRITTEN:
        given[name].copy_(back(simple[name]))
    return tuple(back(result) for result in results)
'''
SIMPLIFIED = {
    "pointwise": '''
def simplified(given):
    """All tensors in one dimension, of as many elements; but what has no dimensions says less about the dtype, and keeps none."""
    tensors = {name: value for name, value in given.items() if isinstance(value, torch.Tensor)}
    whole = torch.broadcast_shapes(*(value.shape for value in tensors.values()))
    flat = {
        name: value.expand(whole).reshape(-1).contiguous() if value.dim() or not whole else value
        for name, value in tensors.items()
    }
    return {**given, **flat}, lambda result: result.view(whole)
''',
    "along": '''
def simplified(given):
    """Lines along the last of two dimensions."""
    first = next(value for value in given.values() if isinstance(value, torch.Tensor))
    dim = given["dim"] % max(first.dim(), 1)
    shape = first.unsqueeze(0).movedim(dim + 1, -1).shape if first.dim() else (1, 1)

    def lines(value):
        value = value.unsqueeze(0) if value.dim() else value.view(1, 1)
        moved = value.movedim(dim + 1, -1) if first.dim() else value
        return moved.reshape(-1, shape[-1]) if moved.numel() else moved.reshape(0, shape[-1])

    def back(result):
        return result.view(shape).movedim(-1, dim + 1).squeeze(0) if first.dim() else result.view(())

    moved = {name: lines(value) for name, value in given.items() if isinstance(value, torch.Tensor)}
    return {**given, **moved, "dim": 1}, back
''',
    "reduces": '''
def simplified(given):
    """What is kept in the first of two dimensions, what is reduced in the second."""
    name, whole = next((name, value) for name, value in given.items() if isinstance(value, torch.Tensor))
    dims = given["dim"]
    dims = [dims] if isinstance(dims, int) else dims or range(whole.dim())
    dims = sorted(dim % whole.dim() for dim in dims) if whole.dim() else []
    kept = [dim for dim in range(whole.dim()) if dim not in dims]
    shape = [whole.shape[dim] for dim in kept]
    if given.get("keepdim"):
        shape = [1 if dim in dims else size for dim, size in enumerate(whole.shape)]
    rows = math.prod(whole.shape[dim] for dim in kept)
    columns = math.prod(whole.shape[dim] for dim in dims)
    flat = whole.permute([*kept, *dims]).reshape(rows, columns)
    once = {"keepdim": False} if "keepdim" in given else {}
    return {**given, name: flat, "dim": LINES, **once}, lambda result: result.view(shape)
''',
}
"""By kind of operator, how arguments are brought into the form of the general code."""


class Real:
    """A number that is open, whole or not, in code for a whole one: beside floating tensors it is the same."""


Given = tuple[str, tuple[int, ...]] | type[int] | type[float] | type[Real]
"""An input of a form: dtype and shape of a tensor, or the type of a number that is open."""
_SYMBOLIC = (int, Real)
"""Those that come as symbols do."""
OPEN = object()
"""Stands for such a number among arguments."""


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
    family: str = ""
    """How calls of any form are brought into a simple one: a key of `SIMPLIFIED`, if there is a way."""
    dims: bool = False
    """Whether its `dim` is a list."""


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
        cls, number: int, code: str, launches: Sequence[Launch], given: Sequence[Given], values: Sequence[Any]
    ) -> Form:
        """From Inductor's code for a call with these inputs, those in lists last as Dynamo has them, and these arguments, where `OPEN` stands
        for numbers. Raises `NoKernel`."""
        name = f"form_{number}"
        body, shapes = _body(code, given)
        functions = []
        for launch in launches:
            new = f"{launch.name}_of_{name}"
            function = _HEURISTICS.sub("", launch.source[launch.source.index("@triton.jit") :].rstrip())
            # Each kernel has its own helpers, of the same names.
            for helper in set(_HELPER.findall(function)) - {launch.name}:
                function = re.sub(rf"\b{helper}\b", f"{helper}_of_{launch.name}_of_{name}", function)
            if any(each in _SYMBOLIC for each in given):
                # Triton takes a one for a constant, which has no dtype.
                plain = f"@triton.jit\ndef {launch.name}("
                named = _sizes(function[function.index(plain) :])
                function = function.replace(plain, plain.replace("jit", f"jit(do_not_specialize={named})", 1))
            body, function = _with_loads(launch.name, body, function, given)
            functions.append(re.sub(rf"\b{launch.name}\b", f"{new}_function", function))
            options = f"{dict(launch.blocks)!r}, {launch.num_warps}, {launch.num_stages}"
            functions.append(f"{new} = Kernel({new}_function, {options})")
            body = re.sub(rf"\b{launch.name}\.run\(", f"{new}.run(", body)
        parameters = ", ".join(f"input_{at}" for at in range(len(given)))
        whole = "\n\n\n".join([*functions, f"def {name}({parameters}):\n{body}"])
        forms = [
            each if isinstance(each, type) else (each[0], shape)
            for each, shape in zip(given, shapes, strict=True)
        ]
        inside = sum(
            _is_input(item) for value in values if isinstance(value, (list, tuple)) for item in value
        )
        own, listed = iter(forms[: len(forms) - inside]), iter(forms[len(forms) - inside :])
        patterns = [_pattern(value, listed if isinstance(value, (list, tuple)) else own) for value in values]
        return cls(f"[{', '.join(patterns)}]", whole, name)


def kernels_of(code: str) -> Iterator[tuple[str, str]]:
    """Name and module text of each Triton kernel in Inductor's code."""
    yield from _KERNEL.findall(code)


def assemble(operation: Operation, forms: Sequence[Form], general: Sequence[Form] = ()) -> str:
    """The kernel file. `general`: the code for simple forms, into which all others are brought."""
    defaults = ", ".join(f"{name!r}: {value}" for name, value in operation.defaults.items())
    if operation.returns_written:
        answer = f"return {', '.join(f'given[{name!r}]' for name in operation.written)}"
    else:
        answer = "return results[0]" if operation.results == 1 else "return results"
    tables = (
        f"ARGUMENTS = {operation.arguments!r}\nDEFAULTS = {{{defaults}}}\nWRITTEN = {operation.written!r}"
    )
    generally = ""
    if general:
        tables += f"\nLINES = {[1] if operation.dims else 1!r}"
        generally = f"\n{SIMPLIFIED[operation.family]}\n{GENERALLY}"
    tail = _TAIL.format(
        forms=_table(forms),
        general=_table(general),
        generally=generally,
        function=operation.function,
        answer=answer,
    )
    parts = [_HEAD.format(name=operation.name), *(form.text for form in (*forms, *general)), tables]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n" + tail


def _table(forms: Sequence[Form]) -> str:
    return "\n".join(f"    ({form.pattern}, {form.name})," for form in forms)


def _sizes(function: str) -> list[str]:
    """Parameters of a Triton function that are numbers and no counts of elements."""
    return re.findall(r"\bks\d+\b", function[: function.index(":\n")])


_LOADED = {
    "torch.bool": ".to(tl.int1)",
    "torch.bfloat16": ".to(tl.float32)",
    "torch.float16": ".to(tl.float32)",
}


def _with_loads(name: str, body: str, function: str, given: Sequence[Given]) -> tuple[str, str]:
    """The launch and the kernel with an address for each tensor without dimensions, whose number Inductor has the host read where it writes for
    a CPU. On a GPU the host would wait for the device."""
    call = re.search(rf"\b{name}\.run\((.*)\)$", body, re.M)
    header = re.search(rf"^def {name}\((.*?)\):", function, re.M)
    if call is None or header is None:
        return body, function
    arguments, parameters = call[1].split(", "), header[1].split(", ")
    for at, (argument, parameter) in enumerate(zip(arguments, parameters, strict=False)):
        if read := re.fullmatch(r"(input_(\d+))\.item\(\)", argument):
            dtype = given[int(read[2])][0]  # type: ignore[index]  # numbers are read by nobody
            loaded = f"tl.load({parameter}){_LOADED.get(dtype, '')}"
            function = re.sub(rf"= {parameter}$", f"= {loaded}", function, flags=re.M)
            arguments[at] = read[1]
    return body.replace(call[0], f"{name}.run({', '.join(arguments)})"), function


def _body(code: str, given: Sequence[Given]) -> tuple[str, list[tuple[int | str, ...]]]:
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
    read = [name for name in taken if name not in symbols]
    if not lines[0].endswith("= args") or len(read) != sum(each not in _SYMBOLIC for each in given):
        raise NoKernel("Inductor leaves out one of its inputs")
    # Whole numbers are symbols as sizes are; those that are the size of nothing.
    left = iter(read)
    inputs = ["" if each in _SYMBOLIC else next(left) for each in given]
    checked = {match[1]: match for line in lines if (match := _CHECKED.match(line))}
    sizes = {name: [size.strip() for size in checked[name][2].split(",") if size.strip()] for name in checked}
    open_shapes: list[tuple[int | str, ...]] = []
    named: dict[str, str] = {}
    places: dict[str, str] = {}
    for at, (name, each) in enumerate(zip(inputs, given, strict=True)):
        texts = [] if isinstance(each, type) else sizes.get(name, [str(size) for size in each[1]])
        open_shapes.append(
            tuple(int(text) if text.isdigit() else named.setdefault(text, f"s{len(named)}") for text in texts)
        )
        places |= {text: f"input_{at}.shape[{dim}]" for dim, text in enumerate(texts) if text not in places}
    numbers = [
        symbols[name]
        for name in taken
        if name in symbols and symbols[name] not in places and _is_used(symbols[name], lines)
    ]
    whole = [at for at, each in enumerate(given) if each in _SYMBOLIC]
    if whole:
        if len(numbers) != len(whole):
            raise NoKernel("Inductor makes a constant of one of its numbers")
        places |= {symbol: f"input_{at}" for symbol, at in zip(numbers, whole, strict=True)}
    first = next((at for at, each in enumerate(given) if not isinstance(each, type)), None)
    if first is None:
        raise NoKernel("it takes no tensor")
    kept = [f"device_of_inputs = input_{first}.device"]
    for line in lines[1:]:
        if match := _SYMBOL.match(line):
            if match[1] in places:
                kept.append(f"{match[1]} = {places[match[1]]}")
            elif _is_used(match[1], lines):
                raise NoKernel("one of its sizes is not that of an input")
        elif not _DROPPED.match(line):
            kept.append(_line(line))
    text = "\n".join(kept)
    for name, each in zip(inputs, given, strict=True):
        if each is float:  # it comes as a tensor of one number
            text = re.sub(rf"\b{name}\.item\(\)", f"{name}_number", text)
            text = re.sub(rf"^del {name}\n", "", text, flags=re.M)
            if re.search(rf"\b{name}\b", text):
                raise NoKernel("Inductor reads one of its numbers from memory")
            text = text.replace(f"{name}_number", name)
    names = {name: f"input_{at}" for at, name in enumerate(inputs)}
    text = re.sub(r"\barg\d+_1\b", lambda match: names[match[0]], text)
    return "\n".join(f"    {line}" for line in text.splitlines()), open_shapes


def _is_used(symbol: str, lines: Sequence[str]) -> bool:
    """Whether anything is made of a symbol that is an argument."""
    return any(re.search(rf"\b{symbol}\b", line) for line in lines if not line.startswith(f"{symbol} = arg"))


def _line(line: str) -> str:
    """A line of the wrapper in the file's own terms."""
    line = re.sub(r", stream=raw_stream\w+\)", ")", line)
    allocation = r"torch.empty_strided(\1, dtype=\2, device=device_of_inputs)"
    return re.sub(r"\bempty_strided_\w+\((.*?\)), (torch\.\w+)\)", allocation, line)


def _is_input(value: Any) -> bool:
    return value is OPEN or type(value).__name__ in ("Tensor", "Parameter")


def _pattern(value: Any, given: Iterator[Any]) -> str:
    """The form of an argument; those of inputs come from `given`, in order."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_pattern(item, given) for item in value)}]"
    if _is_input(value):
        form = next(given)
        return "NUMBER" if form is Real else form.__name__ if isinstance(form, type) else repr(form)
    return repr(repr(value))
