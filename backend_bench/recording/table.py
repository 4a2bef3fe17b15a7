"""Recorded calls as a parquet: BackendBench's columns, and where each call comes from.

The same rows give the same bytes with the same pyarrow: rows are sorted, and nothing of the day or the machine is in it.
"""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backend_bench.errors import MissingExtra
from backend_bench.operator import Operator
from backend_bench.suites.catalog import operator_names, resolve
from backend_bench.suites.exclusions import DROPPING, RANDOM, reason

UNKNOWN = "torch has no operator of that name outside of a trace"


@dataclass(frozen=True, slots=True, order=True)
class Row:
    """One call of an operator, as often as a model made it in one phase of one step."""

    op: Operator
    """The operator."""
    args: str
    """Arguments as text."""
    model: str
    """Name of the model."""
    library: str
    """Where the model comes from."""
    mode: str
    """`inference`, `prefill`, `decode` or `training`."""
    phase: str
    """`forward`, `backward` or `update`."""
    dtype: str
    """Floating dtype of the step; `autocast` behind it where parameters are in float32."""
    count: int
    """How often."""


def encode(rows: Iterable[Row], about: dict[str, str]) -> bytes:
    """The parquet's bytes; `about` goes into its metadata."""
    try:
        import pyarrow  # type: ignore[import-untyped]  # it has no stubs
        import pyarrow.parquet  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtra("trace", "writing a parquet needs pyarrow") from None
    text, number = pyarrow.string(), pyarrow.float64()
    schema = pyarrow.schema(
        [
            ("uuid", text), ("op_name", text), ("args", text), ("count", pyarrow.int64()),
            ("is_synthetic", pyarrow.bool_()), ("included_in_benchmark", pyarrow.bool_()),
            ("why_excluded", pyarrow.list_(text)), ("runtime_ms", number),
            ("relative_runtime_to_kernel_launch", number), ("runnable", pyarrow.bool_()),
            ("is_overhead_dominated_op", pyarrow.bool_()),
            *((name, text) for name in ("model", "library", "mode", "phase", "dtype")),
        ],
        metadata=about,
    )  # fmt: skip
    table = pyarrow.Table.from_pylist([_columns(row) for row in sorted(rows)], schema=schema)
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file, compression="zstd", compression_level=19)
    return file.getvalue()


def _columns(row: Row) -> dict[str, Any]:
    name = f"aten.{row.op}"
    excluded = _reason(row.op)
    return {
        "uuid": hashlib.sha256(f"{row.args}{name}".encode()).hexdigest()[:16],
        "op_name": name,
        "args": row.args,
        "count": row.count,
        "is_synthetic": False,
        "included_in_benchmark": not excluded,
        "why_excluded": [excluded] if excluded else [],
        **{each: getattr(row, each) for each in ("model", "library", "mode", "phase", "dtype")},
    }


@functools.cache
def _reason(op: Operator) -> str:
    if str(op) not in operator_names():
        return UNKNOWN
    found = reason(op, resolve(op))
    return "" if found == RANDOM and op.base in DROPPING else found
