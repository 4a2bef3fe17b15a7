"""Results as plots: how precise a speed-up is, and where the time of a verdict goes.

    pip install 'backend-bench[bench]'
    python benchmarks/plots.py FILE… --out DIR

Which plot a file belongs to is read from it. DIR gets, of what there is:

    noise.svg    ATen against itself over the kernel's time: `precision.py --json`, quiet and with `--load`, or `selfcheck --json`
    beside.svg   the same, from `beside_backendbench.py --json`
    budget.svg   the stages of a verdict: `throughput.py --json`, a bar for each file in the order given

The same files give the same bytes with the same matplotlib. Grey and colours are of middle lightness and there is no background, so that a
page may be light or dark; series differ by shape too, not by colour alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precision import SHORT_US

INK = "#7c7c7c"
"""Of text and axes: about 4 to 1 against white, and against the dark of common pages."""
HUES = ("#3b7fc4", "#d9701a", "#159570", "#b8579a", "#998416", "#1f9fb8", "#c2455a")
"""After Okabe and Ito, and Tol, moved to where both white and black are far enough."""
SHAPES = "osD^v"
GOALS = ((SHORT_US, 3.0), (float("inf"), 1.0))
"""Up to which time of the kernel in microseconds how many per cent are aimed at."""
FURTHEST_PERCENT = 10.0
"""What lies further out is drawn at the edge, and counted."""
SMALL = 0.02
"""Stages that take less of every bar than this are shown as one."""
STAGES = (
    "fork",
    "load",
    "draw",
    "oracle",
    "first_calls",
    "run",
    "check",
    "device",
    "timing",
    "listen",
    "other",
)
"""In the order in which they happen; waiting in the queue is no work and is written beside the bar."""


@dataclass(frozen=True, slots=True)
class Point:
    """One operator on one shape, over all repetitions."""

    time_us: float
    """Median time of the reference."""
    percents: tuple[float, ...]
    """How far each ratio is from 1, ascending."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The time budget of one run."""

    title: str
    stages_s: Mapping[str, float]
    """Medians, the queue left out."""
    queue_s: float
    median_s: float
    """From submission to verdict; not the sum, each stage has its own median."""


Series = dict[str, list[dict[str, Any]]]
"""Timed cases by what a legend calls them."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    read = [(path, document(path)) for path in options.files]
    options.out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures(read):
        path = options.out / name
        figure.savefig(path, transparent=True, metadata={"Date": None})
        print(path)


# Reading


def document(path: Path) -> dict[str, Any]:
    """What a file holds. Ends the program with its name where that is nothing to be drawn."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SystemExit(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict) or kind(found) is None:
        raise SystemExit(
            f"{path} is none of the results that are drawn: of precision.py or selfcheck (ATen against itself, timed), "
            "beside_backendbench.py or throughput.py"
        )
    return found


def kind(found: Mapping[str, Any]) -> str | None:
    """The plot that a document belongs to. Verdicts on kernels are none: their ratios should not be 1."""
    if "stages_median_s" in found:
        return "budget"
    if found.get("what") == "beside BackendBench":
        return "beside" if "precision" in found else None  # a run that was cut short
    verdicts = found.get("verdicts")
    if not isinstance(verdicts, list) or not all(isinstance(verdict, dict) for verdict in verdicts):
        return None
    itself = found.get("what") == "ATen against itself" or (
        bool(verdicts) and all(verdict.get("language") == "aten" for verdict in verdicts)
    )
    return "noise" if itself and timed(found) else None


