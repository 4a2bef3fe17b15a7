"""What counts as evidence that a result is not the kernel's own work."""

from __future__ import annotations

import pytest

from backend_bench.judge.audit import Operators, launches, own_work
from backend_bench.wire import Heard, Kernel, OperatorCall

RELU = "relu.default"


def call(
    op: str, *, inputs_only: bool = False, returned: bool = False, computed: bool = False
) -> OperatorCall:
    return OperatorCall(op=op, inputs_only=inputs_only, returned=returned, computed=computed)


HANDED_ON = call(RELU, inputs_only=True, returned=True)


def rules(language: str, *calls: Operators) -> list[str]:
    return [evidence.rule for evidence in own_work(RELU, language, calls)]  # type: ignore[arg-type]


def test_one_foreign_call_is_enough() -> None:
    calls = [Operators((call("empty.memory_format"),)) for _ in range(9)] + [Operators((call("mm.default"),))]
    assert rules("triton", *calls) == ["foreign_operator"]


def test_moving_memory_is_no_evidence() -> None:
    assert (
        rules("triton", Operators((call("empty_like.default"), call("copy_.default")), is_recorded=True))
        == []
    )


def test_most_calls_without_a_launch_are_evidence() -> None:
    assert rules("triton", *[Operators((), False)] * 3, *[Operators((), True)] * 2) == ["no_launch"]


def test_some_calls_without_a_launch_are_not() -> None:
    """A kernel may have another way for a few shapes."""
    assert rules("triton", *[Operators((), False)] * 2, *[Operators((), True)] * 2) == []


def test_where_nobody_can_tell_there_is_no_evidence() -> None:
    assert rules("triton", *[Operators((), None)] * 5) == []


def test_calls_for_which_a_copy_is_right_tell_nothing_beside_others() -> None:
    """Neither for the kernel, which might launch one for those alone, nor against it, where it raised in all others."""
    copied = [Operators((), False, is_copy=True)] * 5
    assert rules("triton", *copied, Operators((), None)) == []
    assert rules("triton", *[Operators((), True, is_copy=True)] * 9, *[Operators((), False)] * 2) == [
        "no_launch"
    ]
    assert rules("triton", *copied) == ["no_launch"]


def test_handing_on_in_most_calls_is_a_passthrough() -> None:
    assert rules("pytorch", *[Operators((HANDED_ON,))] * 3, *[Operators(())] * 2) == ["passthrough"]


def test_handing_on_in_all_recorded_calls_is_one() -> None:
    recorded = Operators((HANDED_ON,), is_recorded=True)
    assert rules("pytorch", recorded, *[Operators(())] * 5) == ["passthrough"]


def test_handing_on_now_and_then_is_not() -> None:
    assert rules("pytorch", Operators((HANDED_ON,)), *[Operators(())] * 5) == []


def test_a_twin_by_a_variant_counts() -> None:
    in_place = call("relu_.default", inputs_only=True, returned=True)
    assert rules("pytorch", Operators((in_place,))) == ["passthrough"]


def test_on_values_of_its_own_is_no_passthrough() -> None:
    """`x + 1 * y` adds what the kernel computed, though it is the same."""
    for name, found in (("add.Tensor", []), (RELU, ["passthrough"])):  # nobody needs a relu to write a relu
        own, same = call(name, returned=True, computed=True), call(name, inputs_only=True, returned=True)
        calls = [Operators((own, same), is_recorded=True), *[Operators((same,))] * 5]
        assert [evidence.rule for evidence in own_work(name, "pytorch", calls)] == found


def test_a_quarter_of_the_timed_calls_is_too_much_and_recorded_ones_do_not_count_among_them() -> None:
    recorded, own = Operators((), is_recorded=True), Operators(())
    for handed_on, found in ((5, []), (6, ["passthrough"])):
        calls = [*[recorded] * 9, *[Operators((HANDED_ON,))] * handed_on, *[own] * (20 - handed_on)]
        assert [evidence.rule for evidence in own_work(RELU, "pytorch", calls, is_timed=True)] == found


def test_no_calls_are_no_evidence() -> None:
    assert rules("pytorch") == rules("triton") == []


TANH = "_ZN2at6native29vectorized_elementwise_kernelILi4EZZZNS0_16tanh_kernel_cudaERNS_18TensorIteratorBaseEE"
NEG = "_ZN2at6native29vectorized_elementwise_kernelILi4EZZZNS0_15neg_kernel_cudaERNS_18TensorIteratorBaseEE"
COPY = (
    "_ZN2at6native27unrolled_elementwise_kernelIZZZNS0_23direct_copy_kernel_cudaERNS_18TensorIteratorBaseEE"
)
INDUCTORS = "triton_poi_fused_tanh_0"
RADIX = "_ZN14at_cuda_detail3cub6detail10radix_sort31DeviceRadixSortSingleTileKernelINS1_5radix10policy_hubI"


