"""Arguments of a case as text: `((T([2, 3], f16), T([3], f16, [2])), {'alpha': 2})`.

Reads and writes trees of plain values, with a `TensorSpec` where a tensor stands. Knows no torch, draws no
values, and never evaluates what it reads: a hostile text costs its author a `UsageError` with a position.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn, TypeAlias

from backend_bench.errors import UsageError

DTYPES: Mapping[str, str] = {
    "bf16": "bfloat16",
    "f64": "float64",
    "f32": "float32",
    "f16": "float16",
    "c32": "complex32",
    "c64": "complex64",
    "c128": "complex128",
    "i8": "int8",
    "i16": "int16",
    "i32": "int32",
    "i64": "int64",
    "b8": "bool",
    "u8": "uint8",
    "u16": "uint16",
    "u32": "uint32",
    "u64": "uint64",
    "f8e4m3fn": "float8_e4m3fn",
    "f8e4m3fnuz": "float8_e4m3fnuz",
    "f8e5m2": "float8_e5m2",
    "f8e5m2fnuz": "float8_e5m2fnuz",
    "f8e8m0fnu": "float8_e8m0fnu",
    "qi8": "qint8",
    "qu8": "quint8",
    "qi32": "qint32",
}
"""Code in the text to torch's name. The first thirteen are those of the public operator traces."""

CODES: Mapping[str, str] = {name: code for code, name in DTYPES.items()}
"""torch's name of a dtype to its code in the text."""

CONSTANTS = frozenset(
    f"torch.{name}"
    for name in (
        *("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged"),
        *("contiguous_format", "preserve_format", "channels_last", "channels_last_3d"),
    )
)
"""Layouts and memory formats, written with their full name."""

_DEEPEST = 16
"""No schema nests arguments deeper than a list of lists; beyond this a text is an attack on the stack."""
_LONGEST_NUMBER = 40
"""An int64 has 19 digits and a double's repr at most 24 characters."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor without its values."""

    shape: tuple[int, ...]
    """Sizes."""
    dtype: str
    """Code such as `f16`."""
    stride: tuple[int, ...] | None = None
    """Strides in elements; None means contiguous."""

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Dtype:
    """A dtype given as an argument."""

    code: str
    """Code such as `f16`."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A layout or a memory format given as an argument."""

    name: str
    """Full name such as `torch.channels_last`."""


@dataclass(frozen=True, slots=True)
class DeviceName:
    """A device given as an argument."""

    name: str
    """As torch writes it: `cuda:0`."""


