"""Published evaluations say why a kernel was refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from backend_bench.report.runs import read

FLAG_GEMS = Path(__file__).parents[1] / "evals" / "flag-gems"


@pytest.mark.parametrize(("suite", "column", "right"), [("opinfo", 1, 138), ("torchbench", 2, 78)])
def test_each_refusal_of_a_real_kernel_is_explained(suite: str, column: int, right: int) -> None:
    verdicts = json.loads((FLAG_GEMS / f"{suite}.json").read_text())["verdicts"]
    rows = [
        line.split("|")[1:-1] for line in (FLAG_GEMS / "README.md").read_text().splitlines() if "|" in line
    ]
    causes = rows[[row[0].strip() for row in rows].index("cause") + 2 :]
    explained = {name for row in causes for name in re.findall(r"`([\w.]+)`", row[column])}
    refused = {verdict["op"].removesuffix(".default") for verdict in verdicts if verdict["status"] != "ok"}
    assert explained == refused
    assert len(verdicts) - len(refused) == right


@pytest.mark.parametrize("suite", ["opinfo", "torchbench"])
def test_records_can_be_read(suite: str) -> None:
    assert len(read(FLAG_GEMS / f"{suite}.json").rollouts) > 70
