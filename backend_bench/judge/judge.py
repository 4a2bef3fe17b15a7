"""The judge: first right, then fast. One submission in, one verdict out.

Trusted. Loads no candidate code, unpickles nothing from a worker, and looks only at private copies.
Whatever goes wrong on its own side is a verdict `error`, never a score of 0.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

from backend_bench import wire
from backend_bench.cases import Entry
from backend_bench.errors import Abandoned, BackendBenchError, UsageError, WorkerLost
from backend_bench.grading.running import ran_out_of_memory, tells_of_no_memory
from backend_bench.grading.score import score
from backend_bench.judge import audit, cores, correctness, performance, refusals, roofline
from backend_bench.judge.bench import UNTIMED_CHANNELS, Bench, CompileFailed
from backend_bench.judge.figures import UNSTABLE
from backend_bench.judge.hello import Hello
from backend_bench.judge.keeper import Crashed, Ended, Forged, Killed, TimedOut
from backend_bench.judge.listening import Findings, Listening
from backend_bench.judge.nursery import Nursery, Wish
from backend_bench.judge.room import Room
from backend_bench.judge.stay import Stay
from backend_bench.judge.twins import Twins
from backend_bench.judge.zygotes import Zygotes
from backend_bench.languages import NAMES, PLUGINS, language_of, mismatch
from backend_bench.leases import Lease, lease_name
from backend_bench.operator import Operator
from backend_bench.submission import Language, Limits, Sandbox, Submission, SuiteSpec
from backend_bench.suites import Suite, open_suite
from backend_bench.suites.arguments import parse
from backend_bench.suites.trials import cost, input_bytes
from backend_bench.verdict import CaseKind, CaseResult, CaseStatus, Evidence, Status, Verdict

log = logging.getLogger(__name__)

THREADS = 1
"""Threads of ATen and of a candidate on a CPU: both sides the same, and stable beside other work."""


class Judge:
    """Judges on one device. Safe to call from several threads; use it as a context manager."""

    def __init__(self, device: torch.device, zygotes: Zygotes, share: cores.Share = cores.UNDIVIDED) -> None:
        self.lease = Lease(lease_name(device))
        self._share = share
        self._room = Room.of(device)
        self._nursery = Nursery(device, self.lease, zygotes, threads=THREADS)
        self._twins = Twins(self._nursery)
        self._hello = Hello(device, self.stay)
        self._suites: dict[SuiteSpec, Suite] = {}
        self._opening = threading.Lock()
        self._known_peaks: roofline.Peaks | None = None
        self._measuring = threading.Lock()

    def __enter__(self) -> Judge:
        return self

    def __exit__(self, *_: object) -> None:
        self._twins.close()
        self._nursery.close()

    def suite(self, spec: SuiteSpec) -> Suite:
        """The suite, opened once. Raises `UsageError`."""
        with self._opening:
            if spec not in self._suites:
                self._suites[spec] = open_suite(spec)
            return self._suites[spec]

    def stay(self) -> Stay:
        """A place for one submission; who has it can abandon it."""
        return Stay(self._nursery, self._twins, self.lease, self._share)

    def walls(self, level: Sandbox = "best-effort") -> dict[str, tuple[str, ...]]:
        """Which walls of the sandbox hold around a worker here, and which are missing and why; on a GPU also whether its kernels are heard."""
        wish = Wish("native", level, Limits().memory_bytes)
        with self._nursery.take(wish) as keeper:
            assert keeper.sandbox is not None
            holds, missing = keeper.sandbox.holds, keeper.sandbox.missing
        if self._nursery.device.type == "cpu":
            return {"holds": holds, "missing": missing}
        with self._nursery.made(dataclasses.replace(wish, channels=UNTIMED_CHANNELS, listens=True)) as keeper:
            assert keeper.sandbox is not None
            deaf = tuple(wall for wall in keeper.sandbox.missing if wall.startswith(wire.HEARING))
        return {"holds": holds if deaf else (*holds, wire.HEARING), "missing": (*missing, *deaf)}

    def languages(self, level: Sandbox = "best-effort") -> dict[str, str]:
        """Each language, and why it is not offered here; nothing where it is."""
        return {name: self._hello.refusal(name, level) for name in NAMES}

    def judge(self, submission: Submission, stay: Stay | None = None) -> Verdict:
        """The verdict. Raises `UsageError` for an operator or suite that does not exist, and `Abandoned`."""
        stay = stay or self.stay()
        if submission.kind == "reference" and submission.source:
            raise UsageError("kind `reference` is ATen itself and carries no source")
        suite = self.suite(submission.suite)
        entry = suite.entry(submission.op)
        if entry is None:
            raise UsageError(f"suite {suite.spec.name} has no operator {submission.op}")
        wants = _Wants.of(submission, entry)
        largest = wants.largest_bytes(submission.op) if self._room.counts else 0
        protocol = self._attempt(submission, suite, entry, wants, stay, self._room.beside(largest))
        if again := protocol.second_try(is_tight=self._room.is_tight):
            if again.alone:
                self._twins.end_idle()
            room = self._room.alone() if again.alone else self._room.beside(largest)
            protocol = self._attempt(submission, suite, entry, wants, stay, room)
            protocol.notes.append(f"judged twice, this is the second: {again.why}")
        return protocol.verdict(stay.stages.spent_s())

    def _attempt(
        self, submission: Submission, suite: Suite, entry: Entry, wants: _Wants, stay: Stay,
        room: contextlib.AbstractContextManager[None],
    ) -> _Protocol:  # fmt: skip
        """One try; whatever goes wrong on our side is noted as our fault."""
        protocol = _Protocol(submission)
        try:
            with stay.waited_for(room):
                self._proceed(protocol, suite, entry, wants, stay)
        except Abandoned:
            raise
        except Exception as error:
            log.exception("judging %s failed", submission.op)
            protocol.note_fault(error)
        return protocol

    def _proceed(self, protocol: _Protocol, suite: Suite, entry: Entry, wants: _Wants, stay: Stay) -> None:
        submission = protocol.submission
        if entry.untimed and submission.only != "correctness":
            protocol.notes.append(f"no performance cases: {entry.untimed}")
        if not wants.correctness and not wants.performance:
            protocol.no_cases = entry.reason or "the suite has no cases of this kind for it"
            return
        if submission.kind == "candidate":
            protocol.compile_error = mismatch(submission)
            if not protocol.compile_error:
                protocol.note_refusal(PLUGINS[protocol.language].refusal(submission.suite.device))
            if protocol.fault:
                return
        if not protocol.compile_error:
            self._call_it(protocol, suite, entry, wants, stay)
            if submission.kind == "candidate" and not any(case.passed for case in protocol.cases):
                # Nothing of the kernel worked: that may be this machine's fault and not the kernel's.
                protocol.note_refusal(self._hello.refusal(protocol.language, submission.sandbox))
        if (protocol.compile_error or protocol.ended) and not protocol.cases:
            refused = entry.error_inputs if wants.correctness else ()
            protocol.note_not_run(wants.correctness, wants.performance, refused)

    def _call_it(self, protocol: _Protocol, suite: Suite, entry: Entry, wants: _Wants, stay: Stay) -> None:
        submission = protocol.submission
        wants_performance = wants.performance
        seed = submission.seed if submission.seed is not None else secrets.randbits(48)
        with Bench(submission, protocol.language, stay) as bench:
            if bench.interpreted and wants_performance:
                protocol.notes.append("interpreted on a CPU: performance is not measured")
                wants_performance = ()
            timing = performance.Timing(
                bench, suite, submission.op, wants_performance, seed=seed ^ 1,
                profile=submission.profile, peaks=self._peaks(bench) if wants_performance else roofline.Peaks(),
            )  # fmt: skip
            if wants_performance:
                with stay.stages("timing"):
                    timing.before()
                protocol.note_left_out(timing.phase.left_out)
            ahead = correctness.Ahead(
                bench, suite, submission.op, len(wants.correctness), seed=seed, profile=submission.profile
            )
            try:
                with stay.stages("load"):
                    bench.candidate(meanwhile=ahead.step if wants.correctness else None)
            except CompileFailed as error:
                protocol.compile_error = str(error)
            except Ended as error:
                protocol.note_end(error)
            protocol.sandbox = bench.sandbox
            if protocol.compile_error or protocol.ended:
                return
            if wants.correctness:
                phase = correctness.run(
                    bench, ahead, wants.correctness, seed=seed, record=protocol.is_recorded
                )
                refused = refusals.run(bench, suite, submission.op, entry.error_inputs, phase, seed=seed)
                protocol.note_correctness(phase)
                protocol.cases += refused
            if wants_performance and not protocol.compile_error:
                with stay.stages("timing"):
                    protocol.note_performance(timing.run())
            if bench.can_listen and not bench.listens and protocol.is_promising:
                heard_in = Listening(
                    bench, suite, submission, wants.correctness, timing if wants_performance else None, seed ^ 2
                )  # fmt: skip
                with stay.stages("listen"):
                    self._listen(protocol, bench, heard_in)
            protocol.note_deaf(bench.sandbox)

    def _listen(self, protocol: _Protocol, bench: Bench, heard_in: Listening) -> None:
        """Time what was timed once more, and call some of the rest, where it is heard which kernels run."""
        if (late := heard_in.late()) is not None:
            for findings in late:
                protocol.note_heard(findings)
            protocol.note_if_unheard()
            return
        with bench.listening():
            try:
                for findings in heard_in.from_birth():
                    protocol.note_heard(findings)
                    if not protocol.is_promising:
                        break
                protocol.note_if_unheard()
            except CompileFailed as error:
                protocol.compile_error = str(error)
            except Ended as error:
                protocol.note_end(error)
                protocol.note_unheard(str(error))
            protocol.note_deaf(bench.sandbox)

    def _peaks(self, bench: Bench) -> roofline.Peaks:
        with self._measuring:
            if self._known_peaks is None:
                with bench.alone():
                    self._known_peaks = roofline.best(bench.device)
            return self._known_peaks


@dataclass(frozen=True, slots=True)
class _Wants:
    """The texts of the cases that count."""

    correctness: tuple[str, ...]
    performance: tuple[str, ...]

    @classmethod
    def of(cls, submission: Submission, entry: Entry) -> _Wants:
        return cls(
            entry.correctness if submission.only != "performance" else (),
            entry.performance if submission.only != "correctness" else (),
        )

    def largest_bytes(self, op: Operator) -> int:
        """Inputs and results of the largest."""
        return max((_bytes_of(op, text) for text in (*self.correctness, *self.performance)), default=0)


@functools.lru_cache(maxsize=100_000)
def _bytes_of(op: Operator, text: str) -> int:
    arguments = parse(text)
    found = cost(op, arguments)
    return input_bytes(arguments) if isinstance(found, str) else found.bytes


@dataclass(frozen=True, slots=True)
class _Again:
    """A second try."""

    why: str
    alone: bool
    """While nobody else judges on the device."""


@dataclass(slots=True)
class _Protocol:
    """What happened so far to one submission; becomes its verdict."""

    submission: Submission
    cases: list[CaseResult] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    recorded: list[audit.Operators] = field(default_factory=list)
    """What the kernel called in the calls in which all of it was recorded."""
    heard: list[audit.Operators] = field(default_factory=list)
    """And in those after the times in which it was heard which kernels ran."""
    kernels: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    sandbox: tuple[str, ...] = ()
    compile_error: str = ""
    no_cases: str = ""
    fault: str = ""
    lost_worker: bool = False
    """The fault was the loss of a worker: worth another try."""
    no_room: bool = False
    """The fault was that the device had no memory left: worth another try, without neighbours."""
    left_out: frozenset[str] = frozenset()
    """Performance cases that have no time."""
    unjudgeable: str = ""
    ended: Ended | None = None

    def second_try(self, *, is_tight: Callable[[], bool]) -> _Again | None:
        """If memory ran out beside others, or a worker was lost through nobody's doing, or killed by we do not know whom.

        A kernel that kills itself does so again, and then it counts. So does one that fills a device by itself; `is_tight` tells
        whether others hold most of the device.
        """
        if self.fatal:
            return None
        if self.no_room or self.lost_worker:  # which may be for want of memory, too
            return _Again(self.fault, alone=self.no_room or is_tight())
        if isinstance(self.ended, Killed):
            return _Again(str(self.ended), alone=False)
        messages = (
            str(self.ended or ""),
            self.compile_error,
            *(case.message for case in self.cases if not case.passed),
        )
        if any(map(tells_of_no_memory, messages)) and is_tight():
            return _Again("the kernel found no memory beside others", alone=True)
        return None

    @property
    def fatal(self) -> list[Evidence]:
        """What settles the verdict, whatever else happened."""
        return [evidence for evidence in self.evidence if evidence.rule in audit.FATAL]

    @property
    def language(self) -> Language:
        return language_of(self.submission)

    @property
    def is_promising(self) -> bool:
        """Something of the kernel was right, and nothing has settled the verdict yet."""
        return not (self.fatal or self.fault or self.compile_error) and any(
            case.passed for case in self.cases
        )

    @property
    def is_recorded(self) -> bool:
        return self.submission.kind == "candidate" and self.submission.profile == "strict"

    def note_left_out(self, reasons: Mapping[str, str]) -> None:
        """Cases that have no time, whatever the kernel does, each with its reason."""
        self.left_out = frozenset(reasons)
        for reason, count in Counter(reasons.values()).items():
            self.unjudgeable = self.unjudgeable or reason
            self.notes.append(f"{count} performance case{'s' * (count > 1)} left out: {reason}")

    def note_fault(self, error: Exception) -> None:
        """Our own; where memory ran out, only its first sentence, for the rest lists all processes of the device."""
        self.lost_worker, self.no_room = isinstance(error, WorkerLost), ran_out_of_memory(error)
        text = str(error) if isinstance(error, BackendBenchError) else f"{type(error).__name__}: {error}"
        if self.no_room:
            text = f"the device's memory does not suffice for the judge's own part: {text.partition('. ')[0]}"
        self.fault = text

    def note_not_run(
        self, correctness: tuple[str, ...], performance: tuple[str, ...], refused: tuple[str, ...]
    ) -> None:
        """The kernel never got as far as a case: all of them count as failed."""
        for kind, texts in (
            (CaseKind.CORRECTNESS, correctness),
            (CaseKind.PERFORMANCE, performance),
            (CaseKind.ERROR_INPUT, refused),
        ):
            self.cases += [
                CaseResult(args=text, kind=kind, status=CaseStatus.NOT_RUN, message="not run")
                for text in texts
                if kind is not CaseKind.PERFORMANCE or text not in self.left_out
            ]

    def note_refusal(self, reason: str) -> None:
        """The language cannot be judged here, if there is a reason."""
        if reason:
            self.fault = f"language {self.language} is not offered on this machine: {reason}"

    def note_end(self, error: Ended) -> None:
        self.ended = self.ended or error
        if isinstance(error, Forged):
            self.evidence.append(Evidence(rule="forged_frame", detail=str(error)))

    def note_correctness(self, phase: correctness.Phase) -> None:
        self.cases += phase.results
        self.unjudgeable = phase.unjudgeable or self.unjudgeable
        self.recorded = [operators for operators in phase.operators if operators.is_recorded]
        self.evidence += phase.evidence
        self.evidence += audit.of_submission(self.submission, phase.operators)
        self.kernels = audit.launches(phase.operators)
        self.ended = self.ended or phase.ended
        self.compile_error = phase.compile_error

    def note_heard(self, findings: Findings) -> None:
        """Of calls in a worker whose driver was heard. They count as all others do."""
        self.ended = self.ended or findings.ended
        self.compile_error = self.compile_error or findings.compile_error
        self.heard += findings.calls
        self.evidence += findings.evidence
        self.kernels = audit.launches(self.heard)
        for case in findings.results:
            if case.passed:
                self._replace(case)
            else:
                self._fail(case)

    def note_unheard(self, why: str) -> None:
        """No time counts: who does not want to be heard fails."""
        for case in self.cases:
            if case.kind is CaseKind.PERFORMANCE and case.passed:
                message = f"not run: {why}"
                self._fail(dataclasses.replace(case, status=CaseStatus.NOT_RUN, message=message))

    def note_if_unheard(self) -> None:
        """Say so where there was nothing to hear."""
        if not (self.heard or self.ended or self.compile_error):
            self.notes.append("nobody heard which kernels ran: there was no call to hear")

    def _fail(self, heard: CaseResult) -> None:
        """A case that had passed has not, by what was heard of it."""
        message = f"called once more, to hear which kernels run: {heard.message}"
        self._replace(dataclasses.replace(heard, message=message))

    def _replace(self, heard: CaseResult) -> None:
        """What counts of a case that had passed."""
        for place, case in enumerate(self.cases):
            if case.passed and (case.kind, case.args) == (heard.kind, heard.args):
                self.cases[place] = heard
                return

    def note_deaf(self, sandbox: tuple[str, ...]) -> None:
        """Say so where nobody can hear which kernels run."""
        self.notes += [f"nobody heard which kernels ran: {wall}" for wall in sandbox if wire.HEARING in wall]

    def note_performance(self, phase: performance.Phase) -> None:
        self.cases += phase.results
        self.evidence += phase.evidence
        for operators in phase.operators.values():
            found = audit.of_submission(self.submission, [*self.recorded, *operators], is_timed=True)
            self.evidence += [evidence for evidence in found if evidence not in self.evidence]
        shaky = [case for case in phase.results if case.passed and (case.noise or 1.0) > UNSTABLE]
        if shaky:
            self.notes.append(
                f"unstable times: noise above {UNSTABLE:.0%} in {len(shaky)} of {len(phase.results)} "
                "performance cases; repeat on a quieter machine"
            )
        if phase.overruled:
            self.notes.append(
                f"in {phase.overruled} of {len(phase.results)} performance cases another time counts than was sampled: the "
                "judge's own clock contradicts it (work outside of the calls, or a disturbed machine)"
            )
        self.ended = self.ended or phase.ended

    def verdict(self, stages_s: dict[str, float]) -> Verdict:
        submission = self.submission
        status, message = self._outcome()
        scores = score(self.cases, status=status, only=submission.only, profile=submission.profile)
        return Verdict(
            op=str(submission.op),
            language="aten" if submission.kind == "reference" else self.language,
            status=status,
            message=message,
            correctness_score=scores.correctness_score,
            performance_score=scores.performance_score,
            reward=scores.reward,
            correctness=scores.correctness,
            performance=scores.performance,
            cases=tuple(self.cases),
            evidence=tuple(self.evidence),
            kernels=self.kernels,
            wall_s=round(sum(stages_s.values()), 6),
            stages_s=stages_s,
            notes=tuple(self.notes),
            sandbox=self.sandbox,
            profile=submission.profile,
            only=submission.only,
            kind=submission.kind,
            source_sha256=submission.source_sha256,
            seed=submission.seed,
        )

    def _outcome(self) -> tuple[Status, str]:
        if self.fatal:
            return Status.CHEATED, self.fatal[0].detail
        if self.fault:
            return Status.ERROR, self.fault
        if self.no_cases:
            return Status.NO_CASES, self.no_cases
        if self.compile_error:
            return Status.COMPILE_ERROR, self.compile_error
        return self._worst()

    def _worst(self) -> tuple[Status, str]:
        if isinstance(self.ended, TimedOut):
            return Status.TIMED_OUT, str(self.ended)
        if isinstance(self.ended, Crashed):
            return Status.CRASHED, str(self.ended)
        if not self.cases:
            return Status.NO_CASES, self.unjudgeable or "no case of this operator could be judged"
        failed = [case for case in self.cases if not case.passed]
        for status, worst in ((CaseStatus.CHEATED, Status.CHEATED), (CaseStatus.CRASHED, Status.CRASHED)):
            found = [case for case in failed if case.status is status]
            if found:
                return worst, found[0].message
        if failed:
            return Status.WRONG, f"{len(failed)} of {len(self.cases)} cases failed: {failed[0].message}"
        return Status.OK, ""
