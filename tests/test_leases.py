"""A device is shared or held alone, by threads and by processes alike."""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_bench import leases
from backend_bench.errors import DeviceUnavailable
from backend_bench.leases import Lease

HOLD = """
import sys
from pathlib import Path
from backend_bench.leases import Lease

with Lease(sys.argv[1], Path(sys.argv[2])).alone():
    print("held", flush=True)
    sys.stdin.read()
"""


def in_thread(work: object) -> threading.Thread:
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_many_share(tmp_path: Path) -> None:
    lease = Lease("cpu", tmp_path)
    beside = threading.Event()

    def share() -> None:
        with lease.shared():
            beside.set()

    with lease.shared():
        thread = in_thread(share)
        assert beside.wait(60)
    thread.join()


def test_alone_waits_for_sharers_and_new_sharers_wait_for_it(tmp_path: Path) -> None:
    lease, order = Lease("cpu", tmp_path), []
    asking = threading.Event()

    def alone() -> None:
        asking.set()
        with lease.alone():
            order.append("alone")

    with lease.shared():
        one = in_thread(alone)
        asking.wait(60)
        order.append("sharer")
    one.join()
    assert order == ["sharer", "alone"]


def test_those_who_want_it_alone_go_before_a_sharer_who_came_earlier(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, order = Lease("cpu", tmp_path), []
    has_it, is_inside = threading.Event(), threading.Event()
    locked = leases._locked

    @contextlib.contextmanager
    def seen(path: Path, kind: int) -> Iterator[None]:
        with locked(path, kind):
            if has_it.is_set() and kind == fcntl.LOCK_SH and path.suffix == ".party":
                is_inside.set()
            yield

    monkeypatch.setattr(leases, "_locked", seen)

    def share() -> None:
        with lease.shared():
            order.append("sharer")

    def second() -> None:
        with lease.alone():
            order.append("alone")

    with lease.alone():
        has_it.set()
        threads = [in_thread(share), in_thread(second)]
        assert is_inside.wait(60)
    for thread in threads:
        thread.join()
    assert order == ["alone", "sharer"]


def test_a_lease_dies_with_its_holder(tmp_path: Path) -> None:
    """Also in another process, as the services of two builds are."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, "gpu-1", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    mine, had = Lease("gpu-1", tmp_path), threading.Event()

    def share() -> None:
        with mine.shared():
            had.set()

    thread = in_thread(share)
    with Lease("gpu-2", tmp_path).alone():  # another device is not held
        assert not had.is_set()
    holder.kill()
    holder.communicate()
    assert had.wait(60)
    thread.join()


def test_what_a_holder_calls_may_share(tmp_path: Path) -> None:
    lease = Lease("cpu", tmp_path)
    with lease.alone(), lease.shared():
        assert lease.held
    with lease.shared(), lease.shared():
        assert lease.held
    assert not lease.held


def test_a_sharer_cannot_have_it_alone(tmp_path: Path) -> None:
    lease = Lease("cpu", tmp_path)
    with lease.shared(), pytest.raises(RuntimeError, match="wait for itself"), lease.alone():
        pass


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DeviceUnavailable, match="is no folder"):
        Lease("cpu", tmp_path / "file")
