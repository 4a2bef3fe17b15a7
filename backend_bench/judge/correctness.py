"""Phase one: is it right?

Every case is drawn several times from a secret seed, and some cases in another form; all draws of all
cases are called in shuffled order, the draws of a case at the same addresses. A case is as good as its worst draw.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from backend_bench import wire
from backend_bench.cases import Call
from backend_bench.errors import Abandoned
from backend_bench.grading import checker, forms, inputs, oracle, overlooked, settings, spikes, windows
from backend_bench.grading.example import with_inputs
from backend_bench.grading.running import result_elements
from backend_bench.grading.sameness import same_bits
from backend_bench.judge import audit
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.keeper import Crashed, Ended, Forged, TimedOut
from backend_bench.judge.stage import Meta
from backend_bench.operator import Operator
from backend_bench.submission import Profile
from backend_bench.suites import Suite, domains, resolve
from backend_bench.suites.calls import describe
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Example

MIN_CALLS, MIN_OWN = 32, 24
"""At least so many calls an operator, and of these in its cases' own forms: one lucky or memorised answer must not decide."""
HELD_BYTES = 512 << 20
"""All draws are held at once; beyond this no more are added for the sake of `MIN_CALLS`."""
AHEAD_BYTES = 32 << 20
"""Held of draws whose expectation is worked out before they are called."""
REFORMED = (*forms.FORMS, "reset", "uneven")
"""Purposes of draws that have another form than their case."""
MOST_RESET = 5
"""Settings of an operator that are changed, at most."""
TRIED, REFUSED = 8, 24
"""Draws that are looked at for one that tells something of a form; and beside them so many that ATen refuses."""
_FEW = 8
"""Elements below which a setting or a broadcast may well make no difference."""
REFORMED_BYTES, LARGEST_REFORMED_BYTES = 1 << 20, 48 << 20
"""Larger calls keep their form: copies of them cost, and small ones show the same. Four times as much where there are no small ones, and where
there are none of those either as much as costs a second or two."""
RECORDED = 3
"""Draws in which all operators that the kernel calls are recorded, where that is not done in every one."""

_LOST_CONTEXT = ("CUDA error", "illegal memory access", "device-side assert", "misaligned address")
_OUT_OF_MEMORY = ("MemoryError", "OutOfMemoryError")
_COMPILER = ("CompilationError", "CompileTimeAssertionFailure", "UnsupportedLanguageConstruct", "PTXASError")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One draw of one case, to be called."""

    case: int
    call: Call
    purpose: str


@dataclass(slots=True)
class Phase:
    """What phase one found."""

    results: list[CaseResult] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    operators: list[audit.Operators] = field(default_factory=list)
    """What the kernel called, of each call that it answered."""
    compile_error: str = ""
    unjudgeable: str = ""
    """Why draws were left out, the first reason."""
    ended: Ended | None = None


@dataclass(slots=True)
class _Tally:
    """What has been seen of one case."""

    args: str
    status: CaseStatus = CaseStatus.NOT_RUN
    message: str = ""
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    judged: int = 0
    compiler: str = ""
    """What the kernel language's compiler said in a call."""
    example: Example | None = None

    @property
    def failed(self) -> bool:
        return self.status not in (CaseStatus.NOT_RUN, CaseStatus.PASSED)

    def note(self, status: CaseStatus, message: str, example: Example | None = None) -> None:
        """Keep the first failure; a pass never hides it."""
        if not self.failed:
            self.status, self.message, self.example = status, message, example

    def note_errors(self, finding: checker.Finding) -> None:
        self.max_abs_error = larger(self.max_abs_error, finding.max_abs_error)
        self.max_rel_error = larger(self.max_rel_error, finding.max_rel_error)

    def result(self) -> CaseResult:
        return CaseResult(
            args=self.args,
            kind=CaseKind.CORRECTNESS,
            status=self.status,
            message=self.message,
            max_abs_error=self.max_abs_error,
            max_rel_error=self.max_rel_error,
            example=self.example,
        )


