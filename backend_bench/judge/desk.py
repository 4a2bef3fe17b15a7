"""One process of a judge: takes questions from the queue, a few at once, and answers each.

It opens a judge for each device that it is asked about, keeps the suites, and owns the zygotes. It ends when
the queue hangs up, and no worker is left then. Decides nothing about turns.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from backend_bench.errors import BackendBenchError, JudgeError
from backend_bench.judge import requests
from backend_bench.judge.cores import Share
from backend_bench.judge.devices import devices_of, is_broken, judges_of, machine_facts
from backend_bench.judge.judge import Judge
from backend_bench.judge.stay import Stay, end_process
from backend_bench.judge.zygotes import Zygotes
from backend_bench.submission import Device
from backend_bench.verdict import Verdict

log = logging.getLogger(__name__)

AT_ONCE = 16
"""Threads at most; the queue asks for less."""
CLOSE_LIMIT_S = 2.0
"""To kill the workers one by one; what is left then dies with its zygote, when that misses this process."""


class Desk:
    """Answers what comes over a channel; `serve` returns when that is closed."""

    def __init__(self, channel: socket.socket, zygotes: Zygotes, share: Share) -> None:
        # Several submissions at once fill the cores; threads of one tensor would wait for each other.
        torch.set_num_threads(1)
        self._channel, self._zygotes, self._share = channel, zygotes, share
        self._judges: dict[str, Judge] = {}
        self._stays: dict[int, Stay | None] = {}
        """Of each submission in hand; None until it has one."""
        self._unwanted: set[int] = set()
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._answering = threading.Lock()
        self._pool = ThreadPoolExecutor(AT_ONCE, "desk")

    def serve(self) -> None:
        """Answer until the queue hangs up."""
        with self._channel.makefile("rb") as lines:
            for line in lines:
                message = requests.asked(line)
                if isinstance(message, requests.Abandon):
                    self._abandon(message.number)
                else:
                    if isinstance(message.what, requests.Judge):
                        with self._lock:
                            self._stays[message.number] = None
                    self._pool.submit(self._answer, message)

    def close(self) -> None:
        """End the judges, every worker and the process itself, whatever its threads are at."""
        # A judge may sit in a call that takes a minute; nobody waits for its verdict any more.
        threading.Timer(CLOSE_LIMIT_S, os._exit, (0,)).start()
        with self._lock:
            stays = [stay for stay in self._stays.values() if stay is not None]
        for stay in stays:
            stay.abandon()
        for judge in self._judges.values():
            judge.__exit__()
        self._zygotes.close()
        os._exit(0)

    def _answer(self, question: requests.Question) -> None:
        number = question.number
        answer: requests.Answer | requests.Refusal
        try:
            answer = requests.Answer(number, requests.body_of(self._done(number, question.what)))
        except BackendBenchError as error:
            answer = requests.Refusal.of(number, error)
        except Exception as error:
            log.exception("question %d failed: %s", number, requests.in_words(question.what))
            answer = requests.Refusal.of(number, JudgeError(f"{type(error).__name__}: {error}"))
        self._require_devices(question.what)
        # A queue that has hung up wants no answer.
        with self._answering, contextlib.suppress(OSError):
            self._channel.sendall(requests.line_of(answer))

    def _require_devices(self, what: requests.Request) -> None:
        """End the process where a fault of ours broke a device's context: whatever it says from then on is about that."""
        for name in list(self._judges):
            if is_broken(torch.device(name)):
                end_process(f"the context on {name} is broken after: {requests.in_words(what)}")

    def _done(self, number: int, what: object) -> Any:
        match what:
            case requests.Judge(device, _):
                return self._verdict(number, self._judge(device), what)
            case requests.ReadIndex(device, spec):
                return self._judge(device).suite(spec).index()
            case requests.ListSeats(kind):
                found = devices_of(kind)
                return [
                    requests.Seat(str(device), judges_of(device, len(found), len(self._share.rest)))
                    for device in found
                ]
            case requests.WarmUp():
                return self._zygotes.of("native").mode
            case requests.TellFacts(sandbox):
                facts = machine_facts()
                walls = {kind: self._first(kind).walls(sandbox) for kind in facts["devices"]}
                return {**facts, **self._share.facts, "sandbox": walls}
            case requests.TellLanguages(sandbox):
                return {kind: self._first(kind).languages(sandbox) for kind in machine_facts()["devices"]}
        raise JudgeError(f"a question that this build does not know: {what!r}")

    def _verdict(self, number: int, judge: Judge, asked: requests.Judge) -> Verdict:
        stay = judge.stay()
        with self._lock:
            self._stays[number] = stay
            unwanted = number in self._unwanted
        if unwanted:
            stay.abandon()
        try:
            return judge.judge(asked.submission, stay)
        finally:
            with self._lock:
                del self._stays[number]
                self._unwanted.discard(number)

    def _abandon(self, number: int) -> None:
        """It may be over, on its way, or not begun."""
        with self._lock:
            if number not in self._stays:
                return
            self._unwanted.add(number)
            stay = self._stays[number]
        if stay is not None:
            stay.abandon()

    def _first(self, kind: Device) -> Judge:
        """The judge of the first device of a kind."""
        return self._judge(str(devices_of(kind)[0]))

    def _judge(self, name: str) -> Judge:
        """The judge of a device, opened when first asked for; for suites and oracles `cuda` is that device."""
        device = torch.device(name)
        if device.type == "cuda":
            torch.cuda.set_device(device)
        with self._opening:
            if name not in self._judges:
                self._judges[name] = Judge(device, self._zygotes, self._share)
            return self._judges[name]