@pytest.mark.parametrize(
    ("op", "name", "origin", "source", "is_foreign"),
    [
        ("tanh.default", "tanh_kernel", "", "", False),
        ("tanh.default", TANH, "libtorch_cuda.so", "", True),
        ("tanh.default", TANH, "", "", True),  # nobody saw where it came from
        ("tanh.default", TANH, "inline_extension.so", "", False),  # ATen's templates in code of its own
        ("tanh.default", COPY, "libtorch_cuda.so", "", False),
        ("tanh.default", NEG, "libtorch_cuda.so", "", False),  # a lazy sign is settled
        ("neg.default", NEG, "libtorch_cuda.so", "", True),
        ("mm.default", "nvjet_tst_64x8", "libcublasLt.so.13", "", True),
        ("tanh.default", INDUCTORS, "", "", True),
        ("tanh.default", INDUCTORS, "", f"def {INDUCTORS}(x): ...", False),
        ("tanh.default", INDUCTORS, "", f"# def {INDUCTORS}(x):", True),
        ("mm.default", "_sdpa_cudnn_attention_kernel", "", "", False),
        ("lgamma.default", "_helion_lgamma_kernel", "", "", False),
        ("lgamma.default", "lgamma_kernel_vectorized4_kernel", "", "", True),
        ("gcd.default", "gcd_i32_kernel", "", "", False),
        ("cumsum.default", "triton_spl_fused_cumsum_0", "", "", True),
        ("tanh.default", "triton_", "", "", True),
        ("tanh.default", "triton_kernel", "", "", False),
        ("mm.default", "nvjet_tst_64x8", "copied.so", "", True),
        ("lgamma.default", "lgamma_kernel", "", "", True),  # ATen has NVRTC compile it
        ("lgamma.default", "lgamma_kernel", "", "def lgamma_kernel(x): ...", False),
        ("argmax.default", "argmax_kernel", "", "import a_library_of_kernels", False),
        ("tanh.default", RADIX, "libtorch_cuda.so", "", False),  # of a random permutation
        ("sort.default", RADIX, "libtorch_cuda.so", "", True),
    ],
)
def test_a_kernel_of_somebody_else_is_evidence(
    op: str, name: str, origin: str, source: str, is_foreign: bool
) -> None:
    calls = [Operators((), True, heard=Heard((Kernel(name=name, origin=origin, launches=1),)))]
    found = [each.rule for each in own_work(op, "triton", calls, source=source)]
    assert found == (["foreign_kernel"] if is_foreign else [])


def test_who_switches_off_what_tells_of_kernels_has_a_reason() -> None:
    [found] = own_work("tanh.default", "cuda", [Operators((), True, heard=Heard(is_deaf=True))])
    assert (found.rule, found.claimed) == ("foreign_kernel", True)


@pytest.mark.parametrize(("launched", "found"), [((0, 0), []), ((0, 0, 1), []), ((0, 0, 0), ["no_launch"])])
def test_of_a_few_calls_all_have_to_launch_nothing(launched: tuple[int, ...], found: list[str]) -> None:
    calls = [Operators((), bool(each)) for each in launched]
    assert [each.rule for each in own_work("tanh.default", "triton", calls, are_few=True)] == found


def test_a_name_that_no_demangler_gets_to_the_end_of_is_told_in_no_time() -> None:
    """Each part says twice what the one before says; and what a worker says of a file is not fit for a terminal."""
    name = "_Z1a" + "".join(f"1aIS{number}_S{number}_E" for number in range(80))
    kernel = Kernel(name=name[:1000], origin="libcublas\x1b[2J.so", launches=1)
    [found] = own_work("mm.default", "triton", [Operators((), True, heard=Heard((kernel,)))])
    assert len(found.detail) < 400
    assert found.detail.isprintable()


def test_what_tells_of_a_kernel_is_told() -> None:
    [found] = own_work(
        "tanh.default",
        "triton",
        [Operators((), True, heard=Heard((Kernel(name=TANH, origin="libtorch_cuda.so"),)))],
    )
    assert "vectorized_elementwise_kernel tanh_kernel_cuda of libtorch_cuda.so" in found.detail


def test_launches_of_its_own_are_counted() -> None:
    mine, theirs = Kernel(name="mine", launches=2), Kernel(name="gemm", origin="libcublas.so", launches=9)
    calls = [Operators((), True, heard=Heard((mine, theirs))), Operators((), True, heard=Heard((mine,)))]
    assert launches(calls) == {"mine": 4}
