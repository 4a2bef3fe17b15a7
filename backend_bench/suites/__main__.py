"""Write a suite's index as JSON: `python -m backend_bench.suites --suite opinfo --device cpu --out FILE`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from backend_bench.errors import BackendBenchError
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite
from backend_bench.suites.index_cache import encode_index


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 2 with a message where the request makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m backend_bench.suites", description=__doc__)
    parser.add_argument("--suite", default="smoke", help="smoke or opinfo")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", help="floating dtype to draw in; the suite's own by default")
    parser.add_argument("--source", help="where the suite takes its data from")
    parser.add_argument("--out", default="-", help="file to write; - is standard output")
    given = parser.parse_args(arguments)
    spec = SuiteSpec(name=given.suite, device=given.device, dtype=given.dtype, source=given.source)
    try:
        data = encode_index(open_suite(spec).index())
        if given.out == "-":
            sys.stdout.buffer.write(data)
        else:
            Path(given.out).write_bytes(data)
    except (BackendBenchError, OSError) as problem:
        print(problem, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
