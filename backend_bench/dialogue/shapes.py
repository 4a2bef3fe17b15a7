"""What can be read off the text of a case without torch: its tensors, how large they are, what is special about it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

DTYPES = {
    "b8": "bool", "u8": "uint8", "i8": "int8", "i16": "int16", "i32": "int32", "i64": "int64",
    "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64",
    "c32": "complex32", "c64": "complex64", "c128": "complex128",
    "f8e4m3fn": "float8_e4m3fn", "f8e5m2": "float8_e5m2",
}  # fmt: skip
"""Code in the text to torch's name."""
_BYTES = {"b8": 1, "u8": 1, "i8": 1, "i16": 2, "i32": 4, "f16": 2, "bf16": 2, "f32": 4, "c32": 4, "c128": 16}
_TENSOR = re.compile(r"\bT\(\[([\d, ]*)\], (\w+)(?:, \[([\d, -]*)\])?\)")


@dataclass(frozen=True, slots=True)
class Shape:
    """One tensor of a case."""

    sizes: tuple[int, ...]
    """Its shape."""
    dtype: str
    """Code of its dtype, `bf16`."""
    strides: tuple[int, ...] | None
    """Its strides in elements; None where it is contiguous."""

    @property
    def elements(self) -> int:
        return math.prod(self.sizes)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements; 8 where the dtype is not known."""
        return self.elements * _BYTES.get(self.dtype, 8)


def shapes(args: str) -> list[Shape]:
    """The tensors of a case, in order."""
    return [
        Shape(_numbers(sizes), dtype, None if strides is None else _numbers(strides))
        for sizes, dtype, strides in _matches(args)
    ]


def elements(args: str) -> int:
    """Elements of all tensors of a case."""
    return sum(shape.elements for shape in shapes(args))


def nbytes(args: str) -> int:
    """Bytes of all tensors of a case."""
    return sum(shape.nbytes for shape in shapes(args))


def traits(args: str) -> frozenset[str]:
    """What a kernel's author might have overlooked in this case, in words that follow `cases with`."""
    found = shapes(args)
    sizes = {shape.sizes for shape in found if shape.dtype != "b8" or len(found) > 1}
    facts = {
        "an empty tensor": any(shape.elements == 0 for shape in found),
        "a tensor without dimensions": any(shape.sizes == () for shape in found),
        "a tensor that is not contiguous": any(shape.strides is not None for shape in found),
        "an expanded tensor (stride 0)": any(_expanded(shape) for shape in found),
        "tensors of different shapes": len(sizes) > 1,
        "tensors of different dtypes": len({shape.dtype for shape in found}) > 1,
        "a negative dimension or other whole number": re.search(r"\), (?:\[[\d, ]*)?-\d+\b(?!\.)", args)
        is not None,
        "a list of tensors": "[T(" in args or "[None, T(" in args,
        **{f"{name} tensors": any(shape.dtype == code for shape in found) for code, name in DTYPES.items()},
    }
    return frozenset(name for name, holds in facts.items() if holds)


def codes(texts: Iterable[str]) -> list[str]:
    """Codes of the dtypes that occur in the cases, the commonest first."""
    counts: dict[str, int] = {}
    for text in texts:
        for shape in shapes(text):
            counts[shape.dtype] = counts.get(shape.dtype, 0) + 1
    return sorted(counts, key=lambda code: (-counts[code], code))


def _matches(args: str) -> list[tuple[str, str, str | None]]:
    return [(match[1], match[2], match[3]) for match in _TENSOR.finditer(args)]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part.strip())


def _expanded(shape: Shape) -> bool:
    return any(
        stride == 0 and size > 1 for size, stride in zip(shape.sizes, shape.strides or (), strict=False)
    )
