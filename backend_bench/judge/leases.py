"""Who may use a device when: shared by many, or held by one for timing, across all services of a host.

Two files a device, in a folder that every user of the host can lock files in. Locks are the kernel's
(`flock`), so a lease dies with its holder, and services of other builds and users keep to it. The
first file is a gate: whoever wants the device alone holds it while the sharers finish, so new
sharers wait, and a stream of them starves nobody.

Hosts that are containers with a `/tmp` of their own do not see each other's leases.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from backend_bench.errors import DeviceUnavailable

FOLDER = Path("/tmp/backend-bench-leases")
"""The same for every user and build, whatever TMPDIR says."""


class Lease:
    """One device's lease. A thread that has it, either way, has it for what it calls, too."""

    def __init__(self, device: str, folder: Path = FOLDER) -> None:
        name = re.sub(r"[^\w.-]", "_", device)
        self._gate, self._device = folder / f"{name}.gate", folder / f"{name}.lease"
        self._mine = threading.local()
        _make(folder)
        for path in (self._gate, self._device):
            os.close(_open(path))

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
        with contextlib.ExitStack() as held:
            with _locked(self._gate, fcntl.LOCK_SH):
                held.enter_context(_locked(self._device, fcntl.LOCK_SH))
            with self._noted():
                yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the device to oneself, for timing."""
        if self.held:
            raise RuntimeError("a thread that shares a device cannot have it alone: it would wait for itself")
        with _locked(self._gate, fcntl.LOCK_EX), _locked(self._device, fcntl.LOCK_EX), self._noted():
            yield

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        self._mine.held = True
        try:
            yield
        finally:
            self._mine.held = False


@contextlib.contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    fd = _open(path)
    try:
        fcntl.flock(fd, kind)
        yield
    finally:
        os.close(fd)  # releases


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
