"""The same kernels judged by us and by a checkout of BackendBench, in turn, in one run on one machine.

    python benchmarks/beside_backendbench.py --checkout DIR [--kernels 5] [--repetitions 5] [--device cuda] [--dtype bfloat16] [--json FILE]

The checkout is put on the PYTHONPATH of processes of their own; what it imports must be installed (`datasets` and what comes with it,
`anthropic`, `tenacity` and `click` for its command line). Nothing of it is copied or changed.

Time: kernels of relu that nobody has seen, each from source to verdict, three ways: BackendBench in a fresh process (its command line where
that can do it), BackendBench's evaluator called again and again in one process, and our service. Before what is counted each has judged one
kernel, so that files are in memory and Triton's helpers are built. First with the OpInfo cases that each has, correctness only; then with
exactly the same cases, ours given to BackendBench's evaluator as text, the timed ones of the bundled traces among them.

Precision: ATen against itself, where every ratio should be 1, by BackendBench's performance tests with its backend `aten` in a process that
stays, and by submissions of kind `reference`; the same operators and shapes (those of suite smoke).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import precision
import throughput
from backendbench_worker import NOTHING

from backend_bench.executors.local import LocalExecutor
from backend_bench.operator import Operator
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Verdict

WORKER = str(Path(__file__).with_name("backendbench_worker.py"))
RELU = Operator.parse("relu")
ANSWER_S = 300.0
"""BackendBench has no time limit of its own; its suite takes half a minute to build on a busy host."""
REST_S = 1.0
"""Between turns: what one leaves behind, such as spare workers that start, is no burden of the next."""
LINE_BYTES = 1 << 26
"""An answer is one line, and holds the arguments of every test."""

Judge = Callable[[str], Awaitable[dict[str, Any]]]
"""Source to verdict."""


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--checkout", type=Path, required=True, help="folder that holds BackendBench/")
    parser.add_argument("--checkout-commit", help="where the checkout is no repository")
    parser.add_argument("--kernels", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--ops", default="relu,add.Tensor,_softmax,mm,sum.dim_IntList", help="for precision")
    asyncio.run(measure(parser.parse_args()))


async def measure(options: argparse.Namespace) -> None:
    executor = LocalExecutor()
    with tempfile.TemporaryDirectory(prefix="beside-", ignore_cleanup_errors=True) as folder:
        try:
            checkout = Checkout(options.checkout.resolve(), options.device, options.dtype, Path(folder))
            found = usable(checkout)
            limits = cannot(checkout, found)
            for line in limits:
                print(f"note: {line}")
            asked = {
                name: vars(options)[name] for name in ("kernels", "repetitions", "ops", "device", "dtype")
            }
            commit = options.checkout_commit or commit_of(checkout.path)
            results: dict[str, Any] = {
                "what": "beside BackendBench", "options": asked, "cannot": limits,
                "backendbench": {"commit": commit, "sources_sha256": fingerprint(checkout.path), **found},
            }  # fmt: skip
            command = not command_lacks(checkout, found)
            results["times"] = await times(executor, checkout, options.kernels, command=command)
            await common.write(executor, options.json, results)  # lest the rest is cut short
            results["precision"] = await both_precisions(executor, checkout, options)
            await common.write(executor, options.json, results)
        finally:
            await executor.aclose()


# What BackendBench is here, and what it cannot do


@dataclass(frozen=True, slots=True)
class Checkout:
    """BackendBench, and where its processes run."""

    path: Path
    """The folder that holds `BackendBench/`."""
    device: str
    dtype: str
    scratch: Path
    """A folder that goes afterwards."""

    def environment(self, cache: str) -> dict[str, str]:
        """Of a process of its; Triton's cache is kept apart, so that no way finds what another has compiled."""
        paths = [str(self.path), *filter(None, [os.environ.get("PYTHONPATH")])]
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if self.device == "cpu" else {}
        kept = {"TRITON_CACHE_DIR": str(self.scratch / cache), "PYTHONPATH": os.pathsep.join(paths)}
        return {**os.environ, **kept, **hidden}

    def lay_out(self, source: str) -> Path:
        """A directory of operators that holds one kernel, as `DirectoryBackend` reads it."""
        target = Path(tempfile.mkdtemp(dir=self.scratch))
        place = target / RELU.folder
        place.mkdir()
        (place / f"{RELU.folder}_implementation_v1.py").write_text(source)
        return target


