"""Write a suite's index as JSON: `python -m backend_bench.suites --suite opinfo --device cpu --out FILE`.

With `--account`, for torchbench: what became of every row of the source, as text.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, open_suite
from backend_bench.suites.index_cache import encode_index


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a message where the request makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m backend_bench.suites", description=__doc__)
    parser.add_argument("--suite", default="smoke", help="smoke, opinfo, torchbench or facto")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", help="floating dtype to draw in; the suite's own by default")
    parser.add_argument("--source", help="where the suite takes its data from")
    parser.add_argument("--cases-per-op", type=int, help="correctness cases of an operator, at most")
    parser.add_argument("--topn", type=int, help="only an operator's largest recorded calls")
    parser.add_argument("--overhead-dominated", action="store_true", help="time what is mostly launch, too")
    parser.add_argument("--error-inputs", action="store_true", help="arguments that are refused, too")
    parser.add_argument("--perf-cases", default="suite", help="suite or traces")
    parser.add_argument("--account", action="store_true", help="say what became of every row of the source")
    parser.add_argument("--out", default="-", help="file to write; - is standard output")
    parser.add_argument("--end-with-input", action="store_true", help="give up when standard input ends")
    given = parser.parse_args(arguments)
    if given.end_with_input:
        threading.Thread(target=_end_with_input, daemon=True).start()
    spec = SuiteSpec(
        name=given.suite,
        device=given.device,
        dtype=given.dtype,
        source=given.source,
        cases_per_op=given.cases_per_op,
        topn=given.topn,
        overhead_dominated=given.overhead_dominated,
        error_inputs=given.error_inputs,
        perf_cases=given.perf_cases,
    )
    try:
        suite = open_suite(spec)
        data = _account(suite) if given.account else encode_index(suite.index())
        if given.out == "-":
            sys.stdout.buffer.write(data)
        else:
            Path(given.out).write_bytes(data)
    except (BackendBenchError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


def _end_with_input() -> None:
    """Whoever wanted the index is gone. Not through `sys.stdin`, whose lock Python wants to have when it ends."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _account(suite: Suite) -> bytes:
    if suite.spec.name != "torchbench":
        raise UsageError(f"suite {suite.spec.name} has no rows to account for; --account is for torchbench")
    from backend_bench.suites.account import account, lines

    return "".join(f"{line}\n" for line in lines(account(suite.spec), suite.index())).encode()


if __name__ == "__main__":
    sys.exit(main())