class Ahead:
    """The draws of an operator in the order in which they are called, and what is expected of each. Both are worked out when they are
    asked for, or a piece at a time while a worker is waited for."""

    def __init__(
        self, bench: Bench, suite: Suite, op: Operator, count: int, *, seed: int, profile: Profile,
        draw: Callable[[], list[Attempt]] | None = None,
    ) -> None:  # fmt: skip
        """`draw`: makes the draws, where it is not all of all correctness cases."""
        self._bench, self._suite, self._op, self._count = bench, suite, op, count
        self._draw = draw or self._all
        self._seed, self._profile = seed, profile
        self.overload = resolve(op)
        self._attempts: list[Attempt] | None = None
        self._known: dict[int, oracle.Expectation | Exception | None] = {}
        self._failed: Exception | None = None
        """Why there are no draws."""
        self._next = 0
        self._held_bytes = 0

    def step(self) -> bool:
        """A piece of the work; False where nothing is left, or enough is held."""
        if self._attempts is None:
            return self._failed is None and self._is_drawn()
        if self._next == len(self._attempts) or self._held_bytes > AHEAD_BYTES:
            return False
        if inputs.bytes_of(self._attempts[self._next].call) > AHEAD_BYTES:
            return False
        known: oracle.Expectation | Exception | None
        try:
            known = self._work_out(self._next)
        except Abandoned:
            raise
        except Exception as error:  # noqa: BLE001  (told when it is asked for)
            known = error
        self._known[self._next] = known
        self._held_bytes += self._bytes_of(self._next)
        self._next += 1
        return True

    def _is_drawn(self) -> bool:
        try:
            self.attempts()
        except Abandoned:
            raise
        except Exception as error:  # noqa: BLE001  (told when they are asked for)
            self._failed = error
        return self._failed is None

    def _bytes_of(self, number: int) -> int:
        """What is held of a draw that was worked out: its inputs, and several times its results in float64."""
        known = self._known[number]
        outputs = known.outputs if isinstance(known, oracle.Expectation) else ()
        elements = sum(each.reference.numel() for each in outputs if isinstance(each.reference, torch.Tensor))
        return inputs.bytes_of(self.attempts()[number].call) + 32 * elements

    def forget(self) -> None:
        """Let go of all draws."""
        self._attempts, self._known = [], {}

    def attempts(self) -> list[Attempt]:
        """All draws."""
        if self._failed is not None:
            raise self._failed
        if self._attempts is None:
            # What the judge itself computes would disturb somebody's timing as much as a worker does.
            with self._bench.sharing(), self._bench.stages("draw"):
                self._attempts = self._draw()
            random.Random(self._seed).shuffle(self._attempts)
        return self._attempts

    def _all(self) -> list[Attempt]:
        return draw_all(
            self._suite, self._op, self.overload, self._count, seed=self._seed, profile=self._profile
        )

    def expectation(self, number: int) -> oracle.Expectation | None:
        """What is expected of a draw, as `expectation_of` says; asked for once, and in their order."""
        if number not in self._known:
            self._next = number + 1
            return self._work_out(number)
        self._held_bytes -= self._bytes_of(number)
        known = self._known.pop(number)
        if isinstance(known, Exception):
            raise known
        return known

    def _work_out(self, number: int) -> oracle.Expectation | None:
        with self._bench.sharing(), self._bench.stages("oracle"):
            return expectation_of(self.overload, self.attempts()[number], self._profile)


def run(bench: Bench, ahead: Ahead, texts: Sequence[str], *, seed: int, record: bool) -> Phase:
    """Call every draw of every case and check it."""
    tallies = [_Tally(args=text) for text in texts]
    attempts = ahead.attempts()
    # Where it is interpreted, time does not matter: all are recorded, and no call can be told from a recorded one.
    count = len(attempts) if bench.interpreted else min(RECORDED, len(attempts))
    recorded = set(random.Random(~seed).sample(range(len(attempts)), count)) if record else set()
    phase = Phase()
    for number, attempt in enumerate(attempts):
        if not _attempt(bench, ahead, number, tallies[attempt.case], phase, number in recorded):
            break
    _leave_out_unjudged(tallies, attempts, phase)
    ahead.forget()  # they may be large, and times are taken next
    phase.compile_error = phase.compile_error or _compiler_text(tallies)
    return phase


