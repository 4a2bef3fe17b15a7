"""The kernels that prompts show are right, and do their own work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("try_examples.py")


@pytest.mark.slow
@pytest.mark.parametrize("language", ["pytorch", pytest.param("triton", marks=pytest.mark.slow)])
def test_an_example_is_right_and_its_own_work(language: str) -> None:
    """Against ATen on the CPU; Triton in its interpreter."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), language], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert len(found) >= 2, "two, so that there is always one of another operator"
    assert {name: faults for name, faults in found.items() if faults} == {}