Value: TypeAlias = (
    "TensorSpec | Dtype | Constant | DeviceName | bool | int | float | complex | str"
    " | tuple[Value, ...] | list[Value] | dict[str, Value] | None"
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of one call, without values of tensors."""

    args: tuple[Value, ...]
    """Positional arguments."""
    kwargs: dict[str, Value] = field(default_factory=dict)
    """Keyword arguments."""


# ---- writing -------------------------------------------------------------------------------------


def render(arguments: Arguments) -> str:
    """The text of the arguments; `parse` gives them back."""
    return f"({_render(arguments.args)}, {_render(arguments.kwargs)})"


def _render(value: Value) -> str:
    match value:
        case TensorSpec(shape, dtype, stride):
            strides = "" if stride is None else f", {list(stride)}"
            return f"T({list(shape)}, {dtype}{strides})"
        case Dtype(text) | Constant(text):
            return text
        case DeviceName(name):
            return f"torch.device({name!r})"
        case complex():
            return f"complex({value.real!r}, {value.imag!r})"
        case tuple():
            return f"({', '.join(map(_render, value))}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(_render, value))}]"
        case dict():
            return "{" + ", ".join(f"{key!r}: {_render(item)}" for key, item in value.items()) + "}"
        case _:
            return repr(value)


# ---- reading -------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.])|(?:inf|nan)\b))
    | (?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<string>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")
    | (?P<mark>[()\[\]{},:=])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.ASCII,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U(00[01][0-9a-fA-F]{5})|(.))", re.DOTALL)
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", "'": "'", '"': '"'}
_WORDS: Mapping[str, Value] = {"None": None, "True": True, "False": False}


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Arguments:
    """Read the arguments of a case; a UsageError says where and what was expected.

    A case is drawn a hundred times for one kernel: whoever asks again gets the same object, and changes nothing in it.
    """
    return _Parser(text).arguments()


class _Parser:
    """Recursive descent over one text, one token ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.start = 0
        self.end = 0
        self.kind = ""
        self.token = ""
        self.depth = 0
        self.advance()

    def advance(self) -> str:
        """Step to the next token; returns the one left behind."""
        left = self.token
        match = _TOKEN.match(self.text, self.end)
        if match is None:
            self.start = self.end
            self.fail("expected a value, a name or a bracket")
        self.kind = match.lastgroup or ""
        self.token = match[self.kind]
        self.start, self.end = match.start(self.kind), match.end()
        return left

    def fail(self, problem: str) -> NoReturn:
        seen = self.text[self.start : self.start + 20]
        where = f"at position {self.start}, before {seen!r}" if seen else "at the end"
        raise UsageError(
            f"arguments cannot be read: {problem} {where};"
            " write them like ((T([2, 3], f16), 1.5), {'alpha': 2})"
        )

    def at(self, mark: str) -> bool:
        return self.kind == "mark" and self.token == mark

    def expect(self, mark: str) -> None:
        if not self.at(mark):
            self.fail(f"expected {mark!r}")
        self.advance()

    def arguments(self) -> Arguments:
        self.expect("(")
        if not self.at("("):
            self.fail("expected the positional arguments, '('")
        args = self.value()
        self.expect(",")
        if not self.at("{"):
            self.fail("expected the keyword arguments, '{'")
        kwargs = self.value()
        if self.at(","):
            self.advance()
        self.expect(")")
        if self.kind != "end":
            self.fail("expected nothing more")
        if not isinstance(args, tuple) or not isinstance(kwargs, dict):
            self.fail("expected a tuple of arguments and a dict")
        return Arguments(args, kwargs)

    def value(self) -> Value:
        if self.kind == "number":
            return self.number()
        if self.kind == "string":
            return self.string()
        if self.kind == "name":
            return self.name()
        brackets = {"(": self.read_tuple, "[": self.read_list, "{": self.read_dict}
        if self.kind != "mark" or self.token not in brackets:
            self.fail("expected a value")
        if self.depth == _DEEPEST:
            self.fail(f"brackets nest deeper than {_DEEPEST}")
        self.depth += 1
        value = brackets[self.token]()
        self.depth -= 1
        return value

    def read_tuple(self) -> Value:
        self.expect("(")
        items: list[Value] = []
        comma = True
        while not self.at(")"):
            if not comma:
                self.fail("expected ',' or ')'")
            items.append(self.value())
            comma = self.comma()
        self.advance()
        if len(items) == 1 and not comma:
            return items[0]
        return tuple(items)

    def read_list(self) -> Value:
        self.expect("[")
        items: list[Value] = []
        comma = True
        while not self.at("]"):
            if not comma:
                self.fail("expected ',' or ']'")
            items.append(self.value())
            comma = self.comma()
        self.advance()
        return items

    def read_dict(self) -> Value:
        self.expect("{")
        items: dict[str, Value] = {}
        comma = True
        while not self.at("}"):
            if not comma:
                self.fail("expected ',' or '}'")
            if self.kind != "string":
                self.fail("expected a quoted name")
            key = self.string()
            if key in items:
                self.fail(f"{key!r} is given twice")
            self.expect(":")
            items[key] = self.value()
            comma = self.comma()
        self.advance()
        return items

    def comma(self) -> bool:
        if self.at(","):
            self.advance()
            return True
        return False

    def number(self) -> int | float:
        if len(self.token) > _LONGEST_NUMBER:
            self.fail("a number has too many digits")
        if re.fullmatch(r"[-+]?\d+", self.token):
            return int(self.advance())
        return float(self.advance())

    def string(self) -> str:
        def replace(match: re.Match[str]) -> str:
            code = match[1] or match[2] or match[3]
            if code is not None:
                if (point := int(code, 16)) > 0x10FFFF:
                    self.fail("an escape is no character")
                return chr(point)
            if match[4] not in _SIMPLE_ESCAPES:
                self.fail(f"unknown escape \\{match[4]}")
            return _SIMPLE_ESCAPES[match[4]]

        text = _ESCAPE.sub(replace, self.token[1:-1])
        self.advance()
        return text

    def name(self) -> Value:
        if self.token in _WORDS:
            return _WORDS[self.advance()]
        if self.token in DTYPES:
            return Dtype(self.advance())
        if self.token.removeprefix("torch.") in CODES and self.token.startswith("torch."):
            return Dtype(CODES[self.advance().removeprefix("torch.")])
        if self.token in CONSTANTS:
            return Constant(self.advance())
        if self.token == "T":
            return self.tensor()
        if self.token in ("device", "torch.device"):
            return self.device()
        if self.token == "complex":
            return self.read_complex()
        self.fail(f"unknown name {self.token!r}")

    def tensor(self) -> TensorSpec:
        self.advance()
        self.expect("(")
        shape = self.sizes()
        self.expect(",")
        if self.kind != "name" or self.token not in DTYPES:
            self.fail("expected a dtype such as f16")
        dtype = self.advance()
        stride = None
        if self.comma():
            if self.kind == "name" and self.token == "stride":
                self.advance()
                self.expect("=")
            stride = self.sizes()
            if len(stride) != len(shape):
                self.fail(f"{len(shape)} sizes but {len(stride)} strides")
        self.expect(")")
        return TensorSpec(shape, dtype, stride)

    def sizes(self) -> tuple[int, ...]:
        if not (self.at("[") or self.at("(")):
            self.fail("expected sizes such as [2, 3]")
        sizes: list[int] = []
        for item in self.tuple_or_list():
            if isinstance(item, bool) or not isinstance(item, int) or item < 0:
                self.fail("sizes and strides are whole numbers from 0 on")
            sizes.append(item)
        return tuple(sizes)

    def tuple_or_list(self) -> tuple[Value, ...]:
        value = self.value()
        return tuple(value) if isinstance(value, tuple | list) else (value,)

    def device(self) -> DeviceName:
        self.advance()
        self.expect("(")
        if self.kind != "string":
            self.fail("expected a device such as 'cuda'")
        name = self.string()
        if not re.fullmatch(r"[a-z]+(?::\d{1,3})?", name):
            self.fail(f"{name!r} is no device")
        self.expect(")")
        return DeviceName(name)

    def read_complex(self) -> complex:
        self.advance()
        self.expect("(")
        real = self.part()
        self.expect(",")
        imag = self.part()
        self.expect(")")
        return complex(real, imag)

    def part(self) -> int | float:
        if self.kind != "number":
            self.fail("expected a number")
        return self.number()