def call_some(bench: Bench, ahead: Ahead, texts: Sequence[str]) -> Phase:
    """Call these draws and check them. The results are of all cases, in their order; `NOT_RUN` where no draw was called."""
    tallies, phase = [_Tally(args=text) for text in texts], Phase()
    for number, attempt in enumerate(ahead.attempts()):
        if not _attempt(bench, ahead, number, tallies[attempt.case], phase, False):
            break
    ahead.forget()
    phase.results = [tally.result() for tally in tallies]
    return phase


def _compiler_text(tallies: list[_Tally]) -> str:
    """What the compiler said, if it refused the kernel in most cases; an empty tensor launches nothing,
    and one variant of many that does not compile is a failed case."""
    refused = [tally.compiler for tally in tallies if tally.compiler]
    judged = sum(tally.judged > 0 for tally in tallies)
    return refused[0] if 2 * len(refused) > judged else ""


def draw_all(
    suite: Suite, op: Operator, overload: torch._ops.OpOverload, count: int, *, seed: int, profile: Profile
) -> list[Attempt]:  # fmt: skip
    """All draws of all cases: two fresh ones, one that differs from the first in a few elements only,
    special values, another scale, two with spikes; some in another form; further rounds of these where there are few cases."""
    rng = random.Random(seed ^ 0x5EED)
    attempts = list(fresh(suite, op, rng))
    if profile == "backendbench":
        return attempts
    attempts = _in_more_forms(suite, op, overload, attempts, rng)
    attempts = [each for each in attempts if each.purpose == "base" or domains.fit(op, each.call)]
    for attempt in attempts:
        forms.settle(overload, attempt.call)
    return attempts


def _in_more_forms(
    suite: Suite, op: Operator, overload: torch._ops.OpOverload, bases: list[Attempt], rng: random.Random
) -> list[Attempt]:
    others = list(fresh(suite, op, rng))
    for attempt in others:
        inputs.meet(overload, attempt.call, rng)
    attempts = bases + list(_varied(overload, bases, rng)) + others
    attempts += _reformed(overload, attempts, rng)
    round_bytes = sum(inputs.bytes_of(attempt.call) for attempt in bases)
    own = sum(attempt.purpose not in REFORMED for attempt in attempts)
    enough = max(MIN_CALLS, len(attempts) + MIN_OWN - own)
    while bases and len(attempts) < enough and len(attempts) * round_bytes < HELD_BYTES * len(bases):
        bases = list(fresh(suite, op, rng))
        attempts += bases + list(_varied(overload, bases, rng))
    return attempts


def fresh(suite: Suite, op: Operator, rng: random.Random) -> Iterator[Attempt]:
    """A draw of each case, as the suite makes it."""
    seed = rng.getrandbits(48)
    for case, call in enumerate(suite.draws(op, CaseKind.CORRECTNESS, seed)):
        if call is not None:
            yield Attempt(case, call, "base")


_VARIATIONS = (
    ("nudged", inputs.nudged),
    ("edges", inputs.edges),
    ("scaled", inputs.scaled),
    ("spiked", spikes.spiked),
    ("spiked", spikes.spiked),  # where one happens to be met
)


def _varied(overload: torch._ops.OpOverload, bases: list[Attempt], rng: random.Random) -> Iterator[Attempt]:
    """Each draw again with few elements changed, with special values, at another scale, and with spikes."""
    for attempt in bases:
        for purpose, vary in _VARIATIONS:
            tries = 1 if inputs.bytes_of(attempt.call) > REFORMED_BYTES else TRIED
            for _ in range(tries):
                varied = vary(overload, attempt.call, rng)
                if varied is None or not overlooked.is_one_answer(overload, varied):
                    break
            if varied is not None:
                yield Attempt(attempt.case, varied, purpose)


