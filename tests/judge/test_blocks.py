"""A block's places: every call gets its own inputs and outputs, and a rewritten block shows others first."""

from __future__ import annotations

import dataclasses
import random
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.errors import JudgeError
from backend_bench.gate import Word
from backend_bench.judge import blocks
from backend_bench.judge.blocks import Asked, Block, Copies, Landing, decoy_of, laid_in, plan
from backend_bench.judge.stage import Meta, Place, Stage, rebuild

ROWS, COLUMNS, PICKED = 64, 33, 17
METAS = (Meta(torch.float32, (PICKED, COLUMNS)),)


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage(torch.device("cpu")) as stage:
        yield stage


def calls(count: int) -> list[Call]:
    return [
        Call(args=(torch.randn(ROWS, COLUMNS), 0, torch.randint(0, ROWS, (PICKED,))), kwargs={})
        for _ in range(count)
    ]


def answer(stage: Stage, call: wire.Call) -> None:
    """What an honest worker does with the places that it is given."""
    source, index = (_seen(stage, spec) for spec in call.tensors)
    [slot] = call.outputs
    assert slot is not None
    _seen(stage, slot).copy_(torch.index_select(source, 0, index))


def _seen(stage: Stage, spec: wire.TensorSpec) -> torch.Tensor:
    return rebuild(stage.bytes_at(Place(spec.buffer, spec.offset, spec.nbytes)), spec)


def planned(stage: Stage, count: int) -> tuple[Block, list[Call]]:
    made = calls(count)
    [block] = plan(stage, [Asked(0, tuple(made), METAS, pause=random.randrange(1, count))])
    return block, made


def taken(stage: Stage, block: Block) -> Copies:
    landing = Landing.of(block)
    landing.take()
    return landing.copies()


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_each_call_has_its_own_inputs_and_outputs(stage: Stage, count: int) -> None:
    block, made = planned(stage, count)
    laid_in(block.early)
    laid_in(block.decoys())
    for call in block.calls[: block.pause]:
        answer(stage, call)
    laid_in(block.late)
    for call in block.calls[block.pause :]:
        answer(stage, call)
    copies = taken(stage, block)
    for call, outputs, inputs in zip(made, copies.outputs, copies.inputs, strict=True):
        assert torch.equal(inputs[0], call.args[0])
        assert torch.equal(inputs[1], call.args[2])
        assert outputs[0] is not None
        assert torch.equal(outputs[0], torch.index_select(call.args[0], 0, call.args[2]))


def test_what_is_computed_ahead_in_a_rewritten_block_is_that_of_a_decoy(stage: Stage) -> None:
    block, made = planned(stage, 5)
    laid_in(block.early)
    laid_in(block.decoys())
    for call in block.calls:
        answer(stage, call)
    laid_in(block.late)
    pause = block.pause
    for number, outputs in enumerate(taken(stage, block).outputs[pause:]):
        shown = made[decoy_of(number, pause)]
        assert outputs[0] is not None
        assert torch.equal(outputs[0], torch.index_select(shown.args[0], 0, shown.args[2]))


def test_a_stage_keeps_one_buffer_for_all_blocks(stage: Stage) -> None:
    """And tells the worker of the one that a larger block replaces."""
    small, _ = planned(stage, 2)
    first = stage.news()
    again, _ = planned(stage, 2)
    assert small.outputs.place.buffer == again.outputs.place.buffer
    assert not stage.news().buffers
    large, _ = planned(stage, 8)
    second = stage.news()
    assert [new.number for new in first.buffers] == [small.outputs.place.buffer]
    assert second.dropped == (small.outputs.place.buffer,)
    assert [new.number for new in second.buffers] == [large.outputs.place.buffer]


def test_blocks_that_are_planned_together_find_room_in_one_buffer(stage: Stage) -> None:
    """Else the larger one would take the smaller one's memory away."""
    asked = [Asked(0, tuple(calls(count)), METAS, pause=1) for count in (2, 8, 3)]
    many = plan(stage, asked)
    for block, each in zip(many, asked, strict=True):
        laid_in(block.moves)
        for call in block.calls:
            answer(stage, call)
        for given, (output,) in zip(each.calls, taken(stage, block).outputs, strict=True):
            assert output is not None
            assert torch.equal(output, torch.index_select(given.args[0], 0, given.args[2]))


