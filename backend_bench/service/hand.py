"""A judge's process, seen from the queue: started by name, asked over a channel, never waited for at the start.

What is asked before torch is imported there waits in the channel. A process that dies takes its questions along;
who asked decides whether to ask another.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import sys
from typing import Any, Generic, TypeVar

import msgspec

from backend_bench.errors import JudgeError
from backend_bench.judge import requests
from backend_bench.judge.cores import Share

T = TypeVar("T")

log = logging.getLogger(__name__)

CLOSE_LIMIT_S = 3.0
"""It ends by itself before that, unless it is stuck in the kernel."""


class HandLost(JudgeError):
    """The process died before it answered."""


class Errand(Generic[T]):
    """Something that was asked, and its answer to come."""

    def __init__(self, hand: Hand, number: int, answer: type[T]) -> None:
        self.hand, self.number, self.type = hand, number, answer
        self.answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def abandon(self) -> None:
        """Nobody waits for it any more; it ends soon, and is answered all the same."""
        self.hand.say(requests.Abandon(self.number))


class Hand:
    """One process. Make it with `start`; all methods are for the thread of one event loop."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self._numbers = itertools.count(1)
        self._errands: dict[int, Errand[Any]] = {}
        self.alive = True
        self._listening = asyncio.ensure_future(self._listen())

    @classmethod
    async def start(cls, share: Share) -> Hand:
        """A new one; it can be asked at once."""
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: a file of the folder that we are in must not stand in for a module.
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "backend_bench.judge", str(theirs.fileno()),
                msgspec.json.encode(share).decode(),
                pass_fds=(theirs.fileno(),), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        reader, writer = await asyncio.open_connection(sock=ours, limit=requests.LONGEST_LINE)
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def running(self) -> int:
        """Questions that it has not answered."""
        return len(self._errands)

    def ask(self, what: requests.Request, answer: type[T]) -> Errand[T]:
        """Ask; the answer raises what the judge raised, and `HandLost` where it died."""
        errand = Errand(self, next(self._numbers), answer)
        if self.alive:
            self._errands[errand.number] = errand
            self.say(requests.Question(errand.number, what))
        else:
            errand.answer.set_exception(self._lost())
        return errand

    def say(self, message: requests.Question | requests.Abandon) -> None:
        """Send a line, if it is still there to read it."""
        if self.alive:
            self._writer.write(requests.line_of(message))

    async def close(self) -> None:
        """Hang up and see it end. What it was asked is answered by nobody."""
        self._listening.cancel()
        self._end()
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _listen(self) -> None:
        try:
            while (line := await self._reader.readline()).endswith(
                b"\n"
            ):  # else it died in the middle of one
                self._hear(requests.answered(line))
        except ConnectionError:
            pass  # as good as the end of the lines
        except (ValueError, msgspec.DecodeError):
            log.exception("the judge's process %d says what no judge says", self.pid)
        finally:
            self._end()

    def _hear(self, message: requests.Answer | requests.Refusal) -> None:
        errand = self._errands.pop(message.number)
        if errand.answer.done():
            return
        if isinstance(message, requests.Refusal):
            errand.answer.set_exception(message.as_error())
        else:
            errand.answer.set_result(msgspec.json.decode(message.body, type=errand.type))

    def _end(self) -> None:
        """It is gone, or shall be: nothing is asked of it any more."""
        self.alive = False
        self._writer.close()  # one that is not dead ends then
        errands, self._errands = self._errands, {}
        for errand in errands.values():
            if not errand.answer.done():
                errand.answer.set_exception(self._lost())

    def _lost(self) -> HandLost:
        code = self._process.returncode
        how = "" if code is None else f" (signal {-code})" if code < 0 else f" (exit {code})"
        return HandLost(f"the judge's process {self.pid} died{how} before it answered")
