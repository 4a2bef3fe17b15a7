"""Whether launched kernels made the outputs out of the inputs, as far as memory tells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from backend_bench.worker.launches import LOG
from backend_bench.worker.recorder import Recorder


@pytest.fixture(autouse=True)
def interpreting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(LOG, "is_kept", True)
    yield
    LOG.take()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.arange(64.0)


def launch(*given: torch.Tensor, reads: tuple[torch.Tensor, ...], writes: torch.Tensor) -> None:
    """What the interpreter notes of a kernel that is launched on tensors."""
    storages = [tensor.untyped_storage() for tensor in given]
    LOG.begin([(storage.data_ptr(), storage.data_ptr() + storage.nbytes()) for storage in storages])
    for tensor in reads:
        LOG.note(tensor.data_ptr() + 8, reads=True)
    LOG.note(writes.data_ptr() + 8, writes=True)


def test_a_launch_that_reads_the_input_and_writes_the_output_made_it(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        y = torch.empty_like(x)
        launch(x, y, reads=(x,), writes=y)
    assert recorder.launched(y) is True
    assert recorder.launched(y.view(8, 8)) is True


def test_a_copy_of_the_input_will_do(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        half, y = x.half().contiguous(), torch.empty_like(x)
        launch(half, y, reads=(half,), writes=y)
    assert recorder.launched(y) is True


def test_so_will_what_another_launch_made_of_it(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        between, y = torch.empty_like(x), torch.empty_like(x)
        launch(x, between, reads=(x,), writes=between)
        launch(between, y, reads=(between,), writes=y)
        copy = y.clone()
    assert recorder.launched(copy) is True


def test_a_constant_needs_no_input(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        y = torch.empty_like(x)
        launch(y, reads=(), writes=y)
    assert recorder.launched(y) is True


def test_without_a_launch_nothing_was_made(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        y = torch.empty_like(x).copy_(x)
    assert recorder.launched(y) is False


def test_copying_what_numpy_made_is_no_work(x: torch.Tensor) -> None:
    made = torch.from_numpy(np.maximum(x.numpy(), np.float32(0)))
    with Recorder([x]) as recorder:
        y = torch.empty_like(x)
        launch(made, y, reads=(made,), writes=y)
    assert recorder.launched(y) is False


def test_writing_elsewhere_is_no_work_either(x: torch.Tensor) -> None:
    with Recorder([x]) as recorder:
        y, other = torch.empty_like(x), torch.empty_like(x)
        launch(x, other, reads=(x,), writes=other)
    assert recorder.launched(y) is False


@pytest.mark.parametrize("shape", [(0,), ()])
def test_of_small_results_nobody_asks(shape: tuple[int, ...]) -> None:
    with Recorder([torch.ones(shape)]) as recorder:
        y = torch.zeros(shape)
    assert recorder.launched(y) is None


def test_where_nobody_interprets_nobody_can_tell(x: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LOG, "is_kept", False)
    with Recorder([x]) as recorder:
        y = x.clone()
    assert recorder.launched(y) is None


def test_what_has_no_inputs_is_made_by_whoever_writes_it() -> None:
    """A kernel that fills may read what it fills, and not a table that somebody else has made."""
    with Recorder([]) as recorder:
        table, y, z = torch.from_numpy(np.ones(8)), torch.empty(8), torch.empty(8)
        launch(y, reads=(y,), writes=y)
        launch(table, z, reads=(table,), writes=z)
    assert recorder.launched(y) is True
    assert recorder.launched(z) is False
