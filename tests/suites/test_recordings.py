"""Files of recorded calls: what is read, what is set aside and why, what is refused."""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from backend_bench.errors import MissingExtra, UsageError
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite, sources
from backend_bench.suites.__main__ import main
from backend_bench.suites.account import account
from backend_bench.suites.arguments import render
from backend_bench.suites.defaults import filled
from backend_bench.suites.recordings import Recording, SetAside, read

TRACE = """\
Operator: aten.relu.default
cnt: 3, ((T([2, 3], f16),), {})
cnt: 18, ((T([4, 5], f32, stride=(1, 4)),), {})

Operator: aten.sum.SymInt
cnt: 1, ((T([6, 7], f16), [1], True), {})
"""
HOSTILE = "__import__('os').system('touch pwned')"
ROW = {
    "uuid": "1",
    "op_name": "aten.relu.default",
    "args": "((T([2, 3], f16),), {})",
    "count": 3,
    "is_synthetic": False,
    "included_in_benchmark": True,
    "why_excluded": [],
    "runtime_ms": 0.1,
    "relative_runtime_to_kernel_launch": 2.0,
    "runnable": True,
    "is_overhead_dominated_op": False,
}


def parquet(*changes: dict[str, object], without: tuple[str, ...] = ()) -> bytes:
    """A file of BackendBench's columns with a row for each of the changes."""
    rows = [
        {name: value for name, value in (ROW | change).items() if name not in without} for change in changes
    ]
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return sink.getvalue()


def recordings(data: bytes) -> list[Recording]:
    return [row for row in read(data, "file") if isinstance(row, Recording)]


def aside(data: bytes) -> list[SetAside]:
    return [row for row in read(data, "file") if isinstance(row, SetAside)]


# ---- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [TRACE.encode(), gzip.compress(TRACE.encode())], ids=["text", "gz"])
def test_a_trace_is_read(data):
    first, second, third = recordings(data)
    assert (str(first.op), first.count, first.where) == ("relu.default", 3, "line 2")
    assert render(second.arguments) == "((T([4, 5], f32, [1, 4]),), {})"
    assert str(third.op) == "sum.dim_IntList"  # the overload's name of today


def test_a_parquet_is_read():
    args = "((T([5, 1, 3], f16, stride=(3, 99, 1)), 1), {})"
    [one, two] = recordings(parquet({}, {"args": args, "is_overhead_dominated_op": True}))
    assert (one.op, one.count, one.launch_bound) == (Operator("relu"), 3, False)
    assert two.launch_bound
    assert render(two.arguments) == "((T([5, 1, 3], f16), 1), {})"  # strides of a contiguous tensor


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"included_in_benchmark": False, "why_excluded": ["random", "synthetic"]}, "random; synthetic"),
        ({"included_in_benchmark": False}, "leaves it out"),
        ({"included_in_benchmark": None}, "leaves it out"),
        ({"args": HOSTILE}, "cannot be read"),
        ({"args": f"(({HOSTILE},), {{}})"}, "cannot be read"),
        ({"args": "((T([2, 3], f16),), {}"}, "cannot be read"),
        ({"args": "((T([18446744073709551616], f16),), {})"}, "cannot be read"),
        ({"args": None}, "cannot be read"),
        ({"op_name": None}, "names no operator"),
        ({"op_name": "aten.relu; rm"}, "names no operator"),
    ],
)
def test_a_row_that_makes_no_case_says_why(change, reason, tmp_path, monkeypatch: pytest.MonkeyPatch):
    """And it is not run."""
    monkeypatch.chdir(tmp_path)
    [row] = aside(parquet({}, change))
    assert reason in row.reason
    assert row.where.startswith("row 1")
    assert not list(tmp_path.iterdir())


def test_a_hostile_line_of_a_trace_is_set_aside():
    [row] = aside(f"{TRACE}cnt: 1, {HOSTILE}\n".encode())
    assert row.where.startswith("line 7: arguments cannot be read")


# ---- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "no case that can be used"),
        (b"hello\nworld\n", "line 1 is none of an operator trace; one has"),
        (b"\xff\xfe\x00", "neither a parquet nor an operator trace"),
        (b"\x1f\x8b\x08damaged", "damaged"),
        (gzip.compress(TRACE.encode())[:-9], "damaged"),
        (b"PAR1 nothing else", "damaged parquet"),
        (parquet({})[:-40], "damaged parquet"),
        (parquet({}, without=("args", "count")), "no column args, count"),
        (parquet({"args": HOSTILE}), "no case that can be used: row 0: .*cannot be read"),
    ],
)
def test_a_file_that_is_none_of_ours_is_refused(data, message):
    with pytest.raises(UsageError, match=message):
        read(data, "file")


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("backend_bench.suites.recordings._LARGEST_TEXT", 1000)
    with pytest.raises(UsageError, match="more than"):
        read(gzip.compress(b" " * 2000), "file")


