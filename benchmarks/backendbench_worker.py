"""BackendBench's own evaluator behind lines of JSON: what `beside_backendbench.py` runs with a checkout on PYTHONPATH.

    python -P benchmarks/backendbench_worker.py probe
    python -P benchmarks/backendbench_worker.py DEVICE DTYPE

Nothing of ours is imported here, so that a fresh process is as quick as BackendBench can be. A request is a line on standard input: a
kernel (`Kernel`), or operators to be timed against themselves (`Aten`). The answer is a line on what was standard output.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import sys
import time
from typing import Any, TypedDict

BORN = time.monotonic()
NEEDS = (
    "torch",
    "numpy",
    "pyarrow",
    "requests",
    "tqdm",
    "pandas",
    "datasets",
    "dill",
    "multiprocess",
    "xxhash",
)
"""What importing its suites and backends takes, packages of packages included that hosts were seen to lack."""
COMMAND_NEEDS = ("click", "anthropic", "tenacity")
"""What its command line takes besides."""
NOTHING = "nothing was judged: its suite has no such operator here, or the kernel did not load"


class Kernel(TypedDict):
    """A kernel to be judged."""

    folder: str
    """An operators' directory, as `DirectoryBackend` reads it."""
    op: str
    """The operator, `relu.default`."""
    correctness: list[str] | None
    """Arguments as text; None for the tests of its own OpInfo suite."""
    performance: list[str]
    """Arguments as text."""


class Aten(TypedDict):
    """Operators to be timed against themselves."""

    aten: dict[str, list[str]]
    """Arguments as text, for each operator."""


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # BackendBench prints
    if sys.argv[1] == "probe":
        answers.write(json.dumps(probe()) + "\n")
        return
    bench = Bench(*sys.argv[1:3])
    for line in sys.stdin:
        asked = json.loads(line)
        answer = bench.aten(asked) if "aten" in asked else bench.judge(asked)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def probe() -> dict[str, Any]:
    """Whether it can be run here at all; what its command line lacks."""
    try:
        import BackendBench.backends
        import BackendBench.suite
        import torch
    except ImportError as error:
        return {"missing": absent(NEEDS) or [str(error)]}
    try:
        import BackendBench.scripts.main  # whether it can be had
    except ImportError as error:
        command = absent(COMMAND_NEEDS) or [str(error)]
    else:
        command = []
    return {
        "missing": [],
        "missing_for_command_line": command,
        "from": os.path.dirname(str(BackendBench.suite.__file__)),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def absent(names: tuple[str, ...]) -> list[str]:
    return [name for name in names if importlib.util.find_spec(name) is None]


class Bench:
    """Its evaluator in this process, used as its `scripts/main.py` uses it."""

    def __init__(self, device: str, dtype: str) -> None:
        import BackendBench.backends
        import BackendBench.eval
        import BackendBench.suite
        import torch

        self._backends, self._eval, self._suites = (
            BackendBench.backends,
            BackendBench.eval,
            BackendBench.suite,
        )
        self._device, self._dtype = device, getattr(torch, dtype)
        self._opinfo: dict[str, list[Any]] = {}
        on_gpu = torch.cuda.is_available() and BackendBench.eval.TRITON_AVAILABLE
        self._unit_us = 1e3 if on_gpu else 1e6  # what it calls ms are seconds where it times with `cpu_bench`
        self._import_s: float | None = time.monotonic() - BORN

    def judge(self, asked: Kernel) -> dict[str, Any]:
        """Its verdict on one kernel, and where the seconds went."""
        begun = time.monotonic()
        tests = self._tests(asked)
        built = time.monotonic()
        backend = self._backends.DirectoryBackend(asked["folder"])
        loaded = time.monotonic()
        judged = [
            self._eval.eval_one_op(op, backend[op], correctness, performance)
            for op, correctness, performance in tests
            if op in backend
        ]
        stages = {"suite": built - begun, "load": loaded - built, "evaluate": time.monotonic() - loaded}
        if self._import_s is not None:
            stages["import"], self._import_s = self._import_s, None
        return {
            "stages_s": stages,
            **verdict(
                [result for found in judged for result in found[2]],
                [self._timed(result) for found in judged for result in found[3]],
                [float(found[1]) for found in judged],
            ),
        }

    def aten(self, asked: Aten) -> dict[str, Any]:
        """Its speed-ups of its backend `aten`."""
        backend = self._backends.AtenBackend()
        timed = []
        for name, texts in asked["aten"].items():
            test = self._suites.TorchBenchOpTest(f"aten.{name}", texts, None)
            _, results = self._eval.eval_performance(test.op, backend[test.op], test.performance_tests)
            timed += [{"op": name, **self._timed(result)} for result in results]
        return {"timed": timed}

    def _tests(self, asked: Kernel) -> list[tuple[Any, Any, Any]]:
        """Operator, correctness tests and performance tests."""
        op, timed = asked["op"], asked["performance"]
        own = self._suites.TorchBenchOpTest
        if asked["correctness"] is not None:
            test = own(f"aten.{op}", asked["correctness"], None)
            return [(test.op, test.correctness_tests, own(f"aten.{op}", timed, None).performance_tests)]
        if op not in self._opinfo:
            suite = self._suites.OpInfoTestSuite("opinfo", self._device, self._dtype, filter=[op])
            self._opinfo[op] = list(suite)
        return [(test.op, test.correctness_tests, test.performance_tests) for test in self._opinfo[op]]

    def _timed(self, result: Any) -> dict[str, Any]:
        return {
            "args": result.args,
            "reference_us": result.reference_time_ms * self._unit_us,
            "speedup": result.speedup if result.successfully_ran else None,
            "message": result.error_msg.strip()[-500:],
        }


def verdict(correctness: list[Any], timed: list[dict[str, Any]], scores: list[float]) -> dict[str, Any]:
    """What it found, as plain data; a score that is no number is None."""
    faults = [result.error_msg.strip()[-500:] for result in correctness if not result.is_correct]
    faults += [one["message"] for one in timed if one["speedup"] is None]
    if not correctness:
        faults.append(NOTHING)
    return {
        "passed": sum(result.is_correct for result in correctness),
        "tests": len(correctness),
        "timed": sum(one["speedup"] is not None for one in timed),
        "performance_tests": len(timed),
        "performance_score": next((score for score in scores if math.isfinite(score)), None),
        "fault": faults[0] if faults else "",
    }


if __name__ == "__main__":
    main()