def timed(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Cases with a ratio, the operator among their names."""
    return [
        {"op": verdict["op"], **case}
        for verdict in found["verdicts"]
        for case in verdict["cases"]
        if case.get("speedup") is not None
    ]


def noise_series(documents: Iterable[Mapping[str, Any]]) -> Series:
    """Quiet and under load apart; dtypes too where there are several."""
    series: Series = {}
    documents = list(documents)
    dtypes = {found.get("dtype") for found in documents}
    for found in documents:
        name = "under load" if found.get("load") else "quiet"
        if len(dtypes) > 1:
            name += f", {found.get('dtype')}"
        series.setdefault(name, []).extend(timed(found))
    return series


def beside_series(documents: Iterable[Mapping[str, Any]]) -> Series:
    series: Series = {}
    for found in documents:
        for name, title in (("backendbench", "BackendBench"), ("ours", "backend-bench")):
            cases = found["precision"][name]["cases"]
            series.setdefault(title, []).extend(case for case in cases if case["speedup"] is not None)
    return series


def points(cases: Iterable[Mapping[str, Any]]) -> list[Point]:
    """Repetitions of an operator on a shape together, by their time."""
    together: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for case in cases:
        together.setdefault((case["op"], case["args"]), []).append(case)
    found = [
        Point(
            statistics.median(case["reference_us"] for case in some),
            tuple(sorted(100 * (case["speedup"] - 1) for case in some)),
        )
        for some in together.values()
    ]
    return sorted(found, key=lambda point: (point.time_us, point.percents))


def in_goal(some: Iterable[Point]) -> float:
    """The share of ratios within what is aimed at for their time."""
    within = [
        abs(percent) <= next(goal for until, goal in GOALS if point.time_us < until)
        for point in some
        for percent in point.percents
    ]
    return statistics.fmean(within)


def bar(found: Mapping[str, Any]) -> Bar:
    options, stages = found["options"], dict(found["stages_median_s"])
    queue_s = stages.pop("queue", 0.0)
    what = "correctness and times" if options["with_performance"] else "correctness"
    how = "one at a time" if found["what"] == "latency" else f"{options['in_flight']} in flight"
    title = f"{what}, {how}\n{options['suite']}, {options['dtype']}, {found['kernels']} kernels"
    return Bar(title, stages, queue_s, found["median_s"])


def grouped(bars: Sequence[Bar]) -> dict[str, list[float]]:
    """Seconds of each stage in each bar, in order; those that are small everywhere as one, last."""
    totals = [sum(bar.stages_s.values()) for bar in bars]
    names = sorted(
        {name for bar in bars for name in bar.stages_s},
        key=lambda name: (STAGES.index(name) if name in STAGES else len(STAGES), name),
    )
    shown: dict[str, list[float]] = {}
    rest = [0.0] * len(bars)
    kept = sorted(names, key=lambda name: -max(bar.stages_s.get(name, 0.0) / total for bar, total in zip(bars, totals, strict=True)))[: len(HUES)]  # fmt: skip
    for name in names:
        seconds = [bar.stages_s.get(name, 0.0) for bar in bars]
        small = all(one < SMALL * total for one, total in zip(seconds, totals, strict=True))
        if small or name not in kept or name == "other":
            rest = [one + more for one, more in zip(rest, seconds, strict=True)]
        else:
            shown[name] = seconds
    return {**shown, "other": rest}


def provenance(documents: Iterable[Mapping[str, Any]]) -> str:
    """On what it was measured, and at which commit."""
    lines: dict[str, None] = {}
    for found in documents:
        machine = found["machine"]
        on = [gpu["name"] for gpu in machine.get("gpus", [])] or [machine["cpu"]]
        short, _, dirty = found["commit"].partition("-")
        commit = short[:12] + (f"-{dirty}" if dirty else "")
        lines[f"{', '.join(on)}; torch {machine['torch']}; commit {commit}"] = None
    return "\n".join(lines)


# Drawing


def figures(read: Sequence[tuple[Path, dict[str, Any]]]) -> Iterable[tuple[str, Any]]:
    """Names and figures of the plots that the files allow."""
    of_kind = {name: [found for _, found in read if kind(found) == name] for name in ("noise", "beside", "budget")}  # fmt: skip
    style()
    if some := of_kind["noise"]:
        yield "noise.svg", draw_ratios(noise_series(some), provenance(some))
    if some := of_kind["beside"]:
        yield "beside.svg", draw_ratios(beside_series(some), provenance(some))
    if some := of_kind["budget"]:
        yield "budget.svg", draw_budget([bar(found) for found in some], provenance(some))


def style() -> None:
    try:
        import matplotlib
    except ImportError as error:
        raise SystemExit("matplotlib is missing: pip install 'backend-bench[bench]'") from error
    matplotlib.use("svg")
    names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    matplotlib.rcParams.update({
        **dict.fromkeys(names, INK), "svg.hashsalt": "backend-bench", "svg.fonttype": "path", "font.size": 10,
        "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    })  # fmt: skip


def draw_ratios(series: Series, measured: str) -> Any:
    """A mark at the median of each operator and shape, a line from its least ratio to its most, the goal as a band."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    found = {name: points(cases) for name, cases in series.items()}
    every = [point for some in found.values() for point in some]
    furthest = max(abs(percent) for point in every for percent in point.percents)
    edge = min(max(1.15 * furthest, 4.0), FURTHEST_PERCENT)
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    least, most = min(point.time_us for point in every) / 1.3, max(point.time_us for point in every) * 1.3
    begun = least
    for until, percent in GOALS:
        end = min(until, most)
        if begun < end:
            axes.fill_between([begun, end], -percent, percent, color=INK, alpha=0.18, linewidth=0,
                              label="goal: 1 % from 10 µs, 3 % below" if begun == least else None)  # fmt: skip
            begun = end
    axes.axhline(0, color=INK, linewidth=0.8)
    for number, (name, some) in enumerate(found.items()):
        count = sum(len(point.percents) for point in some)
        legend = f"{name}: {count} ratios, {100 * in_goal(some):.0f} % of them within the goal"
        _marks(
            axes,
            some,
            HUES[number % len(HUES)],
            SHAPES[number % len(SHAPES)],
            1 + 0.02 * number,
            edge,
            legend,
        )
    beyond = sum(abs(percent) > edge for point in every for percent in point.percents)
    axes.set_xlim(least, most)
    axes.set_ylim(-edge, edge)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:+g} %".replace("-", "\u2212") if value else "0")
    )
    axes.set_xlabel("time of the kernel in µs")
    axes.set_ylabel("ratio of ATen to ATen, away from 1")
    note = f"; {beyond} ratios lie beyond ±{edge:g} % (at the edge)" if beyond else ""
    figure.legend(loc="outside upper left", fontsize=9)
    _caption(
        figure, f"Mark: median of an operator on a shape. Line: its least to its most{note}.\n{measured}"
    )
    return figure


