"""Each language proves itself on this device: its example kernel is loaded and called in a real worker.

A language whose hello-world fails is not offered, and says why: a kernel in it gets no score then, because what is
missing is this machine's. It is run when somebody asks what there is, and when a kernel failed everywhere. Judges no candidate.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from backend_bench.cases import Call
from backend_bench.judge.bench import Bench, CompileFailed
from backend_bench.judge.keeper import Ended
from backend_bench.judge.stage import Meta
from backend_bench.judge.stay import Stay
from backend_bench.languages import HELLO, PLUGINS, Plugin, example
from backend_bench.submission import Language, Sandbox, Submission

FORGET_S = 60.0
"""A failure may pass: a full disk, a device that somebody else keeps busy. A success is remembered for good."""
_SIZE = 1000
"""Elements of the input: several blocks of any kernel, and a tail."""


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one hello-world came to."""

    reason: str
    """Why the language is not offered; empty where it is."""
    when: float
    """By `time.monotonic`."""

    @property
    def counts(self) -> bool:
        return not self.reason or time.monotonic() - self.when < FORGET_S


class Hello:
    """Which languages can be judged on one device. Safe to call from several threads."""

    def __init__(self, device: torch.device, stay: Callable[[], Stay]) -> None:
        self._device = device
        self._stay = stay
        self._findings: dict[tuple[Language, Sandbox], _Finding] = {}
        self._locks = {name: threading.Lock() for name in PLUGINS}

    def refusal(self, language: Language, level: Sandbox) -> str:
        """Why a language is not offered here; empty where it is.

        Raises `WorkerLost` or `SandboxUnavailable` where no worker can be had, which says nothing about the language.
        """
        with self._locks[language]:
            known = self._findings.get((language, level))
            if known is None or not known.counts:
                reason = self._try(PLUGINS[language], level)
                known = self._findings[language, level] = _Finding(reason, time.monotonic())
            return known.reason

    def _try(self, plugin: Plugin, level: Sandbox) -> str:
        if refusal := plugin.refusal("cuda" if self._device.type == "cuda" else "cpu"):
            return refusal
        source = example(plugin.name, HELLO)
        assert source is not None, f"language {plugin.name} has no hello-world"
        submission = Submission(op=HELLO, source=source, language=plugin.name, sandbox=level)
        try:
            with Bench(submission, plugin.name, self._stay()) as bench:
                failure = self._said(bench)
        except (CompileFailed, Ended) as error:
            failure = str(error)
        if not failure:
            return ""
        install = f"; to have it: {plugin.install}" if "ModuleNotFoundError" in failure else ""
        return f"its hello-world failed here: {failure.splitlines()[0]}{install}"

    def _said(self, bench: Bench) -> str:
        """What is wrong with the answer of the example kernel; empty where nothing is."""
        given = torch.linspace(-1, 1, _SIZE, device=self._device)
        keeper = bench.candidate()
        with bench.sharing():
            sample = bench.call(keeper, "hello", Call((given,)), (Meta.of(given),))
        if sample.claims.error:
            return sample.claims.error
        right, values = given.clamp_min(0), [output.value for output in sample.observed.outputs]
        match values:
            case [torch.Tensor() as value] if torch.equal(value.to(self._device), right):
                return ""
        return "it gave wrong values"
