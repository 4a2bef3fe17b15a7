"""Warm parents of workers, seen from the judge: started by name, never imported.

One zygote for each way of running. It is told to fork; it tells who died. Nothing else is said.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

from backend_bench import wire
from backend_bench.errors import WorkerLost
from backend_bench.judge.cores import threads

Mode = Literal["native", "interpreted"]

START_LIMIT_S = 120.0
"""A cold import of torch from a slow disk has been seen to take most of a minute."""
EXIT_LIMIT_S = 20.0
"""A killed process that holds a CUDA context has been seen to take seconds to go."""

_STOP_LOOKS = 500
"""Looks at a process that was told to stop, some 20 us each; it takes one or two."""
_STOP_LIMIT_S, _STOP_PAUSE_S = 2.0, 0.001
"""Processes may wake each other until all of them stand still at once; and one that waits for a core stops when it has one, which it has
sooner when we do not look."""
_STILL = "TtZX"
"""Stopped, or gone."""

_INHERITED = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "CUDA_HOME",
    "CUDA_PATH",
    "CUDA_DEVICE_ORDER",
    "TZ",
    # What the owner of a host with several GPUs has turned off stays off.
    "NCCL_NVLS_ENABLE",
    "NVSHMEM_DISABLE_NVLS",
    "TORCH_SYMM_MEM_DISABLE_MULTICAST",
)
"""The environment of a worker is an allow-list: what is not here is not there."""


def worker_environment() -> dict[str, str]:
    """The zygote's whole environment; every worker inherits it."""
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return kept | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        # One thread, or the fork is unsound: OpenBLAS and OpenMP start theirs at import otherwise.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        **STEADY_HEAP,
        "PYTORCH_NVML_BASED_CUDA_CHECK": "1",
        "CUDA_MODULE_LOADING": "LAZY",
    }


STEADY_HEAP = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
"""glibc keeps freed megabytes instead of returning them: without this a CPU kernel is timed by the
page faults of its fresh output, 0.2 ms a megabyte on some machines."""


