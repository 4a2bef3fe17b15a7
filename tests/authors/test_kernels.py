"""The authors' kernels are what they are meant to be: the first wrong, the second right."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TRIAL = Path(__file__).with_name("trial.py")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "dtype"),
    [
        ("pytorch", "float32"),
        ("pytorch", "bfloat16"),
        ("triton", "float32"),
        pytest.param("triton", "bfloat16", marks=pytest.mark.slow),
    ],
)
def test_first_wrong_then_right(language: str, dtype: str) -> None:
    """On the smoke suite's cases against ATen; Triton in its interpreter."""
    done = subprocess.run(
        [sys.executable, str(TRIAL), language, dtype], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) == 10
    assert [folder for folder, wrong in found.items() if wrong["second"]] == []
    assert [folder for folder, wrong in found.items() if not wrong["first"]] == []