def test_a_worker_does_not_hear_of_a_buffer_that_came_and_went(stage: Stage) -> None:
    """What is planned need not be run."""
    planned(stage, 2)
    large, _ = planned(stage, 8)
    news = stage.news()
    assert [new.number for new in news.buffers] == [large.outputs.place.buffer]
    assert len(news.fds) == 1
    assert not news.dropped


@pytest.fixture
def two_stages() -> Iterator[tuple[Stage, Stage]]:
    with Stage(torch.device("cpu")) as one, Stage(torch.device("cpu")) as other:
        other.track(1 << 20)
        other.bytes_at(Place(other.track(1), 0, 1 << 20)).fill_(7)  # what was there before
        yield one, other


def landed(stage: Stage, asked: Asked, change: Callable[[torch.Tensor], object] = lambda _: None) -> Landing:
    """What a worker leaves behind that changes its second output or input as told."""
    [block] = plan(stage, [asked])
    block.poisoned.fill_(block.pattern)
    laid_in(block.moves)
    for call in block.calls:
        answer(stage, call)
    [slot] = block.calls[1].outputs
    assert slot is not None
    change(_seen(stage, slot))
    landing = Landing.of(block)
    landing.take()
    return landing


def test_two_workers_that_come_to_the_same_are_alike(two_stages: tuple[Stage, Stage]) -> None:
    """Whatever lies between their places."""
    one, other = two_stages
    asked = Asked(0, tuple(calls(3)), METAS, pause=3)
    trusted = landed(one, asked)
    assert landed(other, asked).is_alike(trusted)
    assert landed(other, asked, lambda output: output.mul_(1 + 5e-7)).is_alike(trusted)
    assert not landed(other, asked, lambda output: output.mul_(1 + 1e-5)).is_alike(trusted)
    assert not landed(other, asked, lambda output: output[3, 5].fill_(torch.nan)).is_alike(trusted)


def test_outputs_of_several_dtypes_are_alike_each_by_its_own(two_stages: tuple[Stage, Stage]) -> None:
    """Values and their places, as of `max`; between the places of two calls there is room."""

    def left(stage: Stage, asked: Asked, change: Callable[[torch.Tensor, torch.Tensor], object]) -> Landing:
        [block] = plan(stage, [asked])
        block.poisoned.fill_(block.pattern)
        laid_in(block.moves)
        for number, call in enumerate(block.calls):
            source, _ = (_seen(stage, spec) for spec in call.tensors)
            slots = [_seen(stage, slot) for slot in call.outputs if slot is not None]
            for slot, values in zip(slots, source.max(dim=0), strict=True):
                slot.copy_(values)
            if number == 1:
                change(*slots)
        landing = Landing.of(block)
        landing.take()
        return landing

    one, other = two_stages
    metas = (Meta(torch.float32, (COLUMNS,)), Meta(torch.int64, (COLUMNS,)))
    asked = Asked(0, tuple(calls(3)), metas, pause=3)
    trusted = left(one, asked, lambda values, places: None)
    assert left(other, asked, lambda values, places: None).is_alike(trusted)
    assert left(other, asked, lambda values, places: values.mul_(1 + 5e-7)).is_alike(trusted)
    assert not left(other, asked, lambda values, places: values.mul_(1 + 1e-5)).is_alike(trusted)
    assert not left(other, asked, lambda values, places: places[-1].add_(1)).is_alike(trusted)


def test_results_in_another_order_of_memory_are_looked_at_one_by_one(two_stages: tuple[Stage, Stage]) -> None:
    one, other = two_stages
    asked = Asked(0, tuple(calls(3)), METAS, pause=3)
    turned = dataclasses.replace(asked, metas=(METAS[0].laid_out((1, PICKED)),))
    trusted, theirs = landed(one, asked), landed(other, turned)
    assert not theirs.is_alike(trusted)
    # The right bytes in the wrong order are no right values.
    theirs.outputs.copy_(trusted.outputs)
    assert not theirs.is_alike(trusted)
    theirs = landed(other, turned)
    for [ours], [their] in zip(trusted.copies().outputs, theirs.copies().outputs, strict=True):
        assert ours is not None
        assert their is not None
        assert their.stride() == (1, PICKED)
        assert torch.equal(ours, their)


@pytest.mark.parametrize(
    ("stride", "taken"),
    [((12, 4, 1), True), ((1, 2, 6), True), ((12, 1, 3), True), ((0, 4, 1), False), ((24, 8, 2), False),
     ((12, 4), False), ((4, 4, 1), False), ((), False)],
)  # fmt: skip
def test_a_place_is_laid_out_as_claimed_if_that_leaves_no_holes(stride: tuple[int, ...], taken: bool) -> None:
    meta = Meta(torch.float32, (2, 3, 4))
    like = meta.laid_out(stride).like()
    assert like.stride() == (stride if taken else (12, 4, 1))
    assert like.untyped_storage().nbytes() == meta.nbytes


