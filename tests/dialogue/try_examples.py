"""Run a language's example kernels on the CPU, beside ATen, and say what is wrong with them.

    python tests/dialogue/try_examples.py pytorch|triton   →   {"lerp__Scalar": [], …}

A program of its own, because Triton's interpreter must be chosen before triton is imported.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

import backend_bench.languages
from backend_bench.judge.audit import Operators, own_work
from backend_bench.operator import Operator
from backend_bench.worker.recorder import Recorder

KERNELS = Path(backend_bench.languages.__file__).parent / "kernels"
LIMITS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


def calls(op: str, dtype: torch.dtype) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Empty, without dimensions, not contiguous, broadcast, negative dimensions, an infinity, more than one block."""
    draw = torch.Generator().manual_seed(7)

    def of(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=draw).to(dtype)

    odd = of(4, 7)
    odd[1, 2], odd[2, 3] = float("nan"), float("inf")
    tensors = [of(5), of(), of(0, 3), of(17, 33), of(6, 5).t(), of(3, 1).expand(3, 4), of(2, 3, 1030), odd]
    for x in tensors:
        if op == "lerp.Scalar":
            yield (x, of(*x.shape), 0.3), {}
            yield (x, of(*x.shape[-1:]), 1.75), {}
        elif op == "relu.default":
            yield (x,), {}
        elif op == "_softmax.default":
            yield (x, -1, False), {}
            yield (x, 0, False), {}
        else:
            yield (x, None), {}
            yield (x, [-1]), {}
            yield (x, [-1, 0] if x.dim() > 1 else [0], True), {}
            yield (x, []), {"dtype": torch.float32}


def faults(language: str, file: Path) -> list[str]:
    op = Operator.from_folder(file.stem)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    overload = getattr(getattr(torch.ops.aten, op.base), op.overload)
    found = []
    for dtype, limit in LIMITS.items():
        for args, kwargs in calls(str(op), dtype):
            recorder = Recorder([value for value in args if isinstance(value, torch.Tensor)])
            with recorder:
                got = getattr(module, op.function)(*args, **kwargs)
            found += [sign.detail for sign in own_work(str(op), language, [Operators(recorder.calls(got))])]
            try:
                want = overload(*args, **kwargs)
                torch.testing.assert_close(got, want, rtol=limit, atol=limit, equal_nan=True)
            except AssertionError as error:
                found.append(f"{dtype} {[getattr(a, 'shape', a) for a in args]} {kwargs}: {error}")
    return found


def main(language: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    if language == "triton":
        from backend_bench.worker import interpreter

        interpreter.install()
    files = sorted((KERNELS / language).glob("*.py"))
    print(json.dumps({file.stem: faults(language, file) for file in files}))


if __name__ == "__main__":
    main(*sys.argv[1:])
