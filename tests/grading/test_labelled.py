"""Right kernels pass every draw; wrong ones fail at least one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.grading.checker import check
from backend_bench.grading.inputs import edges, nudged, scaled
from backend_bench.grading.oracle import Expectation, admissible, expect
from tests.grading.kernels import TABLE, Kernel, Labelled
from tests.grading.wall import observe

DTYPES = (torch.float32, torch.bfloat16)
NAMES = [f"{number}-{row.op}" for number, row in enumerate(TABLE)]


def draws(row: Labelled, dtype: torch.dtype) -> Iterator[tuple[Call, Expectation]]:
    torch.manual_seed(7)
    rng = random.Random(7)
    for call in row.calls(dtype):
        yield call, expect(row.op, call)
        other = nudged(row.op, call, rng)
        yield other, expect(row.op, other)
        chosen = [edges(row.op, call, rng) for _ in range(4)] + [scaled(row.op, call, rng)]
        for varied in filter(None, chosen):
            expectation = expect(row.op, varied)
            if admissible(expectation):
                yield varied, expectation


def failures(kernel: Kernel, drawn: list[tuple[Call, Expectation]]) -> list[str]:
    messages = []
    for call, expectation in drawn:
        try:
            finding = check(expectation, observe(kernel, call))
        except (RuntimeError, TypeError, IndexError) as error:
            messages.append(f"raised {error}")
            continue
        if not finding.passed:
            messages.append(finding.message)
    return messages


@pytest.mark.parametrize("row", TABLE, ids=NAMES)
def test_right_kernels_pass_and_wrong_ones_do_not(row: Labelled) -> None:
    for dtype in DTYPES:
        drawn = list(draws(row, dtype))
        for name, kernel in {"ATen itself": row.op, **row.right}.items():
            assert not failures(kernel, drawn), f"{name}, {dtype}: {failures(kernel, drawn)[:3]}"
        wrong = dict(row.wrong)
        if dtype is torch.float32:
            wrong |= row.float32_only_wrong
        for name, kernel in wrong.items():
            assert failures(kernel, drawn), f"{name}, {dtype}: passed all {len(drawn)} draws"
