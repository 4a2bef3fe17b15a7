"""Torch's switches for short products are off while anybody needs them off, and then as before."""

from __future__ import annotations

import threading

import torch

from backend_bench.precise import full_precision


def test_who_leaves_first_does_not_turn_them_on_under_the_other() -> None:
    matmul = torch.backends.cuda.matmul
    before = matmul.allow_fp16_reduced_precision_reduction
    matmul.allow_fp16_reduced_precision_reduction = True
    inside, may_end = threading.Event(), threading.Event()

    def stay_inside() -> None:
        with full_precision():
            inside.set()
            assert may_end.wait(60)

    thread = threading.Thread(target=stay_inside)
    try:
        with full_precision():
            thread.start()
            assert inside.wait(60)
            assert not matmul.allow_fp16_reduced_precision_reduction
        assert not matmul.allow_fp16_reduced_precision_reduction  # the other is still inside
        may_end.set()
        thread.join()
        assert matmul.allow_fp16_reduced_precision_reduction
    finally:
        may_end.set()
        matmul.allow_fp16_reduced_precision_reduction = before


def test_tf32_of_both_libraries_is_off_inside() -> None:
    with full_precision(), full_precision():
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32