def _marks(
    axes: Any, some: Sequence[Point], hue: str, shape: str, aside: float, edge: float, legend: str
) -> None:  # fmt: skip
    """`aside` sets a series apart from another at the same times."""
    at = [point.time_us * aside for point in some]

    def clipped(percent: float) -> float:
        return max(-edge, min(edge, percent))

    axes.vlines(at, [clipped(point.percents[0]) for point in some], [clipped(point.percents[-1]) for point in some],
                color=hue, linewidth=1.4, alpha=0.7)  # fmt: skip
    medians = [clipped(statistics.median(point.percents)) for point in some]
    axes.plot(at, medians, shape, color=hue, markersize=5, label=legend, clip_on=False)


def draw_budget(bars: Sequence[Bar], measured: str) -> Any:
    """A bar for each run, its stages in the order in which they happen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.6, 1.5 + 0.85 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    places = list(range(len(bars)))
    ends = [0.0] * len(bars)
    longest = max(sum(bar.stages_s.values()) for bar in bars)
    for number, (name, seconds) in enumerate(grouped(bars).items()):
        hue = INK if name == "other" else HUES[number % len(HUES)]
        drawn = axes.barh(places, seconds, left=ends, height=0.55, color=hue, label=name.replace("_", " "))
        for patch, one in zip(drawn, seconds, strict=True):
            if one > 0.07 * longest:  # wide enough for its number
                axes.text(patch.get_x() + one / 2, patch.get_y() + patch.get_height() / 2, f"{one:.2f}",
                          ha="center", va="center", color="white", fontsize=9)  # fmt: skip
        ends = [end + one for end, one in zip(ends, seconds, strict=True)]
    for place, end, bar in zip(places, ends, bars, strict=True):
        queued = f"\n+ {bar.queue_s:.1f} s in the queue" if bar.queue_s >= 0.005 * bar.median_s else ""
        axes.text(end + 0.01 * longest, place, f"{end:.2f} s{queued}", va="center", fontsize=9)
    axes.set_yticks(places, [bar.title for bar in bars])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.22 * longest)
    axes.set_xlabel("seconds a verdict, median of each stage")
    figure.legend(
        loc="outside upper left", ncols=len(HUES) + 1, fontsize=9, handlelength=1, columnspacing=1.2
    )
    _caption(figure, measured)
    return figure


def _caption(figure: Any, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", fontsize=7.5, color=INK)


if __name__ == "__main__":
    main()
