"""What Modal's errors mean for us: wrong usage, our own fault, or a call that may be made again.

what happened                                   becomes
not logged in, no permission                    UsageError
nothing deployed under that name                UsageError
a GPU, or another setting, that Modal refuses   UsageError
a client that is too old                        UsageError
no credit, or a spending limit                  ServiceError
the container died, was too slow or did not     Lost: tried again, then ServiceError
start; Modal is busy or unreachable
the container could not judge it                Answered: the same, but NotJudged

None of it is a verdict: a kernel that crashes or hangs is judged inside the container, and answered.
"""

from __future__ import annotations

import re

from modal import exception
from modal.config import config

from backend_bench.errors import BackendBenchError, ServiceError, UsageError
from backend_bench.executors.modal import app_name

_LOG_IN = "run `modal token new`, or set MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
_MONEY = re.compile(r"credit|spend|billing|payment|budget", re.IGNORECASE)
_GPU = re.compile(r"\bgpu\b", re.IGNORECASE)


class Lost(Exception):
    """A call that was not answered, through nobody's fault that we know of."""


class Answered(Lost):
    """A container answered, and its fault is that it could not judge this."""


def require_login() -> None:
    """Raise `UsageError` where there is no token; whether it is a good one only Modal can say."""
    if not any(config.get(name) for name in ("token_id", "oauth_refresh_token")):
        raise UsageError(f"nobody is logged in to Modal: {_LOG_IN}")


def told(error: Exception, gpu: str) -> BackendBenchError | Lost:
    """Our own error for one of Modal's client, or of the line to it."""
    said = str(error).strip() or type(error).__name__
    if _MONEY.search(said):
        return ServiceError(
            f"Modal takes no more work on this account: {said}; see https://modal.com/settings"
        )
    match error:
        case exception.AuthError():
            return UsageError(f"Modal does not know who asks: {_LOG_IN} ({said})")
        case exception.PermissionDeniedError():
            return UsageError(f"Modal does not let this account do that: {said}")
        case exception.NotFoundError():
            return UsageError(
                f"no judge is deployed in Modal under the name {app_name()!r}: `backend-bench deploy modal` ({said})"
            )
        case exception.VersionError():
            return UsageError(f"Modal's client is too old: pip install -U modal ({said})")
        case exception.InvalidError() if _GPU.search(said):
            return UsageError(f"gpu={gpu!r}: Modal does not rent it out ({said})")
        case exception.InvalidError():
            return UsageError(f"Modal refuses: {said}")
        case exception.FunctionTimeoutError():
            return Lost(f"the container passed its time limit; `deploy modal --timeout` sets it ({said})")
        case exception.InternalFailure():
            return Lost(f"the container died ({said})")
        case exception.ResourceExhaustedError():
            return Lost(f"Modal is too busy ({said})")
        case exception.RemoteError() | exception.ExecutionError():
            return Lost(f"what runs there failed ({said})")
        case exception.Error() | OSError():
            return Lost(f"no answer from Modal ({type(error).__name__}: {said})")
        case _:
            return Lost(f"the container did not start ({type(error).__name__}: {said})")
