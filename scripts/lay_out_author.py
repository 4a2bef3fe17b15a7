"""Lay a built-in author's kernels for a suite out as a folder that `backend-bench grade` takes.

python scripts/lay_out_author.py NAME TURN DIR [--suite smoke] [--device cpu] [--dtype float32] [--language triton] [--ops …]

The author is asked with the prompt of each operator and all its cases; who has no kernel says why on standard error.
"""

import argparse
import sys
from pathlib import Path

from backend_bench import authors
from backend_bench.dialogue.prompt import Brief, prompt
from backend_bench.dialogue.reply import read_reply
from backend_bench.executors.local import read_index
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("turn", type=int)
    parser.add_argument("target", type=Path)
    for option, default in (
        ("suite", "smoke"),
        ("device", "cpu"),
        ("dtype", None),
        ("language", "triton"),
        ("ops", ""),
    ):
        parser.add_argument(f"--{option}", default=default)
    asked = parser.parse_args()
    author = authors.named(asked.name)
    index = read_index("local", SuiteSpec(name=asked.suite, device=asked.device, dtype=asked.dtype))
    wanted = {str(Operator.parse(op)) for op in asked.ops.split(",") if op} or set(index.entries)
    for entry in index.entries.values():
        if entry.op not in wanted or not (entry.correctness or entry.performance):
            continue
        brief = Brief(entry=entry, language=asked.language, device=asked.device, examples=10_000)
        first = {"role": "user", "content": prompt(brief, budget=10**7)}
        later = [{"role": "assistant", "content": "…"}, {"role": "user", "content": "…"}] * (asked.turn - 1)
        op = Operator.parse(entry.op)
        said = author.reply([first, *later])
        code = read_reply(said, op.function).code
        if code is None:
            print(said, file=sys.stderr)
            continue
        place = asked.target / op.folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{op.folder}_implementation_v{asked.turn}.py").write_text(code)


if __name__ == "__main__":
    main()
