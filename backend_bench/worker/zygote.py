"""The warm parent of workers: `python -m backend_bench.worker.zygote CONTROL_FD MODE`.

Imports torch (and triton, where there is one) once and forks a worker on request. It stays single
threaded and never initialises CUDA, because only then a fork is sound; it reads no kernel source
and holds no secret, because every child inherits a copy of its memory. `MODE` is `native`, or
`interpreted` for Triton's interpreter on a CPU: Triton decides at import, so that is another zygote.
"""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from backend_bench import wire
from backend_bench.errors import SandboxUnavailable
from backend_bench.worker import inside, recorder, sandbox, withheld
from backend_bench.worker.driver import DRIVER

WIND_DOWN_S = 3.0
"""For threads of imports that end by themselves."""
NVIDIA = "/dev/nvidiactl"
"""There where a GPU of this maker is."""
DEVICE_SHARE, DEVICE_LEAST_BYTES = 0.25, 8 << 30
"""Of a GPU's memory, by PyTorch's allocator: a part, and so much in any case. Against carelessness: a kernel can set it otherwise."""


def main(control_fd: int, mode: str) -> None:
    """Serve until the judge hangs up."""
    _warm_up(mode)
    control_socket = socket.socket(fileno=control_fd)
    control = wire.Channel(control_socket)
    has_view = "mount-view" in sandbox.probe(_plan("best-effort", "cpu", None, sandbox.SCRATCH)).holds
    wake = _wake_on_child()
    children: dict[int, _Child] = {}
    control.send(wire.Ready(level=mode, holds=(), missing=()))
    while True:
        readable, _, _ = select.select([control_fd, wake], [], [])
        if wake in readable:
            os.read(wake, 4096)
            _reap(control, children)
        if control_fd in readable:
            try:
                request, fds = control.receive_with_fds(wire.Spawn)
            except wire.ChannelClosed:
                return
            in_view = has_view and request.level != "off"
            scratch = sandbox.SCRATCH if in_view else tempfile.mkdtemp(prefix="backend-bench-")
            pid = _fork(request, fds[0], scratch)
            children[pid] = _Child(request.number, None if in_view else scratch)
            os.close(fds[0])
            control.send(wire.Spawned(number=request.number, pid=pid))


@dataclass(frozen=True, slots=True)
class _Child:
    """A worker that lives, and the host folder to remove after it."""

    number: int
    folder: str | None


def _warm_up(mode: str) -> None:
    torch.set_num_threads(1)
    # Both sides compute in the precision that is asked for: cuDNN takes TF32 for float32 otherwise.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if mode == "interpreted":
        from backend_bench.worker import interpreter

        interpreter.install()
    else:
        _import_if_there("triton")
        _import_if_there("triton.language")
        # The device node tells without a call of the driver, which starts a thread.
        if "triton" in sys.modules and os.path.exists(NVIDIA):
            _warm_triton()
    with recorder.Recorder([]) as recording:
        # A first dispatch mode imports for most of a second: better here than in every child.
        recording.calls(torch.zeros(1) + 1)
    withheld.prepare()
    DRIVER.find()
    gc.collect()
    gc.freeze()
    if others := _other_threads(WIND_DOWN_S):
        raise RuntimeError(f"an import has left threads in the zygote, with which no fork is sound: {others}")
    if torch.cuda.is_initialized():
        raise RuntimeError("an import initialised CUDA in the zygote; a fork cannot use it then")


def _other_threads(patience_s: float) -> list[str]:
    """Names of this process's other threads, once those that come to an end by themselves have had the time."""
    deadline = time.monotonic() + patience_s
    while True:
        tasks = [path for path in Path("/proc/self/task").iterdir() if path.name != str(os.getpid())]
        if not tasks or time.monotonic() > deadline:
            return [_text_of(path / "comm") for path in tasks]
        time.sleep(0.01)