# ---- sources -------------------------------------------------------------------------------------


def test_the_cases_of_the_package_are_the_default():
    spec = filled(SuiteSpec(name="torchbench"))
    assert spec.source
    assert spec.source.startswith("bundled#")
    assert filled(SuiteSpec(name="torchbench", source="bundled")) == spec == filled(spec)
    assert sources.described(spec.source).startswith("bundled models, sha256 ")


def test_a_path_without_a_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no file"):
        open_suite(SuiteSpec(name="torchbench", source=str(tmp_path / "missing.parquet")))
    with pytest.raises(UsageError, match="cannot be read"):
        open_suite(SuiteSpec(name="torchbench", source=str(tmp_path)))


def test_a_source_is_pinned_to_its_content(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("trace.txt").write_text(TRACE)
    spec = filled(SuiteSpec(name="torchbench", source="trace.txt"))
    assert spec.source
    assert spec.source.startswith(str(tmp_path / "trace.txt") + "#")
    assert filled(spec) == spec
    Path("trace.txt").write_text(TRACE + "\n")
    with pytest.raises(UsageError, match="has changed"):
        filled(spec)


def test_a_hub_that_cannot_be_reached_names_the_alternatives(monkeypatch: pytest.MonkeyPatch):
    def unreachable(*_: object, **__: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    sources._downloaded.cache_clear()
    with pytest.raises(UsageError, match=r"cannot be fetched from the hub: no route; --source PATH"):
        open_suite(SuiteSpec(name="torchbench", source="hub"))


def test_the_hub_is_read_from_its_cache(tmp_path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "problems.parquet"
    file.write_bytes(parquet({}))
    asked: list[object] = []

    def cached(*names: object, **pins: object) -> str:
        asked.extend([*names, pins["revision"]])
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", cached)
    sources._downloaded.cache_clear()
    try:
        index = open_suite(SuiteSpec(name="torchbench", source="hub")).index()
    finally:
        sources._downloaded.cache_clear()
    assert list(index.entries) == ["relu.default"]
    assert index.source.startswith("GPUMODE/backendbench_tests@ca7b1361b162, sha256 ")
    assert asked[-1] == sources.REVISION


def test_a_missing_reader_names_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"backend-bench\[judge\]"):
        read(b"PAR1", "file")


# ---- the account ---------------------------------------------------------------------------------


def test_every_row_is_accounted_for(tmp_path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "problems.parquet"
    left_out = {"included_in_benchmark": False, "why_excluded": ["synthetic"]}
    file.write_bytes(
        parquet({}, {}, left_out, left_out, {"args": HOSTILE}, {"op_name": "aten.no_such_thing.default"})
    )
    found = account(filled(SuiteSpec(name="torchbench", source=str(file))))
    assert found.loaded == {"relu.default": 2}
    assert {reason: each.rows for reason, each in found.set_aside.items()} == {
        "synthetic": 2,
        "its arguments cannot be read": 1,
        "torch has no such operator: no_such_thing.default": 1,
    }
    assert sum(found.loaded.values()) + sum(each.rows for each in found.set_aside.values()) == found.rows == 6
    assert main(["--suite", "torchbench", "--source", str(file), "--account"]) == 0
    assert "2 are set aside: synthetic (the first: row 2)" in capsys.readouterr().out
    assert main(["--suite", "smoke", "--account"]) == 2


@pytest.mark.skipif(
    "BACKEND_BENCH_PROBLEMS" not in os.environ, reason="BACKEND_BENCH_PROBLEMS names the public parquet"
)
def test_the_public_data_set_is_accounted_for():
    found = account(filled(SuiteSpec(name="torchbench", source=os.environ["BACKEND_BENCH_PROBLEMS"])))
    assert (found.rows, sum(found.loaded.values()), len(found.loaded)) == (19_171, 15_568, 136)
    assert len({Operator.parse(name).base for name in found.loaded}) == 124
    assert sum(each.rows for each in found.set_aside.values()) == 19_171 - 15_568