def _reformed(
    overload: torch._ops.OpOverload, attempts: list[Attempt], rng: random.Random
) -> Iterator[Attempt]:
    """A draw of ordinary values and one of special values in each other form, of cases that have the form; and a
    few with another setting."""
    able = [attempt for attempt in attempts if not forms.writes_over_itself(overload, attempt.call)]
    small = next(filter(None, (
        [each for each in able if inputs.bytes_of(each.call) <= limit]
        for limit in (REFORMED_BYTES, 4 * REFORMED_BYTES, LARGEST_REFORMED_BYTES)
    )), [])  # fmt: skip
    bases, edges = ([each for each in small if each.purpose == purpose] for purpose in ("base", "edges"))
    few = frozenset(id(each) for each in bases + edges if _elements_of(overload, each) < _FEW)
    telling = functools.partial(_telling, overload, few=few, rng=rng)
    for form, reform in forms.FORMS.items():
        for turn, able in enumerate((bases, edges or bases)):
            change = functools.partial(reform, overload, rng=rng, turn=turn)
            yield from telling(form, able, change)
    for name in windows.lists(overload):
        change = functools.partial(windows.uneven, overload, rng=rng, name=name)
        yield from telling("uneven", bases, change)
    for name in settings.of(overload)[:MOST_RESET]:
        for turn in range(settings.turns(name)):
            change = functools.partial(settings.reset, overload, rng=rng, turn=turn, name=name)
            able = edges if name in settings.IN_THE_PLACE_OF_SPECIAL else bases
            yield from telling("reset", able, change)


def _elements_of(overload: torch._ops.OpOverload, attempt: Attempt) -> int:
    """Of its largest tensor; where it is given none, of its result."""
    tensors = inputs.tensors_of(attempt.call)
    if not tensors:
        return result_elements(overload, attempt.call) or 0
    return max(tensor.numel() for tensor in tensors)


def _telling(
    overload: torch._ops.OpOverload,
    form: str,
    able: list[Attempt],
    reform: Callable[[Call], Call | None],
    *,
    few: frozenset[int],
    rng: random.Random,
) -> Iterator[Attempt]:
    """A draw that has this form, of cases in random order, those of `few` elements, by `id`, last: the first on which a kernel that overlooks the
    form is wrong, or the first of all where there is none among a few; none that ATen refuses. With more dimensions, rather one where their order shows."""
    shuffled = rng.sample(able, len(able))
    ordered = sorted(shuffled, key=lambda each: id(each) in few)
    changed = ((each, call) for each in ordered if (call := reform(each.call)) is not None)
    best: Attempt | None = None
    told = 0
    tried = refused = 0
    for base, call in changed:
        answer = overlooked.tells(overload, form, base.call, call)
        if answer is None:
            refused += 1
            if refused > REFUSED:
                break
            continue
        tried += 1
        tells = int(answer)
        if tells and form == "raised":
            tells += overlooked.shows_order(overload, call)
        if best is None or tells > told:
            best, told = Attempt(base.case, call, form), tells
        if tried == TRIED or tells == 1 + (form == "raised"):
            break
    if best is not None:
        yield best


def _attempt(bench: Bench, ahead: Ahead, number: int, tally: _Tally, phase: Phase, record: bool) -> bool:
    """Judge one draw; False when the rest is not worth calling."""
    attempt = ahead.attempts()[number]
    try:
        expectation = ahead.expectation(number)
    except oracle.Unjudgeable as error:
        phase.unjudgeable = phase.unjudgeable or str(error)
        return True
    if expectation is None:
        return True
    try:
        keeper = bench.candidate()
        with bench.sharing(), bench.stages("run" if tally.judged else "first_calls"):
            sample = bench.call(
                keeper,
                attempt.case,
                attempt.call,
                output_metas(expectation),
                form=f"{attempt.purpose} {number}" if attempt.purpose in REFORMED else "",
                record=record,
                meanwhile=ahead.step,
            )
    except CompileFailed as error:
        phase.compile_error = str(error)
        return False
    except Ended as error:
        tally.judged += 1
        phase.ended = phase.ended or error
        tally.note(status_of(error), told(attempt, str(error)))
        if isinstance(error, Forged):
            phase.evidence.append(Evidence(rule="forged_frame", detail=str(error)))
        return not bench.give_up(error)
    tally.judged += 1
    claims, is_copy = sample.claims, False
    if claims.launched is not None:
        with bench.sharing(), bench.stages("check"):
            is_copy = _is_a_copy(expectation, attempt.call)
    phase.operators.append(
        audit.Operators(
            claims.operators,
            claims.launched,
            is_recorded=record,
            is_copy=is_copy,
            heard=claims.heard,
        )
    )
    if claims.error:
        _note_exception(claims, attempt, tally, phase, bench)
        return True
    with bench.sharing(), bench.stages("check"):
        finding = checker.check(expectation, sample.observed)
        example = finding.example and not tally.failed and with_inputs(finding.example, attempt.call)
    tally.note_errors(finding)
    status = CaseStatus.PASSED if finding.passed else CaseStatus.WRONG
    tally.note(status, told(attempt, finding.message) if finding.message else "", example or None)
    return True


