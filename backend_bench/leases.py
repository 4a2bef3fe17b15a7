"""Who may use a device when: shared by many, or held by one for timing, across all services of a host.

Files of a device, in a folder that every user of the host can lock files in. Locks are the kernel's
(`flock`), so a lease dies with its holder, and services of other builds and users keep to it. Beside the lease itself there
is a gate: whoever wants the device alone holds it while the sharers finish, so new
sharers wait, and a stream of them starves nobody.

Until the last sharer has finished the device does little, and under load that is most of what a timing costs. So those who
want it alone go together. The first of them, who has the gate, leads: he waits a moment for others before he shuts it,
and opens it when the last who joined him is done. Nobody has the device alone twice without sharing it in between, so
sharers get their turn.

Hosts that are containers with a `/tmp` of their own do not see each other's leases.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch

from backend_bench.errors import DeviceUnavailable

FOLDER = Path("/tmp/backend-bench-leases")
"""The same for every user and build, whatever TMPDIR says."""
State = Literal["idle", "shared", "draining", "alone"]
"""Draining: somebody wants the device alone, and waits for those who share it."""
GATHER_S = 0.1
"""The first who wants a device alone lets others share it for so long, if they do."""
_LOOK_S = 0.005


class Lease:
    """One device's lease. A thread that has it, either way, has it for what it calls, too."""

    def __init__(self, device: str, folder: Path = FOLDER) -> None:
        name = _file_name(device)
        self._gate, self._device, self._party = (
            folder / f"{name}.{end}" for end in ("gate", "lease", "party")
        )
        self._mine = threading.local()
        _make(folder)
        for path in (self._gate, self._device, self._party):
            os.close(_open(path))

    def state(self) -> State:
        """What the device is in, seen from outside, at this moment."""
        if _is_free(self._device):
            return "idle"
        if not _is_free(self._device, fcntl.LOCK_SH):
            return "alone"
        return "draining" if self.is_wanted() else "shared"

    @property
    def held(self) -> bool:
        """Whether this thread has it, either way."""
        return bool(getattr(self._mine, "held", False))

    @contextlib.contextmanager
    def shared(self) -> Iterator[None]:
        """Use the device beside others, for work that is not timed."""
        if self.held:
            yield
            return
        with contextlib.ExitStack() as share:
            self._take(share)
            self._mine.share = share
            with self._noted():
                yield

    def give_way(self) -> None:
        """For a thread that shares: let those have it who want it alone, and share it again when they are done."""
        share: contextlib.ExitStack = self._mine.share
        share.close()
        self._take(share)

    def _take(self, share: contextlib.ExitStack) -> None:
        with _locked(self._gate, fcntl.LOCK_SH):
            share.enter_context(_locked(self._device, fcntl.LOCK_SH))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the device to oneself, for timing."""
        if self.held:
            raise RuntimeError("a thread that shares a device cannot have it alone: it would wait for itself")
        with self._among_others(), _locked(self._device, fcntl.LOCK_EX), self._noted():
            yield

    @contextlib.contextmanager
    def _among_others(self) -> Iterator[None]:
        """With the gate shut, by us or by who leads."""
        self._gather()
        while self.is_wanted():
            with _locked(self._party, fcntl.LOCK_SH):
                if self.is_wanted():  # still: who leads waits for us now
                    yield
                    return
        with _locked(self._gate, fcntl.LOCK_EX):
            try:
                yield
            finally:
                with _locked(self._party, fcntl.LOCK_EX):
                    pass  # the last who joined is done

    def _gather(self) -> None:
        """Wait for others who want it alone, while nobody leads and somebody shares."""
        until = time.monotonic() + GATHER_S
        while not self.is_wanted() and not _is_free(self._device) and time.monotonic() < until:
            time.sleep(_LOOK_S)

    def is_wanted(self) -> bool:
        """Whether somebody has it alone, or waits for that: the gate is shut."""
        return not _is_free(self._gate, fcntl.LOCK_SH)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False


@contextlib.contextmanager
def turn(name: str, folder: Path = FOLDER) -> Iterator[None]:
    """One at a time on this host, whoever comes; nobody goes together and nobody shares."""
    _make(folder)
    with _locked(folder / f"{_file_name(name)}.turn", fcntl.LOCK_EX):
        yield


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name)


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    fd = _open(path)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)  # releases


def _is_free(path: Path, kind: int = fcntl.LOCK_EX) -> bool:
    """Whether it could be locked in this way, for the moment."""
    try:
        with _locked(path, kind | fcntl.LOCK_NB):
            return True
    except BlockingIOError:
        return False


def _make(folder: Path) -> None:
    """A folder like /tmp: all may make files, nobody may remove another's."""
    try:
        folder.mkdir(mode=0o700)
        folder.chmod(0o1777)
    except FileExistsError:
        pass
    except OSError as error:
        raise DeviceUnavailable(f"the folder {folder} for leases cannot be made: {error.strerror}") from error
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise DeviceUnavailable(f"{folder}, where leases of devices are kept, is no folder; remove it")


def _open(path: Path) -> int:
    """A descriptor to lock; reading is enough for that, so that a neighbour's file will do."""
    for flags in (0, os.O_CREAT | os.O_EXCL, 0):  # O_CREAT alone is refused for another user's file
        try:
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, 0o644)
        except (FileNotFoundError, FileExistsError):
            continue
        except OSError as error:
            raise DeviceUnavailable(f"the lease {path} cannot be opened: {error.strerror}") from error
    raise DeviceUnavailable(f"the lease {path} comes and goes; something removes files from {path.parent}")


def lease_name(device: torch.device) -> str:
    """What a device is called on this host, whichever of them this process may see; no context is made."""
    if device.type == "cpu":
        return "cpu"
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    return f"gpu-{uuid or driver_name(device)}"


def driver_name(device: torch.device) -> str:
    """What the driver calls a GPU: an element of `CUDA_VISIBLE_DEVICES`, else its number."""
    visible = [part.strip() for part in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if part.strip()]
    index = device.index or 0
    return visible[index] if visible else str(index)
