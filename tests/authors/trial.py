"""Run an author's kernels on the smoke suite's own cases, on the CPU, and say which of them are wrong.

    python tests/authors/trial.py pytorch|triton DTYPE   →   {"relu__default": {"first": true, "second": false}, …}

A program of its own, because Triton's interpreter must be chosen before triton is imported.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from backend_bench.authors import Scripted
from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites.smoke import CHOSEN, SmokeSuite
from backend_bench.verdict import CaseKind

LIMITS = {"float32": 1e-4, "bfloat16": 3e-2}
"""How far a result may be off, absolute and relative; the judge's own rules are finer."""


def kernel(language: str, op: Operator, which: str, folder: Path) -> Callable[..., Any]:
    source = Scripted(language).kernel(op.folder, which)
    assert source is not None
    name = f"{op.folder}_{which}"
    file = folder / f"{name}.py"  # Triton reads a kernel's source back from its file
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, op.function)  # type: ignore[no-any-return]  # a kernel's own types are its own


def calls(suite: SmokeSuite, op: Operator) -> list[Call]:
    """The correctness cases, every other one with NaN and infinities strewn in.

    What the mean of an infinity is, ATen's own layer norms do not agree on: there it is NaN alone.
    """
    odds = ((3, float("nan")), (11, float("inf")), (17, -float("inf")))[: 1 if "norm" in op.base else 3]
    drawn = [call for call in suite.draws(op, CaseKind.CORRECTNESS, 1) if call]
    for call in drawn[::2]:
        for value in call.args:
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.is_contiguous():
                for at, odd in odds:
                    if value.numel() > at + 8:
                        value.view(-1)[at] = odd
    return drawn


def wrong(op: Operator, function: Callable[..., Any], call: Call, limit: float) -> bool:
    """Whether the kernel's results, or what it did to its first argument, differ from ATen's."""
    mine, theirs = copied(call), copied(call)
    try:
        got = function(*mine.args, **mine.kwargs)
    except Exception:  # noqa: BLE001  # a kernel may fail in any way it likes
        return True
    want = getattr(getattr(torch.ops.aten, op.base), op.overload)(*theirs.args, **theirs.kwargs)
    got, want = (value if isinstance(value, tuple) else (value,) for value in (got, want))
    if op.base == "topk":
        got, want = (chosen(call, value) for value in (got, want))
    pairs = [*zip(got, want, strict=True), *zip(flat(mine.args), flat(theirs.args), strict=True)]
    try:
        for one, other in pairs:
            exact = not other.is_floating_point()
            torch.testing.assert_close(
                one, other, rtol=0 if exact else limit, atol=0 if exact else limit, equal_nan=True
            )
    except AssertionError:
        return True
    return False


def chosen(call: Call, result: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """topk's result with the values that its indices select in their stead: ties are no error."""
    source, dim = call.args[0], call.args[2] if len(call.args) > 2 else -1
    return result[0], source.gather(dim, result[1]) if source.dim() else source.reshape(())


def copied(call: Call) -> Call:
    def copy(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            whole = torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)
            return value.clone() if 0 in value.stride() else whole.copy_(value)
        return [copy(item) for item in value] if isinstance(value, list) else value

    return Call(tuple(copy(value) for value in call.args), dict(call.kwargs))


def flat(args: Any) -> list[torch.Tensor]:
    return [
        leaf
        for value in args
        for leaf in (flat(value) if isinstance(value, list) else [value])
        if isinstance(leaf, torch.Tensor)
    ]


def main(language: str, dtype: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if language == "triton":
        from backend_bench.worker import interpreter

        interpreter.install()
    suite = SmokeSuite(SuiteSpec(name="smoke", device="cpu", dtype=dtype))
    with tempfile.TemporaryDirectory() as folder:
        found = {
            op.folder: {
                which: any(
                    wrong(op, kernel(language, op, which, Path(folder)), call, LIMITS[dtype])
                    for call in calls(suite, op)
                )
                for which in ("first", "second")
            }
            for op in map(Operator.parse, CHOSEN)
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
