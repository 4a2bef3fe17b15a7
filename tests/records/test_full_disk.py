"""A disk that is full, read-only, or was taken away in the middle of a line: what was kept stays readable."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend_bench.errors import UsageError
from backend_bench.records import Run

from .test_records import ADD, best, turn


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that holds 256 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(place)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def write_many(run: Run) -> None:
    for number in range(1, 1000):
        run.write(turn(float(number), number=number, code=code(number)))


def code(number: int) -> str:
    return f"x = {number}\n" * 200


def test_on_a_full_disk_what_was_kept_stays_and_the_rest_is_said(tiny: Path) -> None:
    run = Run(tiny / "run")
    with pytest.raises(OSError, match="No space left on device"):
        write_many(run)
    lines = list(run.read())
    assert len(lines) >= 5
    assert [line["turn"] for line in lines] == list(range(1, len(lines) + 1))
    assert best(run).read_text() in {code(number) for number in range(1, len(lines) + 1)}
    assert not list(tiny.rglob(".add__*"))


def test_after_room_was_made_lines_are_added_again(tiny: Path) -> None:
    run = Run(tiny / "run")
    run.write(turn(number=1))
    with pytest.raises(OSError, match="No space left"):
        (tiny / "ballast").write_bytes(b"x" * (1 << 20))
    with pytest.raises(OSError, match="No space left"):
        write_many(run)
    (tiny / "ballast").unlink()
    run.write(turn(number=3000))
    assert {line["turn"] for line in run.read()} >= {1, 3000}


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path) -> None:
    """With a limit on the size of files in place of a disk; in a child, since limits stay."""
    run = Run(tmp_path)
    run.write(turn(number=1))
    length = run.verdicts.stat().st_size
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (length + 10, length + 10))
        try:
            run._append(turn(number=2))
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == errno.EFBIG
    assert run.verdicts.stat().st_size == length
    run.write(turn(number=3))
    assert [line["turn"] for line in run.read()] == [1, 3]


def test_a_line_that_was_cut_short_does_not_take_the_next_one_with_it(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(turn(number=1))
    with run.verdicts.open("a") as file:
        file.write('{"op": "ad')
    run.write(turn(number=2))
    assert [line["turn"] for line in run.read()] == [1, 2]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """As for a user without rights; a file in the folder's place stops the administrator, too."""
    (tmp_path / "kernels").touch()
    with pytest.raises(UsageError, match=r"kernels cannot be kept in .*; name another folder as kernels_dir"):
        Run(tmp_path / "kernels" / "run").describe({"op": str(ADD)})
