"""Labelled kernels against whole suites: nearly right ones fail at some draw, right ones by another road at none."""

from __future__ import annotations

import pytest

from backend_bench.grading import checker, oracle
from backend_bench.grading.observing import observe
from backend_bench.judge import correctness
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, open_suite, resolve
from tests.suites import subtle, subtle_forms

RECORDED = """\
Operator: aten.embedding_dense_backward.default
cnt: 1, ((T([4, 6, 8], f32), T([4, 6], i64), 10, -1, False), {})
cnt: 1, ((T([4, 6, 8], f32), T([4, 6], i64), 10, 3, False), {})
Operator: aten.gelu_backward.default
cnt: 1, ((T([9, 8], f32), T([9, 8], f32)), {})
cnt: 1, ((T([9, 8], f32), T([9, 8], f32)), {'approximate': 'tanh'})
Operator: aten.elu_backward.default
cnt: 1, ((T([9, 8], f32), 1.0, 1, 1, False, T([9, 8], f32)), {})
Operator: aten.leaky_relu_backward.default
cnt: 1, ((T([9, 8], f32), T([9, 8], f32), 0.1, False), {})
Operator: aten.hardtanh_backward.default
cnt: 1, ((T([9, 8], f32), T([9, 8], f32), 0.0, 6.0), {})
Operator: aten.hardsigmoid_backward.default
cnt: 1, ((T([9, 8], f32), T([9, 8], f32)), {})
Operator: aten.threshold_backward.default
cnt: 1, ((T([9, 8], f32), T([9, 8], f32), 0), {})
Operator: aten.slice_backward.default
cnt: 1, ((T([9, 3], f32), [9, 8], 1, 1, 7, 2), {})
Operator: aten.col2im.default
cnt: 1, ((T([2, 27, 16], f32), [6, 6], [3, 3], [1, 1], [0, 0], [1, 1]), {})
Operator: aten.upsample_bilinear2d.vec
cnt: 1, ((T([2, 3, 6, 5], f32), [12, 10], False, None), {})
Operator: aten._log_softmax_backward_data.default
cnt: 1, ((T([5, 7], f32), T([5, 7], f32), 1, f32), {})
cnt: 1, ((T([5, 7, 3], f32), T([5, 7, 3], f32), 1, f32), {})
Operator: aten._unsafe_index_put.default
cnt: 1, ((T([7, 3], f32), [T([5], i64)], T([5, 3], f32), True), {})
Operator: aten._index_put_impl_.default
cnt: 1, ((T([7, 3], f32), [T([5], i64)], T([5, 3], f32), True), {})
Operator: aten.embedding.default
cnt: 1, ((T([3000, 8], f32), T([4, 30], i64), 1), {})
Operator: aten.gather.default
cnt: 1, ((T([5, 7], f32), 1, T([5, 3], i64)), {})
Operator: aten.convolution.default
cnt: 1, ((T([2, 4, 9, 9], f32), T([6, 2, 3, 3], f32), T([6], f32), [1, 1], [1, 1], [1, 1], False, [0, 0], 2), {})
Operator: aten.im2col.default
cnt: 1, ((T([2, 3, 9, 9], f32), [3, 3], [1, 1], [1, 1], [1, 1]), {})
Operator: aten.index_put_.default
cnt: 1, ((T([7, 3], f32), [T([9], i64)], T([9, 3], f32)), {})
Operator: aten.scatter_add.default
cnt: 1, ((T([7, 9], f32), 1, T([7, 4], i64), T([7, 4], f32)), {})
Operator: aten.native_layer_norm.default
cnt: 1, ((T([6, 64], f32), [64], T([64], f32), T([64], f32), 1e-05), {})
Operator: aten.native_group_norm.default
cnt: 1, ((T([2, 8, 5, 5], f32), T([8], f32), T([8], f32), 2, 8, 25, 4, 1e-05), {})
Operator: aten.native_batch_norm.default
cnt: 1, ((T([4, 6, 5, 5], f32), T([6], f32), T([6], f32), T([6], f32), T([6], f32), True, 0.1, 1e-05), {})
cnt: 1, ((T([4, 6, 5, 5], f32), T([6], f32), T([6], f32), T([6], f32), T([6], f32), False, 0.1, 1e-05), {})
Operator: aten._softmax.default
cnt: 1, ((T([5, 7, 33], f32), -1, False), {})
Operator: aten._log_softmax.default
cnt: 1, ((T([5, 7, 33], f32), -1, False), {})
Operator: aten._softmax_backward_data.default
cnt: 1, ((T([5, 7, 33], f32), T([5, 7, 33], f32), -1, f32), {})
Operator: aten.topk.default
cnt: 1, ((T([5, 40], f32), 4), {})
Operator: aten.leaky_relu.default
cnt: 1, ((T([5, 40], f32), 0.01), {})
Operator: aten.cumsum.default
cnt: 1, ((T([5, 40], f32), 1), {})
Operator: aten.add.Tensor
cnt: 1, ((T([5, 40], f32), T([5, 40], f32)), {})
Operator: aten.addmm.default
cnt: 1, ((T([8], f32), T([5, 40], f32), T([40, 8], f32)), {})
Operator: aten.mm.default
cnt: 1, ((T([5, 40], f32), T([40, 8], f32)), {})
Operator: aten.gelu.default
cnt: 1, ((T([5, 40], f32),), {})
Operator: aten.avg_pool2d.default
cnt: 1, ((T([2, 3, 9, 9], f32), [3, 3], [2, 2], [1, 1]), {})
Operator: aten.max_pool2d_with_indices.default
cnt: 1, ((T([2, 3, 9, 9], f32), [3, 3], [2, 2], [1, 1]), {})
Operator: aten.max_pool2d_with_indices_backward.default
cnt: 1, ((T([2, 3, 5, 5], f32), T([2, 3, 9, 9], f32), [3, 3], [2, 2], [1, 1], [1, 1], False, T([2, 3, 5, 5], i64)), {})
Operator: aten.where.self
cnt: 1, ((T([5, 40], b8), T([5, 40], f32), T([5, 40], f32)), {})
Operator: aten.clamp.default
cnt: 1, ((T([5, 40], f32), -1, 1), {})
Operator: aten.pow.Tensor_Scalar
cnt: 1, ((T([5, 40], f32), 2), {})
Operator: aten.triu.default
cnt: 1, ((T([9, 9], f32),), {})
Operator: aten.constant_pad_nd.default
cnt: 1, ((T([2, 3, 9, 9], f32), [1, 2, 0, 3], 0.0), {})
Operator: aten.mse_loss.default
cnt: 1, ((T([5, 40], f32), T([5, 40], f32)), {})
Operator: aten.grid_sampler_2d.default
cnt: 1, ((T([2, 3, 9, 9], f32), T([2, 5, 6, 2], f32), 0, 0, False), {})
Operator: aten.baddbmm.default
cnt: 1, ((T([2, 5, 6], f32), T([2, 5, 7], f32), T([2, 7, 6], f32)), {})
"""
"""As models call them: most settings have their defaults, and the last dimension is the one."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    file = tmp_path_factory.mktemp("recorded") / "calls.txt"
    file.write_text(RECORDED + subtle_forms.RECORDED)
    return open_suite(SuiteSpec(name="torchbench", source=str(file)))


def findings(suite: Suite, one: subtle.Labelled) -> dict[str, str]:
    """For each kernel what the first draw that it fails says; empty where it passes them all."""
    op = Operator.parse(one.op)
    overload = resolve(op)
    left = {name: subtle.bound(overload, kernel) for name, kernel in {**one.right, **one.wrong}.items()}
    found = dict.fromkeys(left, "")
    count = len(suite.index().entries[one.op].correctness)
    for attempt in correctness.draw_all(suite, op, overload, count, seed=1, profile="strict"):
        try:
            expectation = correctness.expectation_of(overload, attempt, "strict")
        except oracle.Unjudgeable:
            continue
        if expectation is None:
            continue
        for name, kernel in list(left.items()):
            try:
                message = checker.check(expectation, observe(kernel, attempt.call)).message
            except Exception as error:  # noqa: BLE001  # as at the judge, what a kernel raises is a failure
                message = f"raised {error!r}"
            if message:
                found[name] = correctness.told(attempt, message)
                del left[name]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's own, on purpose provoked by its samples
@pytest.mark.parametrize("one", subtle.labelled(), ids=lambda one: one.op)
def test_each_is_told_from_the_operator(one: subtle.Labelled, recorded: Suite, request) -> None:
    known = recorded.index().entries
    found = findings(recorded if one.op in known else request.getfixturevalue("whole_opinfo"), one)
    refused = {name: found[name] for name in one.right if found[name]}
    survived = [name for name in one.wrong if not found[name]]
    assert not refused
    assert not survived
