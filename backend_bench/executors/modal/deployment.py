"""Puts the judge into Modal: one image with pinned versions, this package's own files, and how it may grow.

Asks Modal for things and builds nothing here. What runs there is `container`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import modal

import backend_bench
from backend_bench import runtime
from backend_bench.errors import BackendBenchError, ServiceError, UsageError
from backend_bench.executors.choose import RENTED
from backend_bench.executors.modal import app_name, asked_as, container, failures
from backend_bench.executors.modal.failures import Lost

PYTHON = "3.11"
"""The version that the package is tested with."""
PINS = (
    "torch==2.13.0",
    "triton==3.7.1",
    "numpy==2.4.6",
    "expecttest==0.3.0",
    "fastapi==0.165.0",
    "httpx==0.28.1",
    "huggingface_hub==2.4.0",
    "msgspec==0.22.0",
    "pyarrow==26.0.1",
    "pydantic==2.14.3",
    "starlette==1.10.0",
    "uvicorn==0.54.0",
)
"""What the judge's side needs, in the versions of constraints.txt; a test compares the two."""
_FOR_EVER_S = 10 * 365 * 86400
"""A container's service ends with it, and a restored one shall not think that it was idle for days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How containers come and go, how large they are, and how long one may take."""

    max_containers: int = 8
    """At most so many at once of a kind of GPU: rollouts in flight are more, and each would rent one."""
    buffer_containers: int | None = None
    """So many idle ones beside those at work."""
    scaledown_window_s: int | None = None
    """An idle container waits so long; None is Modal's own, a minute."""
    timeout_s: int = 900
    """For one request, in seconds; the judge itself allows a submission 300 s."""
    startup_timeout_s: int = 600
    """For a container to be ready, in seconds."""
    cpu: float = 4.0
    """Cores of a container: two are kept for timings, the others draw, compile and check."""
    memory_mib: int = 16384
    """Memory of a container."""
    reuse: bool = False
    """Whether a container takes another submission after its first."""
    min_containers: Mapping[str, int] = field(default_factory=dict)
    """By GPU, how many are kept started; they cost money until the next deployment."""


def deploy(scale: Scale) -> str:
    """Deploy, and say where it can be looked at. Raises `UsageError` and `ServiceError`."""
    app = application(scale)
    try:
        with modal.enable_output():
            app.deploy()
        for gpu, count in scale.min_containers.items():
            _keep_started(gpu, count)
    except (modal.Error, OSError) as error:
        raise _final(failures.told(error, " or ".join(scale.min_containers) or "none")) from error
    return str(app.get_dashboard_url())


def application(scale: Scale) -> modal.App:
    """The app as it is deployed: the class `Judge`, without a GPU, which each call names."""
    app = modal.App(app_name(), include_source=False)
    app.cls(
        image=image(scale),
        cpu=scale.cpu,
        memory=scale.memory_mib,
        timeout=scale.timeout_s,
        startup_timeout=scale.startup_timeout_s,
        max_containers=scale.max_containers,
        buffer_containers=scale.buffer_containers,
        scaledown_window=scale.scaledown_window_s,
        enable_memory_snapshot=True,
        block_network=True,
        restrict_modal_access=True,
        single_use_containers=not scale.reuse,
        _experimental_restrict_output=True,  # bytes go as CBOR and errors as text: nothing is pickled
    )(container.Judge)
    return app


def image(scale: Scale) -> modal.Image:
    """Debian with a C compiler, which Triton needs, the pinned packages, and this package's files."""
    package = Path(backend_bench.__file__).parent
    return (
        modal.Image.debian_slim(python_version=PYTHON)
        .uv_pip_install(*PINS)
        .run_commands("chmod 755 /root")  # a worker's uid is not root's, and must read the package
        .env(
            {
                runtime.IDLE: str(_FOR_EVER_S),
                container.REUSE: "1" if scale.reuse else "0",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
        )
        .add_local_dir(package, f"/root/{package.name}", ignore=["**/__pycache__"])
    )


def parse_min_containers(texts: list[str]) -> dict[str, int]:
    """From `GPU=N` each. Raises `UsageError`."""
    found = {}
    for text in texts:
        match = re.fullmatch(r"([\w-]+)=(\d{1,3})", text)
        if match is None or match[1] not in RENTED:
            raise UsageError(f"--min-containers {text} is not GPU=N with a GPU of {', '.join(RENTED)}")
        found[match[1]] = int(match[2])
    return found


def _keep_started(gpu: str, count: int) -> None:
    deployed = modal.Cls.from_name(app_name(), "Judge")
    deployed.with_options(gpu=asked_as(gpu))().answer.autoscaler.update(min_containers=count)


def _final(error: BackendBenchError | Lost) -> BackendBenchError:
    """A deployment is not tried again: a person looks on."""
    return ServiceError(f"Modal did not take the deployment: {error}") if isinstance(error, Lost) else error
