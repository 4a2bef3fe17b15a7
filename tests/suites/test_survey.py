"""Which calls of torch's samples may become cases."""

from __future__ import annotations

import torch

from backend_bench.cases import Call
from backend_bench.operator import Operator
from backend_bench.suites.findings import _is_on, _keeps_schema


def test_a_number_where_the_schema_has_a_tensor_is_no_case() -> None:
    x = torch.ones(3)
    assert not _keeps_schema(Operator.parse("mul.Tensor"), Call((x, 2.5)))
    assert not _keeps_schema(Operator.parse("add.Tensor"), Call((1, x), {"alpha": 2}))
    assert _keeps_schema(Operator.parse("add.Tensor"), Call((x, x), {"alpha": 2}))
    assert _keeps_schema(Operator.parse("pow.Tensor_Scalar"), Call((x, 2)))
    assert _keeps_schema(Operator.parse("cat.default"), Call(([x, x], 0)))


def test_a_sample_that_is_made_on_another_device_is_no_case() -> None:
    here, bare = Call((torch.zeros(2),)), Call((2,))
    assert _is_on("cpu", here)
    assert not _is_on("cuda", here)
    assert _is_on("cuda", bare)
