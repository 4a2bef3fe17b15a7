"""How precise a speed-up is: the table of the ratios in `selfcheck`'s JSON, where every one should be 1.

python benchmarks/precision.py FILE…
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

SHORT_US = 10.0


def main() -> None:
    cases = [case for name in sys.argv[1:] for case in timed(Path(name))]
    if not cases:
        raise SystemExit("no timed case in these files; selfcheck writes them with --json FILE")
    print(f"{'':>24}{'points':>8}{'in 1 %':>9}{'in 3 %':>9}{'mean':>9}{'least':>8}{'most':>8}{'noise':>8}")
    long = [case for case in cases if case["reference_us"] >= SHORT_US]
    short = [case for case in cases if case["reference_us"] < SHORT_US]
    for title, some in ((f"{SHORT_US:g} us and more", long), ("below", short)):
        if some:
            print(row(title, some))


def timed(path: Path) -> list[dict[str, Any]]:
    verdicts = json.loads(path.read_text())["verdicts"]
    return [case for verdict in verdicts for case in verdict["cases"] if case.get("speedup") is not None]


def row(title: str, cases: list[dict[str, Any]]) -> str:
    ratios = [case["speedup"] for case in cases]
    within = [sum(abs(ratio - 1) <= bound for ratio in ratios) / len(ratios) for bound in (0.01, 0.03)]
    noise = statistics.median(case["noise"] or 0 for case in cases)
    return (
        f"{title:>24}{len(ratios):>8}{within[0]:>9.1%}{within[1]:>9.1%}{statistics.fmean(ratios):>9.4f}"
        f"{min(ratios):>8.3f}{max(ratios):>8.3f}{noise:>8.2%}"
    )


if __name__ == "__main__":
    main()