@dataclasses.dataclass(slots=True)
class Life:
    """One worker's process, as the zygote tells it."""

    number: int
    channel: wire.Channel
    pid: int = 0
    is_relayed: bool = False
    """The first process is a relay outside of the sandbox, and not the worker itself."""
    listens: bool = False
    """It hears which kernels the GPU is given, and the driver does not keep such a process from it."""
    status: int | None = None
    """Negative for a signal, else the exit code; None while it lives."""
    orphaned: bool = False
    """The zygote died, and took it along: nobody's fault but ours."""
    spawned: threading.Event = dataclasses.field(default_factory=threading.Event)
    gone: threading.Event = dataclasses.field(default_factory=threading.Event)

    def freeze(self) -> bool:
        """Stop every process of this life but its relay; whether all of them stand still."""
        deadline = time.monotonic() + _STOP_LIMIT_S
        while time.monotonic() < deadline:
            for pid in self._signal(signal.SIGSTOP):
                for _ in range(_STOP_LOOKS):
                    if is_still(pid):
                        break
            if all(map(is_still, self.processes())):
                return True
            time.sleep(_STOP_PAUSE_S)
        return False

    def thaw(self) -> None:
        """Let them go on."""
        self._signal(signal.SIGCONT)

    def processes(self) -> list[int]:
        """Every process of this life but its relay."""
        return self._signal(0)

    def family(self) -> list[int]:
        """Every process of this life."""
        return [self.pid, *_signal_below(self.pid, 0)] if self.pid else []

    def _signal(self, number: int) -> list[int]:
        """All but the relay; those that were reached."""
        if not self.pid:
            return []
        reached = _signal_below(self.pid, number)
        if not self.is_relayed and _reaches(self.pid, number):
            reached.append(self.pid)
        return reached

    def interrupt(self) -> None:
        """Kill it, with everything that it started, and wait for nothing."""
        if not self.gone.is_set() and self.pid:
            for send in (os.kill, os.killpg):
                try:
                    send(self.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue

    def kill(self) -> None:
        """Kill it, with everything that it started, and wait until it is gone."""
        self.interrupt()
        self.channel.close()
        if self.pid and not self.gone.wait(EXIT_LIMIT_S):
            raise WorkerLost(f"worker {self.pid} did not die within {EXIT_LIMIT_S:g} s of SIGKILL")


def _signal_below(root: int, number: int) -> list[int]:
    """Signal all descendants of a process; those that were reached."""
    reached: list[int] = []
    waiting = _children(root)
    while waiting:
        pid = waiting.pop()
        if _reaches(pid, number):
            reached.append(pid)
            waiting += _children(pid)
    return reached


def _reaches(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _children(pid: int) -> list[int]:
    """Children of all threads of a process, as the kernel lists them."""
    found: list[int] = []
    for thread in threads(pid):
        with contextlib.suppress(OSError):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def is_still(pid: int) -> bool:
    """Whether a process is stopped or gone."""
    return _state(pid) in _STILL


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    return _state(pid) in "ZX"


def _state(pid: int) -> str:
    """The letter of `ps`: T is stopped; X for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


class Zygote:
    """One warm parent. Use it as a context manager."""

    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self._control, theirs = wire.Channel.pair()
        self._process = _start(theirs, mode)
        self._numbers = itertools.count(1)
        self._lives: dict[int, Life] = {}
        self._lock = threading.Lock()
        self._alive = True
        try:
            self._control.receive(wire.Ready, limit_s=START_LIMIT_S)
        except (wire.ChannelClosed, wire.ChannelTimeout) as error:
            self.close()
            raise WorkerLost(f"the {mode} zygote did not start; its own words are above") from error
        self._listener = threading.Thread(target=self._listen, name=f"zygote-{mode}", daemon=True)
        self._listener.start()

    def __enter__(self) -> Zygote:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill every worker and the zygote itself."""
        self._alive = False
        with self._lock:
            lives = list(self._lives.values())
        for life in lives:
            life.kill()
        self._control.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._alive and self._process.poll() is None

    def spawn(
        self,
        *,
        level: str,
        memory_bytes: int,
        device: str,
        threads: int,
        channels: int = 0,
        listens: bool = False,
    ) -> Life:
        """Fork a worker, as `wire.Spawn` says. Raises `WorkerLost` if the zygote is gone."""
        ours, theirs = wire.Channel.pair()
        life = Life(next(self._numbers), ours, listens=listens)
        with self._lock, theirs:
            self._lives[life.number] = life
            request = wire.Spawn(life.number, level, memory_bytes, device, threads, channels, listens)
            try:
                self._control.send(request, [theirs.fileno()])
            except (wire.ChannelClosed, wire.ChannelTimeout) as error:
                del self._lives[life.number]
                ours.close()
                raise WorkerLost(f"the {self.mode} zygote is gone") from error
        if not life.spawned.wait(EXIT_LIMIT_S):
            ours.close()  # a worker that comes now ends at its first word
            raise WorkerLost(f"the {self.mode} zygote did not fork within {EXIT_LIMIT_S:g} s")
        return life

    def _listen(self) -> None:
        try:
            while True:
                told = self._control.receive(wire.Spawned | wire.Exited, limit_s=None)  # type: ignore[arg-type]
                self._note(told)
        except (wire.ChannelClosed, wire.BadFrame):
            self._alive = False
            with self._lock:
                lives = list(self._lives.values())
            for life in lives:
                # Workers die with their parent (PDEATHSIG); their status is lost with it.
                life.orphaned = True
                life.status = life.status if life.status is not None else -signal.SIGKILL
                life.spawned.set()
                life.gone.set()

    def _note(self, told: Any) -> None:
        with self._lock:
            life = self._lives[told.number]
            if isinstance(told, wire.Exited):
                del self._lives[told.number]
        if isinstance(told, wire.Spawned):
            life.pid = told.pid
            life.spawned.set()
        else:
            life.status = told.status
            life.gone.set()


class Zygotes:
    """The zygotes of this host, each started when first wanted and again when it has died."""

    def __init__(self) -> None:
        self._zygotes: dict[Mode, Zygote] = {}
        self._lock = threading.Lock()

    def of(self, mode: Mode) -> Zygote:
        """The zygote for a way of running. Raises `WorkerLost` if it does not start."""
        with self._lock:
            zygote = self._zygotes.get(mode)
            if zygote is not None and not zygote.alive:
                zygote.close()
                zygote = None
            if zygote is None:
                zygote = self._zygotes[mode] = Zygote(mode)
            return zygote

    def close(self) -> None:
        """End them, and every worker."""
        with self._lock:
            for zygote in self._zygotes.values():
                zygote.close()


def _start(theirs: socket.socket, mode: Mode) -> subprocess.Popen[bytes]:
    with theirs:
        return subprocess.Popen(
            [sys.executable, "-m", "backend_bench.worker.zygote", str(theirs.fileno()), mode],
            env=worker_environment(),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
