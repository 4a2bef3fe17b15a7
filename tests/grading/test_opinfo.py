"""ATen passes its own examination on torch's samples, all draws included; zeros never do."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from backend_bench.cases import Call
from backend_bench.grading.checker import check
from backend_bench.grading.inputs import clone_call, edges, nudged, scaled
from backend_bench.grading.oracle import Unjudgeable, admissible, expect
from backend_bench.grading.traits import names
from tests.grading.kernels import like
from tests.grading.wall import observe

NAMES = names(
    "abs add addcmul addmm amax argmin atan2 bmm bucketize cat clamp copysign cummax cumsum diff div"
    " digamma erf exp expm1 flip floor_divide fmod frexp gather heaviside hypot index_add index_put"
    " index_select isin kthvalue lerp lgamma linalg.vector_norm log log_softmax logaddexp logcumsumexp"
    " logsumexp masked_fill max_pool2d maximum median mm mode msort nan_to_num native_layer_norm"
    " nextafter nn.functional.avg_pool2d nn.functional.batch_norm nn.functional.conv2d"
    " nn.functional.cross_entropy nn.functional.embedding nn.functional.gelu nn.functional.group_norm"
    " nn.functional.max_pool2d nn.functional.softplus polygamma pow prod remainder round rsqrt"
    " scatter scatter_add scatter_reduce searchsorted sigmoid sort std sum take tanh topk tril trunc"
    " unique var where xlogy"
)
CALLS = 1  # of each overload and dtype


class Recorder(TorchDispatchMode):
    """Collects the ATen calls that a sample makes."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Call]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "aten":
            self.calls.append((func, clone_call(Call(tuple(args), dict(kwargs or {})))))
        return func(*args, **(kwargs or {}))


def recorded(info: Any, dtype: torch.dtype) -> Iterator[tuple[Any, Call]]:
    for sample in islice(info.sample_inputs("cpu", dtype), 3):
        with torch.no_grad(), Recorder() as recorder:
            info.op(sample.input, *sample.args, **sample.kwargs)
        yield from recorder.calls


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_aten_passes_its_own_examination(dtype: torch.dtype) -> None:
    from torch.testing._internal.common_methods_invocations import op_db  # takes seconds to import

    seen: Counter[Any] = Counter()
    judged = 0
    for info in op_db:
        if info.name not in NAMES or dtype not in info.supported_dtypes("cpu"):
            continue
        for op, call in recorded(info, dtype):
            seen[op] += 1
            if seen[op] <= CALLS:
                judged += examine(op, call)
    assert judged > 150


def examine(op: Any, call: Call) -> int:
    """Check ATen on every draw of one call; the number of draws."""
    rng = random.Random(0)
    draws = [call, nudged(op, call, rng), edges(op, call, rng), scaled(op, call, rng)]
    judged = 0
    for number, drawn in enumerate(draws):
        if drawn is None:
            continue
        try:
            expectation = expect(op, drawn)
        except Unjudgeable:
            continue
        if number and not admissible(expectation):
            continue
        finding = check(expectation, observe(op, drawn))
        assert finding.passed, f"{op}: {finding.message}"
        judged += 1
        outputs = [e.reference for e in expectation.outputs if isinstance(e.reference, Tensor)]
        if number == 0 and any(bool((tensor != 0).any()) for tensor in outputs):
            zeros = check(expectation, observe(like(op, torch.zeros_like), drawn))
            assert not zeros.passed, f"{op}: zeros pass"
    return judged
