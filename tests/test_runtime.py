"""Where services are found: in a private folder, under a name that says what they judge with."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend_bench
from backend_bench import runtime
from backend_bench.errors import ServiceError
from backend_bench.runtime import Address


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that is not there yet; its path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as above:
        monkeypatch.setenv(runtime.FOLDER, f"{above}/own")
        yield Path(above, "own")


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "MY_PW", "DATABASE_URL", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", runtime.TOKEN]
)
def test_the_service_sees_no_secret(name: str) -> None:
    assert "sk-secret" not in runtime.inherited({name: "sk-secret"}).values()


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "HTTPS_PROXY", runtime.IDLE])
def test_the_service_sees_what_it_needs(name: str) -> None:
    assert runtime.inherited({name: "as-set"})[name] == "as-set"


def test_a_relative_folder_is_told_in_full_to_a_service_that_works_elsewhere() -> None:
    seen = runtime.inherited({"PYTHONPATH": "lib::/opt/lib", "BACKEND_BENCH_CACHE": "cache"})
    assert seen["PYTHONPATH"].split(os.pathsep)[:2] == [os.path.abspath("lib"), "/opt/lib"]
    assert seen["BACKEND_BENCH_CACHE"] == os.path.abspath("cache")


def test_the_folder_is_made_private(place: Path) -> None:
    assert runtime.folder() == place
    assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_can_enter_is_refused(place: Path, mode: int) -> None:
    place.mkdir()
    place.chmod(mode)
    with pytest.raises(ServiceError, match="not a private folder"):
        runtime.folder()


def test_a_folder_of_another_owner_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: place.stat().st_uid + 1)
    with pytest.raises(ServiceError, match="not a private folder"):
        runtime.folder()


def test_a_link_to_a_folder_is_refused(place: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ServiceError, match="not a private folder"):
        runtime.folder()


def test_a_folder_too_deep_for_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(runtime.FOLDER, str(tmp_path / ("deep" * 30)))
    with pytest.raises(ServiceError, match="too long for a socket"):
        runtime.address("best-effort")


def test_without_a_word_it_is_the_session_s_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(runtime.FOLDER)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime.folder() == tmp_path / "backend-bench"


def test_another_level_is_another_service(place: Path) -> None:
    assert runtime.address("off") != runtime.address("required")


def test_a_variable_that_decides_verdicts_makes_another_service(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = runtime.address("off")
    monkeypatch.setenv("SOME_OTHER_VARIABLE", "1")
    assert runtime.address("off") == before
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert runtime.address("off") != before


def test_a_changed_source_makes_another_build_and_a_touched_one_does_not(tmp_path: Path) -> None:
    original = Path(backend_bench.__file__).parent
    digests = []
    for name in ("touched", "changed"):
        copy = tmp_path / name
        shutil.copytree(original, copy, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "errors.py").touch()
        if name == "changed":
            (copy / "errors.py").write_text((original / "errors.py").read_text() + "\n")
        digests.append(runtime.digest_of(copy))
    assert digests[0] == runtime.digest_of(original)
    assert digests[1] != digests[0]


def test_an_address_is_locked_once(place: Path) -> None:
    address = runtime.address("off")
    held = address.try_lock()
    assert held is not None
    assert address.try_lock() is None
    os.close(held)
    again = address.try_lock()
    assert again is not None
    os.close(again)


def test_whoever_reads_while_a_holder_signs_finds_a_number(tmp_path: Path) -> None:
    """A service signs twice: its starter's fork does, and so does it itself."""
    address = Address(tmp_path, "some")
    lock = address.try_lock()
    assert lock is not None
    address.note(lock, 12345)
    over = threading.Event()

    def sign() -> None:
        while not over.is_set():
            address.note(lock, 12345)

    thread = threading.Thread(target=sign)
    thread.start()
    try:
        assert {address.lock.read_text().strip() for _ in range(5000)} == {"12345"}
    finally:
        over.set()
        thread.join()
        os.close(lock)
