"""GPUs rented from Modal judge: submissions go to a class that `backend-bench deploy modal` has put there.

In its containers the same judge service runs as anywhere. Here is what the chooser of places needs; the
client's side is in `calls`, the container's in `container`, what lies between in `letters`, putting it
there in `deployment`, and what can go wrong in `failures`. Nothing imports Modal's client before a rented
GPU is named.

gpu          asked of Modal     why
A100         A100-40GB          `A100` alone may become a card of 80 GB
H100         H100!              `H100` alone may become an H200
any other    the same
"""

from __future__ import annotations

import os
from collections.abc import Callable

from backend_bench.cases import SuiteIndex
from backend_bench.errors import UsageError, need
from backend_bench.executors import Executor
from backend_bench.submission import Device, SuiteSpec

APP = "BACKEND_BENCH_MODAL_APP"
"""Variable that names the deployed app, for several in one workspace."""
RETRIES = "BACKEND_BENCH_MODAL_RETRIES"
"""Variable that says how often a submission is sent again whose container was lost."""
_AS = {"A100": "A100-40GB", "H100": "H100!"}


def check(gpu: str) -> None:
    """Raise `UsageError` without Modal's client, and where nobody is logged in."""
    require()
    from backend_bench.executors.modal import failures

    failures.require_login()
    retries()


def executor(gpu: str) -> Executor:
    """The way to the deployed class, with that GPU."""
    from backend_bench.executors.modal.calls import ModalExecutor

    return ModalExecutor(gpu)


def read_index(gpu: str, spec: SuiteSpec) -> SuiteIndex:
    """A suite's index: as this build was told it before, else asked there."""
    from backend_bench.executors.modal.calls import read_index

    return read_index(gpu, spec)


def device(gpu: str) -> Device:
    """On the rented GPU."""
    return "cuda"


def steps(gpu: str) -> list[tuple[str, Callable[[], str]]]:
    """What `doctor` looks at."""
    from backend_bench.executors.modal.calls import deployed, logged_in

    return [("account", logged_in), ("app", lambda: deployed(gpu))]


def require() -> None:
    """Raise `MissingExtra` where Modal's client is not installed."""
    need("modal", "modal", "renting a GPU from Modal needs its client")


def asked_as(gpu: str) -> str:
    """What Modal calls that GPU, and nothing else that it might give instead."""
    return _AS.get(gpu, gpu)


def app_name() -> str:
    """The name under which the judge is deployed."""
    return os.environ.get(APP) or "backend-bench"


def retries() -> int:
    """How often a submission is sent again whose container was lost. Raises `UsageError`."""
    text = os.environ.get(RETRIES) or "1"
    if not text.isdigit() or int(text) > 10:
        raise UsageError(f"{RETRIES}={text!r} is no whole number from 0 to 10")
    return int(text)