def usable(checkout: Checkout) -> dict[str, Any]:
    """What BackendBench finds here. Ends the program where it cannot be run, saying what is missing."""
    if not (checkout.path / "BackendBench" / "eval.py").exists():
        raise SystemExit(f"{checkout.path} is no checkout of BackendBench: it has no BackendBench/eval.py")
    done = subprocess.run(
        [sys.executable, "-P", WORKER, "probe"],
        env=checkout.environment("probe"), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"BackendBench does not start here:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found.get("from") and not Path(found.pop("from")).is_relative_to(checkout.path):
        raise SystemExit(f"another BackendBench comes before {checkout.path} on the path of {sys.executable}")
    if missing := found.pop("missing"):
        raise SystemExit(
            f"BackendBench cannot be imported by {sys.executable}: missing {', '.join(missing)}; install them there, "
            "or put them on PYTHONPATH"
        )
    if checkout.device == "cuda" and not found["gpu"]:
        raise SystemExit(
            "no CUDA device that torch can use here; --device cpu judges PyTorch kernels instead"
        )
    return found


def command_lacks(checkout: Checkout, found: dict[str, Any]) -> str:
    """Why its command line cannot be used; empty where it can."""
    if (checkout.device, checkout.dtype) != ("cuda", "bfloat16"):
        return f"it runs suite opinfo on cuda in bfloat16 alone, not on {checkout.device} in {checkout.dtype}"
    lacking = ", ".join(found["missing_for_command_line"])
    return f"it lacks {lacking}" if lacking else ""


def cannot(checkout: Checkout, found: dict[str, Any]) -> list[str]:
    """Where the two do not do the same."""
    lines = [
        "BackendBench's suite opinfo has no performance tests, and its performance score there is NaN: "
        "the first round is of correctness alone on both sides",
        "times of BackendBench's backend `aten` come from one process that stays, ours from new workers each time",
    ]
    if lacks := command_lacks(checkout, found):
        lines.append(
            f"BackendBench's command line is not measured: {lacks}; a fresh process calls its evaluation function"
        )
    if checkout.device == "cpu":
        lines.append("on a CPU there is nothing for Triton to run on: the kernels are of PyTorch on both sides, "
                     "and BackendBench times with its `cpu_bench`")  # fmt: skip
    return lines


def commit_of(path: Path) -> str:
    """`unknown` where the checkout is no repository: its sources are told by `fingerprint` all the same."""
    if not (path / ".git").exists():
        return "unknown"
    done = subprocess.run(
        ["git", "-C", str(path), "describe", "--always", "--dirty", "--abbrev=40"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout.strip() or "unknown"


def fingerprint(path: Path) -> str:
    """Of names and contents of the package's Python files."""
    digest = hashlib.sha256()
    for file in sorted((path / "BackendBench").rglob("*.py")):
        digest.update(f"{file.relative_to(path)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


# BackendBench's processes


class Evaluator:
    """One process of BackendBench. What it says instead of an answer is an answer too: `fault`."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process, self._log = process, log

    @classmethod
    @contextlib.asynccontextmanager
    async def started(cls, checkout: Checkout, cache: str) -> AsyncIterator[Evaluator]:
        handle, name = tempfile.mkstemp(dir=checkout.scratch, suffix=".log")
        with os.fdopen(handle, "wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", WORKER, checkout.device, checkout.dtype,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, limit=LINE_BYTES,
                cwd=checkout.scratch, env=checkout.environment(cache),
            )  # fmt: skip
        try:
            yield cls(process, Path(name))
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            await self._process.stdin.drain()
            line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_S)
        except TimeoutError:
            return {"fault": f"no answer in {ANSWER_S:g} s"}
        except ConnectionError:
            line = b""
        if not line:
            status = await self._process.wait()
            return {
                "fault": f"its process ended with {status}: {self._log.read_text(errors='replace')[-500:]}"
            }
        answer: dict[str, Any] = json.loads(line)
        return answer


async def by_command_line(checkout: Checkout, source: str) -> dict[str, Any]:
    """Its verdict as its command line writes it down, on its own OpInfo suite."""
    folder = checkout.lay_out(source)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "BackendBench.scripts.main", "--suite", "opinfo", "--backend", "directory",
        "--ops", str(RELU), "--ops-directory", str(folder), "--log-level", "ERROR",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder, env=checkout.environment("cold"),
    )  # fmt: skip
    try:
        said, _ = await asyncio.wait_for(process.communicate(), ANSWER_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return {"fault": f"no answer in {ANSWER_S:g} s"}
    return read_command(said.decode(errors="replace"), folder / "full_results.json")


def read_command(said: str, written: Path) -> dict[str, Any]:
    """The verdict in what its command line printed and wrote."""
    score = re.search(r"^performance score.*: (\S+)$", said, re.MULTILINE)
    if score is None or not written.exists():
        return {"fault": f"its command line ended early: {said[-500:]}"}
    rows = json.loads(written.read_text())
    correctness = [row for row in rows if row["test_type"] == "correctness"]
    timed = [row for row in rows if row["test_type"] == "performance"]
    faults = [row["error_msg"] for row in correctness if not row["is_correct"]]
    return {
        "passed": sum(row["is_correct"] for row in correctness),
        "tests": len(correctness),
        "timed": sum(row["successfully_ran"] for row in timed),
        "performance_tests": len(timed),
        "performance_score": None if score[1] == "nan" else float(score[1]),
        "fault": faults[0][-500:] if faults else "" if correctness else NOTHING,
    }


# Times from source to verdict


async def times(
    executor: LocalExecutor, checkout: Checkout, count: int, *, command: bool
) -> list[dict[str, Any]]:  # fmt: skip
    """Both rounds; each of the ways takes its turn at every kernel."""
    spec = SuiteSpec(name="opinfo", device=checkout.device, dtype=checkout.dtype, perf_cases="traces")  # type: ignore[arg-type]  # one of its choices
    entry = (await executor.index(spec)).entries[str(RELU)]
    own: dict[str, Any] = {"op": str(RELU), "correctness": None, "performance": []}
    same = {**own, "correctness": list(entry.correctness), "performance": list(entry.performance)}
    async with Evaluator.started(checkout, "warm") as staying:

        def warm(asked: dict[str, Any]) -> Judge:
            return lambda source: staying.ask({**asked, "folder": str(checkout.lay_out(source))})

        def cold(asked: dict[str, Any]) -> Judge:
            async def judge(source: str) -> dict[str, Any]:
                async with Evaluator.started(checkout, "cold") as fresh:
                    return await fresh.ask({**asked, "folder": str(checkout.lay_out(source))})

            return judge

        def ours(only: Any) -> Judge:
            async def judge(source: str) -> dict[str, Any]:
                asked = Submission(op=RELU, source=source, suite=spec, only=only)
                return in_its_words(await executor.submit(asked))

            return judge

        commanded: Judge = lambda source: by_command_line(checkout, source)  # noqa: E731  # one of three alike
        first = {"cold": commanded if command else cold(own), "warm": warm(own), "ours": ours("correctness")}
        second = {"cold": cold(same), "warm": warm(same), "ours": ours(None)}
        return [
            await in_turn("the OpInfo cases of each, correctness only", first, count, checkout.device),
            await in_turn("the same OpInfo and timed cases", second, count, checkout.device),
        ]


async def in_turn(title: str, judges: dict[str, Judge], count: int, device: str) -> dict[str, Any]:
    """Every kernel judged each way, another way first each time; one kernel before the count begins."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in judges}
    names = list(judges)
    for number, source in enumerate(throughput.kernels(count + 1, device)):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            await asyncio.sleep(REST_S)
            begun = time.monotonic()
            verdict = await judges[name](source)
            if number:
                found[name].append({"seconds": time.monotonic() - begun, **verdict})
    results = {"title": title, "ways": {name: summary(runs) for name, runs in found.items()}}
    show(results)
    return results


def in_its_words(verdict: Verdict) -> dict[str, Any]:
    """A verdict of ours with the names that BackendBench's have here."""
    return {
        "status": verdict.status,
        "stages_s": dict(verdict.stages_s),
        "passed": verdict.correctness.passed,
        "tests": verdict.correctness.total,
        "timed": verdict.performance.passed,
        "performance_tests": verdict.performance.total,
        "performance_score": verdict.performance_score,
        "fault": verdict.message,
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One way of judging, over all kernels; `right` counts the verdicts that say so of kernels that are."""
    seconds = [run["seconds"] for run in runs]
    return {
        "median_s": statistics.median(seconds),
        "least_s": min(seconds),
        "most_s": max(seconds),
        "kernels": len(runs),
        "right": sum(right(run) for run in runs),
        "stages_median_s": common.stages_median_s([run.get("stages_s", {}) for run in runs]),
        "runs": list(runs),
    }  # fmt: skip


def right(run: dict[str, Any]) -> bool:
    """Whether all that was asked has passed: no test at all is no pass."""
    counts = [run.get(name) for name in ("passed", "tests", "timed", "performance_tests")]
    return bool(counts[1]) and counts[0] == counts[1] and counts[2] == counts[3]


def show(results: dict[str, Any]) -> None:
    print(f"{results['title']}:")
    for name, way in results["ways"].items():
        last = way["runs"][-1]
        tests = f"{last.get('tests', 0)} tests, {last.get('performance_tests', 0)} timed"
        print(f"  {name:<6}{way['median_s']:9.3f} s at the median ({way['least_s']:.3f} to {way['most_s']:.3f}), {tests}; "
              f"{way['right']} of {way['kernels']} called right")  # fmt: skip
        stages = sorted(way["stages_median_s"].items(), key=lambda item: -item[1])
        if stages:
            print(f"          {', '.join(f'{stage} {seconds:.3f}' for stage, seconds in stages)}")
        if faults := [run["fault"] for run in way["runs"] if run.get("fault")]:
            print(f"          {faults[0]}")


# Precision: ATen against itself


async def both_precisions(
    executor: LocalExecutor, checkout: Checkout, options: argparse.Namespace
) -> dict[str, Any]:  # fmt: skip
    """Ratios of both on the same operators and shapes, a repetition of each in turn."""
    spec = SuiteSpec(name="smoke", device=options.device, dtype=options.dtype)
    entries = (await executor.index(spec)).entries
    names = [str(Operator.parse(name)) for name in options.ops.split(",")]
    if unknown := [name for name in names if name not in entries]:
        raise SystemExit(f"not in suite smoke: {', '.join(unknown)}; there are {', '.join(entries)}")
    asked = {"aten": {name: list(entries[name].performance) for name in names}}
    submissions = [
        Submission(op=Operator.parse(name), suite=spec, kind="reference", only="performance")
        for name in names
    ]
    theirs: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    faults = []
    async with Evaluator.started(checkout, "warm") as staying:
        for number in range(options.repetitions + 1):
            await asyncio.sleep(REST_S)
            answer = await staying.ask(asked)
            found = await common.stream(executor, submissions, in_flight=1)
            if number == 0:  # neither has run anything yet
                continue
            theirs += answer.get("timed", [])
            ours += [
                {"op": verdict.op, **timed} for verdict, _, _ in found for timed in reference_cases(verdict)
            ]
            faults += [answer["fault"]] if "fault" in answer else []
    results = {
        "repetitions": options.repetitions,
        "backendbench": {**bands(theirs), "cases": theirs, "faults": faults},
        "ours": {**bands(ours), "cases": ours},
    }
    show_precision(results)
    return results


def reference_cases(verdict: Verdict) -> list[dict[str, Any]]:
    return [
        {"args": case.args, "reference_us": case.reference_us, "speedup": case.speedup, "message": case.message,
         "noise": case.noise}
        for case in verdict.cases
    ]  # fmt: skip


def bands(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The spread of the ratios, of all and on either side of 10 us; how many cases gave none."""
    timed = [case for case in cases if case["speedup"] is not None]
    long = [case for case in timed if case["reference_us"] >= precision.SHORT_US]
    short = [case for case in timed if case["reference_us"] < precision.SHORT_US]
    parts = {"all": timed, f"{precision.SHORT_US:g} us and more": long, "below": short}
    spreads = {
        title: precision.spread([case["speedup"] for case in some]) for title, some in parts.items() if some
    }
    return {"untimed": len(cases) - len(timed), "spread": spreads}


def show_precision(results: dict[str, Any]) -> None:
    print(f"ATen against itself, {results['repetitions']} repetitions:")
    print(f"  {'':>34}{precision.HEADINGS}")
    for name in ("backendbench", "ours"):
        for title, spread in results[name]["spread"].items():
            print(f"  {name:>14}{title:>20}{precision.columns(spread)}")
        if results[name]["untimed"]:
            print(f"  {name:>14}: {results[name]['untimed']} cases gave no time")
        for fault in results[name].get("faults", [])[:1]:
            print(f"  {name:>14}: {fault}")


if __name__ == "__main__":
    main()
