"""Who may use a device when: shared by many, or held by one for timing, across all services of a host.

Two files a device, in a folder that every user of the host can lock files in. Locks are the kernel's
(`flock`), so a lease dies with its holder, and services of other builds and users keep to it. The
first file is a door, through which sharers come in: whoever wants the device alone keeps it shut while those inside
finish, so a stream of them starves nobody.

Until the last sharer is out the device does little, and that is most of what a timing costs under load. So those who want it
alone go together: while one has it others who want it come too, one after the other, before the door opens again; and the
first of them waits a moment for others before he shuts it. Nobody has it alone twice in a row without sharing
in between, so sharers get their turn.

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

from backend_bench.errors import DeviceUnavailable

FOLDER = Path("/tmp/backend-bench-leases")
"""The same for every user and build, whatever TMPDIR says."""
GATHER_S = 0.3
"""The first who wants a device alone lets others share it for so long, if they do."""
_LOOK_S = 0.005


class Lease:
    """One device's lease. A thread that has it, either way, has it for what it calls, too."""

    def __init__(self, device: str, folder: Path = FOLDER) -> None:
        name = re.sub(r"[^\w.-]", "_", device)
        self._door, self._device = folder / f"{name}.door", folder / f"{name}.lease"
        self._mine = threading.local()
        _make(folder)
        for path in (self._door, self._device):
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
            with _locked(self._door, fcntl.LOCK_EX):
                held.enter_context(_locked(self._device, fcntl.LOCK_SH))
            with self._noted():
                yield

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Have the device to oneself, for timing."""
        if self.held:
            raise RuntimeError("a thread that shares a device cannot have it alone: it would wait for itself")
        self._gather()
        with _locked(self._door, fcntl.LOCK_SH), _locked(self._device, fcntl.LOCK_EX), self._noted():
            yield

    def _gather(self) -> None:
        """Wait for others who want it alone, while the door is open and somebody shares."""
        until = time.monotonic() + GATHER_S
        while _is_free(self._door) and not _is_free(self._device) and time.monotonic() < until:
            time.sleep(_LOOK_S)

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


def _is_free(path: Path) -> bool:
    """Whether nobody has it locked, for the moment."""
    fd = _open(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


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