def test_an_input_that_was_written_to_is_not_alike(two_stages: tuple[Stage, Stage]) -> None:
    one, other = two_stages
    asked = Asked(0, tuple(calls(3)), METAS, pause=3)
    trusted, theirs = landed(one, asked), landed(other, asked)
    spec = theirs.block.calls[2].tensors[0]
    theirs.inputs[spec.offset + 40] ^= 1
    assert not theirs.is_alike(trusted)


class Words:
    """A gate without a device: what was said, and whether somebody let the block go."""

    def __init__(self) -> None:
        self.said: list[tuple[Word, int]] = []
        self.let_go = threading.Event()

    def say(self, word: Word, number: int) -> None:
        self.said.append((word, number))
        if word is Word.ENQUEUED:
            self.let_go.set()


def course_of(gate: Words, queued: Any) -> blocks.Course:
    """A course without a device."""
    course = blocks.Course.__new__(blocks.Course)
    course._gate = gate  # type: ignore[assignment]
    course._stream = SimpleNamespace(wait_stream=lambda _: None, synchronize=lambda: None)  # type: ignore[assignment]
    course._queued = queued  # type: ignore[method-assign]
    course._stalls = 0
    course._stamps = STAMPS
    return course


BLOCK: Any = SimpleNamespace()
STAMPS: Any = ("even", "odd")


def test_a_block_that_the_driver_keeps_from_being_queued_is_let_go_and_has_no_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its stream waits for the judge, and the judge for a driver that waits for the stream."""
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    gate, tries, done = Words(), [], object()

    def queued(block: Any, turn: int, rewrite: bool) -> Any:
        tries.append(rewrite)
        if len(tries) == 1:
            assert gate.let_go.wait(60)
        return done

    course = course_of(gate, queued)
    assert course.queue(BLOCK, 7, rewrite=True) == blocks.Queued(7, done, STAMPS[1], is_late=True)  # type: ignore[arg-type]
    assert gate.said[:2] == [(Word.QUEUED, 7), (Word.ENQUEUED, 7)]
    assert {number for _, number in gate.said} == {7}
    assert Word.PASSED not in {word for word, _ in gate.said}  # what runs before it is not done
    gate.said.clear()
    assert course.queue(BLOCK, 9, rewrite=False) == blocks.Queued(9, done, STAMPS[0], is_late=False)  # type: ignore[arg-type]
    assert gate.said == [(Word.QUEUED, 9)]


class Liar(Words):
    """A gate whose worker takes back what was said for it, twice."""

    def say(self, word: Word, number: int) -> None:
        super().say(word, number)
        self.passes = len(self.said) > 8


def test_what_a_worker_takes_back_is_said_again() -> None:
    gate = Liar()
    course = course_of(gate, None)
    stamps = SimpleNamespace(
        landed=SimpleNamespace(query=lambda: getattr(gate, "passes", False)),
        began=SimpleNamespace(elapsed_time=lambda _: 0.25),
        ended=None,
    )
    assert course.wall_us(blocks.Queued(7, None, stamps, is_late=False)) == 250.0  # type: ignore[arg-type]
    assert gate.said[:3] == [(Word.QUEUED, 7), (Word.ENQUEUED, 7), (Word.PASSED, 8)]
    assert gate.said[3:6] == gate.said[:3]


def test_what_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "ENDLESS_S", 0.0)
    stamps = SimpleNamespace(landed=SimpleNamespace(query=lambda: False))
    course = course_of(Words(), None)
    assert course.wall_us(blocks.Queued(7, None, stamps, is_late=False)) is None  # type: ignore[arg-type]


def test_a_driver_that_stalls_every_block_is_the_judges_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(blocks, "STALLED_S", 0.0)
    monkeypatch.setattr(blocks, "MOST_STALLS", 2)
    gate = Words()

    def queued(block: Any, turn: int, rewrite: bool) -> Any:
        gate.let_go.clear()
        assert gate.let_go.wait(60)

    course = course_of(gate, queued)
    for turn in (1, 3):
        assert course.queue(BLOCK, turn, rewrite=False).is_late
    with pytest.raises(JudgeError, match="stalls them"):
        course.queue(BLOCK, 5, rewrite=False)
