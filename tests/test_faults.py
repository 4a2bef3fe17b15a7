"""docs/faults.md: every row names a test that exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "faults.md").read_text()
ROWS = [
    line.strip("| \n").rpartition("|")
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.endswith(("| test |", "---|"))
]


def test_there_are_rows() -> None:
    assert len(ROWS) > 30


@pytest.mark.parametrize(("row", "test"), [(head, test.strip()) for head, _, test in ROWS])
def test_a_row_names_a_test_that_exists(row: str, test: str) -> None:
    named = re.fullmatch(r"`([\w/.]+?)(?:::(\w+))?`", test)
    assert named, row
    path = ROOT / named[1]
    assert path.exists(), row
    if named[2]:
        tree = ast.parse(path.read_text())
        assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, row
    elif path.is_dir():
        assert (path / "expect.toml").exists(), row
