"""docs/records.md names every field of a record, and no other."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from backend_bench.grading.rewards import RULES
from backend_bench.records import Ending
from backend_bench.verdict import CaseResult, CaseStatus, Status, Verdict

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()


def documented(head: str) -> set[str]:
    """First column of the table with this head."""
    table = PAGE.split(f"| {head} | ", 1)[1].split("\n\n", 1)[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


@pytest.mark.parametrize(("head", "noun"), [("verdict", Verdict), ("case", CaseResult)])
def test_every_field_is_documented(head: str, noun: type) -> None:
    assert documented(head) == {field.name for field in fields(noun)}


def test_lines_and_rules_are_documented() -> None:
    lines = PAGE.split("## A line of rollouts.jsonl")[1].split("## A verdict")[0]
    assert set(re.findall(r"`(\w+)`", lines)) == {field.name for field in fields(Ending)}
    assert documented("rule") == set(RULES)


@pytest.mark.parametrize("status", [*Status, *CaseStatus])
def test_every_status_is_documented(status: str) -> None:
    assert f"`{status}`" in PAGE
