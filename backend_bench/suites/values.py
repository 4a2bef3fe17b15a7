"""Fresh tensors for a case: signed, of several scales, in the layout that the text asks for.

Which edge values a judge plants on top (infinities, NaN) is not decided here.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from backend_bench import together
from backend_bench.cases import Call
from backend_bench.suites.arguments import Arguments, TensorSpec
from backend_bench.suites.calls import build, dtype_of

SCALES = (1.0, 1.0, 1.0, 1.0, 0.01, 8.0, 0.3, 3.0)
"""Factors of the normal draw, one picked for each element: half of unit scale, some so small and so large that
a dropped term, a wrong branch or an overflow of exp shows; none so large that a half-precision sum overflows."""
_INTEGER_LIMIT = 100
"""Integers lie in [-100, 100]: they fit every integer dtype, and their products an int32."""
_WIDTH = 100.0
"""Where only one end of a range is given, values lie within this distance of it."""


AT_ONCE = 1 << 20
"""Elements that are drawn at once for several calls; of more each draw keeps a GPU busy for itself."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Where the values of a tensor lie; an end that is None is open."""

    low: float | None = None
    """The smallest value that is allowed."""
    high: float | None = None
    """The largest value that is allowed."""
    zero: bool = True
    """Whether zero is allowed."""

    @property
    def ends(self) -> tuple[float, float] | None:
        """Both ends; None where neither is given."""
        if self.low is None and self.high is None:
            return None
        low = self.high - _WIDTH if self.low is None and self.high is not None else self.low
        assert low is not None
        return low, max(low, low + _WIDTH if self.high is None else self.high)


def below(count: int) -> Bounds:
    """Indices into a dimension of that size."""
    return Bounds(0, max(count, 1) - 1)


def seed_of(*parts: object) -> int:
    """A 63-bit seed for torch from anything: the same parts give the same seed on every machine."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def draw_call(
    arguments: Arguments, device: str, seed: int, bounds: Mapping[int, Bounds] | None = None
) -> Call:
    """A call with fresh values; those of the n-th tensor, from left to right, lie within `bounds[n]`."""
    generator = torch.Generator(device=device).manual_seed(seed)
    within = dict(bounds or {})
    count = 0

    def tensor(spec: TensorSpec) -> torch.Tensor:
        nonlocal count
        bound = within.get(count)
        count += 1
        return draw_tensor(spec, generator, bound)

    return build(arguments, tensor)


def draw_calls(
    arguments: Arguments, device: str, seed: int, count: int, bounds: Mapping[int, Bounds] | None = None
) -> list[Call]:
    """So many calls with fresh values, each with memory of its own; drawn together, which takes a GPU hardly longer than one."""
    generator = torch.Generator(device=device).manual_seed(seed)
    within, rows = dict(bounds or {}), list[list[torch.Tensor]]()

    def first(spec: TensorSpec) -> torch.Tensor:
        rows.append(_draw_tensors(spec, count, generator, within.get(len(rows))))
        return rows[-1][0]

    def other(number: int) -> Call:
        ready = iter(rows)
        return build(arguments, lambda _: next(ready)[number])

    return [build(arguments, first), *map(other, range(1, count))]


def _draw_tensors(
    spec: TensorSpec, count: int, generator: torch.Generator, bounds: Bounds | None
) -> list[torch.Tensor]:
    dtype, extent = dtype_of(spec.dtype), _extent_of(spec)
    if count * extent > AT_ONCE or dtype not in together.DTYPES:
        return [draw_tensor(spec, generator, bounds) for _ in range(count)]
    rows = _flat(count * extent, dtype, generator, bounds).view(count, extent).unbind()
    own = [torch.empty_like(row) for row in rows]
    torch._foreach_copy_(own, rows)
    return [_laid_out(flat, spec) for flat in own]


def draw_tensor(spec: TensorSpec, generator: torch.Generator, bounds: Bounds | None = None) -> torch.Tensor:
    """One tensor on the generator's device, within the bounds if there are any."""
    return _laid_out(_flat(_extent_of(spec), dtype_of(spec.dtype), generator, bounds), spec)


def _laid_out(flat: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    return flat.reshape(spec.shape) if spec.stride is None else flat.as_strided(spec.shape, spec.stride)


def _extent_of(spec: TensorSpec) -> int:
    """Elements of storage between the first and the last one that the strides reach."""
    if spec.stride is None or 0 in spec.shape:
        return spec.elements
    return 1 + sum((size - 1) * step for size, step in zip(spec.shape, spec.stride, strict=True))


def _flat(count: int, dtype: torch.dtype, generator: torch.Generator, bounds: Bounds | None) -> torch.Tensor:
    if bounds is None:
        return _free(count, dtype, generator)
    ends = None if dtype is torch.bool else bounds.ends
    values = _free(count, dtype, generator) if ends is None else _between(*ends, count, dtype, generator)
    return values if bounds.zero else values.masked_fill_(values == 0, 1)


def _between(
    low: float, high: float, count: int, dtype: torch.dtype, generator: torch.Generator
) -> torch.Tensor:
    device = generator.device
    if dtype.is_floating_point:
        return torch.empty(count, device=device).uniform_(low, high, generator=generator).to(dtype)
    first, last = math.ceil(low), math.floor(high)
    values = torch.randint(first, max(first, last) + 1, (count,), generator=generator, device=device)
    return values.to(dtype)


def _free(count: int, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    device = generator.device
    if dtype is torch.bool:
        return torch.randint(0, 2, (count,), generator=generator, device=device).to(dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        low = -_INTEGER_LIMIT if dtype.is_signed else 0
        values = torch.randint(low, _INTEGER_LIMIT + 1, (count,), generator=generator, device=device)
        return values.to(dtype)
    return _floating(count, dtype, generator)


def _floating(count: int, dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    device = generator.device
    wide = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32
    if dtype.is_complex:
        real = _floating(2 * count, wide, generator)
        return torch.view_as_complex(real.reshape(count, 2)).to(dtype)
    values = torch.randn(count, generator=generator, device=device, dtype=wide)
    picks = torch.randint(0, len(SCALES), (count,), generator=generator, device=device, dtype=torch.int32)
    return values.mul_(_scales(wide, device).index_select(0, picks)).to(dtype)


@functools.cache
def _scales(dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Made once: to copy them to a GPU takes longer than most draws."""
    return torch.tensor(SCALES, dtype=dtype, device=device)
