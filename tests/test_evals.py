"""Published evaluations say why a kernel was refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from backend_bench.report.runs import read

EVALS = Path(__file__).parents[1] / "evals"


@pytest.mark.parametrize(
    ("folder", "suite", "column", "right"),
    [("flag-gems", "opinfo", 1, 138), ("flag-gems", "torchbench", 2, 78), ("inductor", "torchbench", 1, 74)],
)
def test_each_refusal_of_a_real_kernel_is_explained(folder: str, suite: str, column: int, right: int) -> None:
    verdicts = json.loads((EVALS / folder / f"{suite}.json").read_text())["verdicts"]
    rows = [
        line.split("|")[1:-1]
        for line in (EVALS / folder / "README.md").read_text().splitlines()
        if "|" in line
    ]
    causes = rows[[row[0].strip() for row in rows].index("cause") + 2 :]
    explained = {name for row in causes for name in re.findall(r"`([\w.]+)`", row[column])}
    refused = {verdict["op"].removesuffix(".default") for verdict in verdicts if verdict["status"] != "ok"}
    assert explained == refused
    assert len(verdicts) - len(refused) == right


@pytest.mark.parametrize("file", ["flag-gems/opinfo", "flag-gems/torchbench", "inductor/torchbench"])
def test_records_can_be_read(file: str) -> None:
    assert len(read(EVALS / f"{file}.json").rollouts) > 70
