"""A kernel of a kernel language has the operators that it may call, and by no known way another one.

The ways are in `dodges.py`, all of them tried in one process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backend_bench.own_work import ALLOWED, is_foreign

from . import dodges

PROGRAM = Path(dodges.__file__)


@pytest.fixture(scope="module")
def outcome() -> dict[str, Any]:
    done = subprocess.run([sys.executable, str(PROGRAM)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.slow
@pytest.mark.parametrize("way", dodges.FAIR)
def test_what_is_permitted_works(outcome: dict[str, Any], way: str) -> None:
    assert outcome["fair"][way] == ""


def test_what_is_permitted_is_noted_by_nobody(outcome: dict[str, Any]) -> None:
    assert outcome["seen fair"] == []


@pytest.mark.parametrize("way", dodges.DODGES)
def test_what_is_withheld_cannot_be_had(outcome: dict[str, Any], way: str) -> None:
    said = outcome["dodged"][way]
    assert "is withheld" in said or "has no attribute '_jit_to_static_module'" in said


def test_what_was_tried_is_noted(outcome: dict[str, Any]) -> None:
    assert {"relu.default", "relu_.default", "relu.out", "clamp_min.default"} <= set(outcome["seen"])
    assert all(is_foreign(op, "relu.default") for op in outcome["seen"])


@pytest.mark.parametrize("op", ["relu.default", "relu_.default", "relu.out", "add.Tensor", "mm.default"])
def test_computing_is_foreign(op: str) -> None:
    assert is_foreign(op, "relu.default")


@pytest.mark.parametrize("op", ["empty_like.default", "copy_.default", "view.default", "_to_copy.default"])
def test_moving_memory_is_not(op: str) -> None:
    assert not is_foreign(op, "relu.default")


def test_the_operator_under_test_is_foreign_even_where_others_may_call_it() -> None:
    assert "clone" in ALLOWED
    assert is_foreign("clone.default", "clone.default")
