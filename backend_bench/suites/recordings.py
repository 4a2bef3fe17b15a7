"""Operator calls that were recorded from real models, read from a parquet or a trace text.

Every row is kept or set aside with a reason; nothing in a file is ever evaluated. Knows no torch: whether an
operator exists or takes such arguments is asked elsewhere.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from backend_bench.errors import MissingExtra, UsageError
from backend_bench.operator import Operator
from backend_bench.suites.arguments import Arguments, TensorSpec, Value, parse

_COLUMNS = ("op_name", "args", "count", "included_in_benchmark", "why_excluded", "is_overhead_dominated_op")
"""Columns of BackendBench's parquet that are read; the others may be missing."""
_LARGEST_TEXT = 512 << 20
"""Bytes of a trace once it is unpacked: the largest public one has 4 MB, and a bomb would fill the memory."""
_MOST_LISTED = 5
_INT64 = 1 << 63
_LINE = re.compile(r"cnt:\s*(\d{1,18})\s*,\s*(.+)")
_RENAMED = {"sum.SymInt": "sum.dim_IntList"}
"""Overloads that torch has renamed since the traces were taken."""

UNREADABLE = "its arguments cannot be read"
UNNAMED = "it names no operator"


@dataclass(frozen=True, slots=True)
class Recording:
    """One call of an operator, as a model made it."""

    op: Operator
    """The operator."""
    arguments: Arguments
    """What it was called with, strides left out where they say nothing."""
    count: int
    """How often."""
    launch_bound: bool
    """Whether the recorder found its time to be that of a launch."""
    where: str
    """Place in the file, `row 17`."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that makes no case."""

    reason: str
    """Why, the same words for the same cause."""
    where: str
    """Place in the file, with what is particular to it."""


Row = Recording | SetAside


def read(data: bytes, name: str) -> list[Row]:
    """Every row of a file in its order; a `UsageError` where the file is none of ours."""
    if not data:
        raise UsageError(f"{name} is empty; it should be a parquet or an operator trace")
    rows = list(_parquet(data, name) if data.startswith(b"PAR1") else _trace(_text(data, name), name))
    if not any(isinstance(row, Recording) for row in rows):
        aside = [row for row in rows if isinstance(row, SetAside)]
        listed = "; ".join(f"{row.where}: {row.reason}" for row in aside[:_MOST_LISTED])
        raise UsageError(f"{name} has no case that can be used{': ' + listed if listed else ''}")
    return rows


# ---- parquet -------------------------------------------------------------------------------------


def _parquet(data: bytes, name: str) -> Iterator[Row]:
    try:
        import pyarrow  # type: ignore[import-untyped]  # it has no stubs
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtra("judge", "reading a parquet needs pyarrow") from None
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        missing = [column for column in _COLUMNS if column not in file.schema_arrow.names]
        if missing:
            raise UsageError(
                f"{name} has no column {', '.join(missing)}; BackendBench's parquet has {', '.join(_COLUMNS)}"
            )
        columns = file.read(columns=list(_COLUMNS)).to_pydict()
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise UsageError(f"{name} is a damaged parquet: {reason}; take a fresh copy of it") from None
    for number, values in enumerate(zip(*(columns[column] for column in _COLUMNS), strict=True)):
        yield _recorded(f"row {number}", *values)


def _recorded(
    where: str, op: Any, args: Any, count: Any, included: Any, reasons: Any, launch_bound: Any
) -> Row:
    if not isinstance(op, str) or not isinstance(args, str):
        return SetAside(UNNAMED if not isinstance(op, str) else UNREADABLE, where)
    if included is not True:
        given = [str(reason) for reason in reasons] if isinstance(reasons, list) else []
        return SetAside("; ".join(given) or "the file leaves it out of the benchmark", where)
    return _row(op, args, count if isinstance(count, int) else 0, where, launch_bound=launch_bound is True)


# ---- trace ---------------------------------------------------------------------------------------


def _text(data: bytes, name: str) -> str:
    if data.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(_LARGEST_TEXT + 1)
        except (OSError, EOFError, zlib.error) as problem:
            raise UsageError(f"{name} is damaged: {problem}; take a fresh copy of it") from None
    if len(data) > _LARGEST_TEXT:
        raise UsageError(f"{name} holds more than {_LARGEST_TEXT >> 20} MB of text; split it by operators")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{name} is neither a parquet nor an operator trace in UTF-8") from None


def _trace(text: str, name: str) -> Iterator[Row]:
    op = ""
    for number, line in enumerate(text.splitlines(), 1):
        where, line = f"line {number}", line.strip()
        if line.startswith("Operator:"):
            op = line.removeprefix("Operator:").strip()
        elif match := _LINE.fullmatch(line):
            yield _row(op, match[2], int(match[1]), where, launch_bound=False)
        elif line.startswith("cnt:"):
            yield SetAside(UNREADABLE, f"{where}, which should read like cnt: 3, ((T([2, 3], f16),), {{}})")
        elif line:
            # Not quoted: who names a source over the network may not read files with it.
            raise UsageError(
                f"{name}, {where} is none of an operator trace;"
                " one has lines like 'Operator: aten.relu.default' and 'cnt: 3, ((T([2, 3], f16),), {})'"
            )


# ---- one row -------------------------------------------------------------------------------------


def _row(op: str, args: str, count: int, where: str, *, launch_bound: bool) -> Row:
    short = op.removeprefix("aten.")
    try:
        operator = Operator.parse(_RENAMED.get(short, short))
    except UsageError:
        return SetAside(UNNAMED, f"{where}: {op[:40]!r}")
    try:
        arguments = parse(args)
    except UsageError as problem:
        return SetAside(UNREADABLE, f"{where}: {problem}")
    if any(isinstance(value, int) and not -_INT64 <= value < _INT64 for value in flat(arguments)):
        return SetAside(UNREADABLE, f"{where}: a number does not fit 64 bits")
    return Recording(operator, mapped(arguments, plain), count, launch_bound, where)


def plain(value: Value) -> Value:
    """A tensor without strides that are those of a contiguous one."""
    if isinstance(value, TensorSpec) and value.stride is not None and _is_contiguous(value):
        return TensorSpec(value.shape, value.dtype)
    return value


def _is_contiguous(spec: TensorSpec) -> bool:
    assert spec.stride is not None
    expected = 1
    for size, step in zip(reversed(spec.shape), reversed(spec.stride), strict=True):
        if size != 1 and step != expected:
            return spec.elements == 0
        expected *= size
    return True


def mapped(arguments: Arguments, change: Any) -> Arguments:
    """The arguments with `change` made to every value that holds no others."""

    def made(value: Value) -> Value:
        if isinstance(value, tuple):
            return tuple(made(item) for item in value)
        if isinstance(value, list):
            return [made(item) for item in value]
        changed: Value = change(value)
        return changed

    return Arguments(
        tuple(made(arg) for arg in arguments.args),
        {name: made(arg) for name, arg in arguments.kwargs.items()},
    )


def flat(arguments: Arguments) -> Iterator[Value | int]:
    """Every value that holds no others, and every size and stride of a tensor."""

    def inside(value: Value) -> Iterator[Value | int]:
        if isinstance(value, tuple | list):
            for item in value:
                yield from inside(item)
        elif isinstance(value, dict):
            yield from inside(list(value.values()))
        else:
            yield value
            if isinstance(value, TensorSpec):
                yield from (*value.shape, *(value.stride or ()))

    yield from inside([*arguments.args, *arguments.kwargs.values()])
