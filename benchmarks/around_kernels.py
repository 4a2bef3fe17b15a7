"""What blocks take around their kernels on a GPU, on both sides: ATen against itself, with the samples that a verdict does not keep.

    python benchmarks/around_kernels.py [--json FILE]

One process judges, without a service: the operators of `OPS` one after the other (`alone`), five at once (`five`), and while
another process makes and kills workers (`births`, see births.py). The clock's slack and bounds in `judge/figures.py` come from this.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import common
import torch
from precision import births

from backend_bench.judge import cores
from backend_bench.judge.devices import devices_of, machine_facts
from backend_bench.judge.figures import Times
from backend_bench.judge.judge import Judge
from backend_bench.judge.pairs import State
from backend_bench.judge.performance import Timing
from backend_bench.judge.zygotes import Zygotes
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import CaseResult

OPS = [
    "rsub.Scalar",
    "arange.start",
    "ones_like",
    "minimum",
    "hardswish_backward",
    "ne.Scalar",
    "eq.Tensor",
    "_scaled_dot_product_efficient_attention",
    "add.Tensor",
    "silu",
    "relu_",
    "baddbmm",
    "argmax",
    "mm",
    "flip",
    "embedding_dense_backward",
    "scatter.src",
    "native_batch_norm",
    "div.Tensor",
    "max_pool2d_with_indices",
]
ALONE, BESIDE_BIRTHS = OPS[:8], OPS[:8]
BIRTHS_S = 6.0
"""Until another process makes workers."""

_run = threading.local()
_found: list[dict[str, Any]] = []


def main() -> None:
    options = common.parser(__doc__).parse_args()
    device, share = devices_of(options.device)[0], cores.settle()
    torch.set_num_threads(1)
    zygotes = Zygotes()
    keep_samples()
    with Judge(device, zygotes, share) as judge:

        def time_it(run: str, op: str, seed: int) -> None:
            _run.name = f"{run}:{op}"
            suite = SuiteSpec(name="torchbench", device=device.type)
            judge.judge(
                Submission(
                    op=Operator.parse(op), kind="reference", suite=suite, only="performance", seed=seed
                )
            )

        for op in ALONE:
            time_it("alone", op, 2)
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda op: time_it("five", op, 3), OPS))
        with births(device.type, sorted(share.timing)):
            time.sleep(BIRTHS_S)
            for op in BESIDE_BIRTHS:
                time_it("births", op, 4)
    zygotes.close()
    for case in _found:
        sides = (quarters(case["sides"][name].overheads_us) for name in ("twin", "reference", "measured"))
        print(f"{case['run']:40}{case['calls']:3} calls, {case['reference_us']:7.1f} us:", *sides)
    if options.json:
        cases = [
            case | {"sides": {name: samples(side) for name, side in case["sides"].items()}} for case in _found
        ]
        document = {
            "commit": common.commit(),
            "machine": machine_facts(),
            "what": "around kernels",
            "cases": cases,
        }
        Path(options.json).write_text(json.dumps(document) + "\n")


def keep_samples() -> None:
    """Note what a case was read from whenever one is."""
    result = Timing._result

    def noted(self: Timing, state: State) -> CaseResult:
        read, before = result(self, state), self._before[state.case]
        _found.append(
            {
                "run": _run.name,
                "case": state.case,
                "args": read.args,
                "calls": state.reference.calls,
                "reference_us": read.reference_us,
                "speedup": read.speedup,
                "spent_s": round(state.spent_s, 4),
                "looks": 1 + state.is_doubted,
                "sides": {
                    "clean": before.clean,
                    "twin": before.twin,
                    "reference": state.reference,
                    "measured": state.measured,
                },
            }
        )
        return read

    Timing._result = noted  # type: ignore[method-assign]


def samples(side: Times) -> dict[str, list[float]]:
    """What a side's blocks took, in the order in which they ran."""
    return {name: [round(us, 3) for us in getattr(side, name)] for name in ("claimed_us", "wall_us")}


def quarters(values: list[float]) -> str:
    ordered, number = sorted(values), (len(values) - 1) // 4
    return f"{ordered[number]:7.0f}..{ordered[-1 - number]:.0f}"


if __name__ == "__main__":
    main()