def _is_a_copy(expectation: oracle.Expectation, call: Call) -> bool:
    """Whether every result is one of the inputs, so that nobody needs a kernel for this call: the joining of a single tensor."""
    given = inputs.tensors_of(call)
    return all(
        any(same_bits(value, each.to(value.device)) for each in given if each.shape == value.shape)
        for value in (expected.reference for expected in expectation.outputs)
        if isinstance(value, torch.Tensor)
    )


def expectation_of(
    overload: torch._ops.OpOverload, attempt: Attempt, profile: Profile
) -> oracle.Expectation | None:
    """What a right kernel gives on this draw; None for a special value that has no clear answer.

    Raises `Unjudgeable` where nobody can say, and then the draw is not called.
    """
    expectation = oracle.expect(overload, attempt.call, profile=profile)
    if attempt.purpose not in ("base", "nudged") and not oracle.admissible(expectation):
        return None
    return expectation


def told(attempt: Attempt, message: str) -> str:
    """The message, and where the draw has another form than its case, the arguments that it is about."""
    return f"called as {describe(attempt.call)}: {message}" if attempt.purpose in REFORMED else message


def output_metas(expectation: oracle.Expectation) -> tuple[Meta | None, ...]:
    """Form of each output that is a tensor."""
    return tuple(
        Meta.of(value) if isinstance(value, torch.Tensor) else None
        for value in (expected.reference for expected in expectation.outputs)
    )


def _note_exception(claims: wire.Done, attempt: Attempt, tally: _Tally, phase: Phase, bench: Bench) -> None:
    text = claims.error
    if lost := lost_process(claims):
        tally.note(CaseStatus.CRASHED, str(lost))
        phase.ended = phase.ended or lost
        bench.discard()
    else:
        if claims.error_type in _COMPILER:
            tally.compiler = tally.compiler or text
        tally.note(CaseStatus.RAISED, told(attempt, f"the kernel raised {text}"))


def lost_process(claims: wire.Done) -> Crashed | None:
    """A crash that came back as an exception: the process is of no more use."""
    text = claims.error
    if any(sign in text for sign in _LOST_CONTEXT):
        # The worker's CUDA context is gone for good: whatever comes after would fail for this.
        return Crashed(f"the kernel broke the CUDA context: {text}")
    if claims.error_type in _OUT_OF_MEMORY or "can't allocate memory" in text:
        return Crashed(f"the kernel ran out of memory: {text}")
    return None


def status_of(error: Ended) -> CaseStatus:
    if isinstance(error, TimedOut):
        return CaseStatus.TIMED_OUT
    return CaseStatus.CHEATED if isinstance(error, Forged) else CaseStatus.CRASHED


def _leave_out_unjudged(tallies: list[_Tally], attempts: list[Attempt], phase: Phase) -> None:
    """A case of which no draw could be judged by anybody counts for nothing."""
    stopped = phase.ended is not None or phase.compile_error
    drawn = {attempt.case for attempt in attempts}
    for case, tally in enumerate(tallies):
        if tally.judged or (stopped and case in drawn):
            if not tally.judged:
                tally.message = tally.message or "not run: the worker was gone"
            phase.results.append(tally.result())


def larger(a: float | None, b: float | None) -> float | None:
    return b if a is None else a if b is None else max(a, b)
