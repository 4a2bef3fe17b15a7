"""A PyTorch kernel that hands on what the operator under test computes is seen; one that works is not, and gets the same values.

The ways are in `watching.py`, all of them tried in one process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from . import watching

PROGRAM = Path(watching.__file__)


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("way", [*watching.RELU, *watching.SUM, *watching.ROUND, *watching.RECIPROCAL])
def test_what_is_handed_on_is_seen_and_nothing_else(answers: dict[str, Any], way: str) -> None:
    _, expected = (watching.RELU | watching.SUM | watching.ROUND | watching.RECIPROCAL)[way]
    assert answers["seen"][way] is expected


@pytest.mark.parametrize("way", watching.SCALED)
def test_a_watched_operator_takes_numbers_as_before(answers: dict[str, Any], way: str) -> None:
    assert answers["after"][way] == answers["before"][way]