def _text_of(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return "one that has just ended"


def _warm_triton() -> None:
    try:
        from backend_bench.worker import warm_triton

        warm_triton.prepare()
    except Exception as error:  # noqa: BLE001  (another Triton's insides; every worker does it by itself then, and takes longer)
        _say(f"Triton is not warmed up: {error!r}")


def _import_if_there(name: str) -> None:
    try:
        __import__(name)
    except ImportError:
        return


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child dies."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reader


def _reap(control: wire.Channel, children: dict[int, _Child]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        child = children.pop(pid, None)
        if child is None:
            continue
        if child.folder is not None:
            shutil.rmtree(child.folder, ignore_errors=True)
        control.send(wire.Exited(number=child.number, status=os.waitstatus_to_exitcode(status)))


def _fork(request: wire.Spawn, channel_fd: int, scratch: str) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _child(request, channel_fd, scratch)
        except SandboxUnavailable as error:
            channel = wire.Channel(socket.socket(fileno=channel_fd))
            channel.send(wire.Ready(level=wire.REFUSED, holds=(), missing=(str(error),)))
            os._exit(70)
        except BaseException as error:  # noqa: BLE001  (a fork must never return)
            _say(f"worker {request.number} failed before any candidate: {error!r}")
            os._exit(70)
        os._exit(0)
    return pid


def _child(request: wire.Spawn, channel_fd: int, scratch: str) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    plan = _plan(request.level, request.device, request.memory_bytes, scratch)
    entered = sandbox.enter(plan, keep_fds=(channel_fd,))
    device = _device(request.device, request.channels)
    folder = _furnish(Path(plan.scratch))
    torch.set_num_threads(request.threads)
    if request.listens:
        DRIVER.listen()  # before the driver has done anything
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(_share_of(device), device)
        torch.zeros(1, device=device)
        torch.cuda.synchronize()
    report = sandbox.close(plan, entered)
    _silence()
    channel = wire.Channel(socket.socket(fileno=channel_fd))
    missing = report.missing
    if request.listens and DRIVER.lack:
        missing = (*missing, f"{wire.HEARING}: {DRIVER.lack}")
    channel.send(wire.Ready(level=report.level, holds=report.holds, missing=missing))
    try:
        inside.live(channel, device=device, folder=folder)
    except wire.ChannelClosed:
        os._exit(0)


def _plan(level: str, device: str, memory_bytes: int | None, scratch: str) -> sandbox.Plan:
    """What this worker may see and use; its memory limit comes on top of what the zygote maps."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return sandbox.default_plan(
        level=level,  # type: ignore[arg-type]  # a literal on the judge's side
        cuda=device.startswith("cuda"),
        scratch=scratch,
        memory_bytes=None if memory_bytes is None else mapped + memory_bytes,
    )


def _device(name: str, channels: int) -> torch.device:
    """The worker sees one GPU only, so that it is number 0 whatever it is outside."""
    kind, _, index = name.partition(":")
    if kind != "cuda":
        return torch.device("cpu")
    os.environ["CUDA_VISIBLE_DEVICES"] = index or "0"
    if channels:
        os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] = str(channels)
    return torch.device("cuda", 0)


def _share_of(device: torch.device) -> float:
    """Which part of its memory PyTorch gives this worker: the others want some, too."""
    total = torch.cuda.get_device_properties(device).total_memory
    return min(max(DEVICE_SHARE, DEVICE_LEAST_BYTES / total), 1.0)


def _furnish(scratch: Path) -> Path:
    """Point everything that caches or writes at the scratch folder."""
    for variable, name in (
        ("HOME", "home"),
        ("TMPDIR", "tmp"),
        ("TRITON_CACHE_DIR", "triton"),
        ("TORCHINDUCTOR_CACHE_DIR", "inductor"),
        ("TORCH_EXTENSIONS_DIR", "extensions"),
        ("CUDA_CACHE_PATH", "cuda"),
        ("XDG_CACHE_HOME", "cache"),
    ):
        (scratch / name).mkdir(parents=True, exist_ok=True)
        os.environ[variable] = str(scratch / name)
    if built := sys.modules.get("backend_bench.worker.warm_triton"):
        built.furnish(scratch / "triton")
    tempfile.tempdir = None  # it remembers the host's
    folder = scratch / "kernel"
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    return folder


def _silence() -> None:
    """What a kernel prints goes nowhere: a flood costs nobody anything."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)


def _say(text: str) -> None:
    print(f"backend-bench zygote: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
