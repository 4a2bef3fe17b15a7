"""Everything that can go wrong on our side. A bad kernel is never an exception: it is a `Status`.

BackendBenchError
├── UsageError            the person asked for something that does not exist (exit 2)
│   └── MissingExtra      a part of the package is not installed
├── JudgeError            our own fault while judging: status `error`, never a score of 0
│   ├── WorkerLost        a worker could not be had or did not answer before any candidate ran
│   ├── DeviceUnavailable the device asked for is not there, or is broken
│   ├── NoJudge           no process that judges could be started
│   └── Abandoned         whoever wanted the verdict has gone: there will be none
├── ServiceError          the judge service could not be reached or refused
│   └── NotJudged         it answers, and could not judge this one submission
└── SandboxUnavailable    this machine cannot give the sandbox that was required
"""

from __future__ import annotations

import importlib.util


class BackendBenchError(Exception):
    """Root of the package's own errors; its text says what happened and what to do."""


class UsageError(BackendBenchError):
    """The request makes no sense as it stands."""


class MissingExtra(UsageError):
    """A needed part of the package is not installed."""

    def __init__(self, extra: str, because: str) -> None:
        super().__init__(f'{because}: pip install "backend-bench[{extra}]"')
        self.extra = extra


def need(module: str, extra: str, because: str) -> None:
    """Raise `MissingExtra` where a module is not installed; told without importing it."""
    if importlib.util.find_spec(module) is None:
        raise MissingExtra(extra, because)


class JudgeError(BackendBenchError):
    """Judging failed through our own fault."""


class WorkerLost(JudgeError):
    """A worker died, or could not be started, before candidate code was involved."""


class DeviceUnavailable(JudgeError):
    """The device that was asked for cannot be used."""


class NoJudge(JudgeError):
    """No process that judges could be started on this host."""


class Abandoned(JudgeError):
    """Nobody waits for this verdict any more; judging it was stopped."""


class ServiceError(BackendBenchError):
    """The judge service did not do its part."""


class NotJudged(ServiceError):
    """It did for others: judging this one submission failed through our own fault."""


class SandboxUnavailable(BackendBenchError):
    """The sandbox level that was required cannot be had on this machine."""
