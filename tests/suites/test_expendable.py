"""Work in a process of its own: it may end there, and nobody else does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backend_bench.suites.expendable import Expendable, Expendables, Lost, note

pytestmark = pytest.mark.slow


def doubled(number: int) -> int:
    return 2 * number


def refuses() -> None:
    raise ValueError("no")


def ends(after: int) -> None:
    for place in range(after):
        note(place)
    os.kill(os.getpid(), signal.SIGKILL)


def says() -> int:
    print("not an answer")
    return os.getpid()


def test_what_it_gives_and_raises_comes_back_and_its_end_is_told_of() -> None:
    with Expendable() as process:
        assert process.ask(doubled, 4) == 8
        with pytest.raises(ValueError, match="no"):
            process.ask(refuses)
        assert process.at is None
        with pytest.raises(Lost, match="was ended by SIGKILL in the middle"):
            process.ask(ends, 3)
        assert process.at == 2
        assert process.ask(doubled, 5) == 10  # a new one
        assert process.at is None


def stands_still() -> None:
    note(7)
    signal.pause()


def test_one_that_says_nothing_for_long_is_ended() -> None:
    with Expendable(limit_s=0.1) as process:
        with pytest.raises(Lost, match=r"the process said nothing for 0\.1 s in the middle"):
            process.ask(stands_still)
        assert process._process is None


def test_one_that_ended_when_it_had_nothing_to_do_is_replaced() -> None:
    with Expendable() as process:
        assert process.ask(doubled, 1) == 2
        assert process._process is not None
        process._process.kill()
        process._process.wait()
        assert process.ask(doubled, 2) == 4


def raises_what_takes_more_than_a_text() -> None:
    b"\xff".decode()


def test_what_takes_more_than_a_text_is_told_by_name() -> None:
    with Expendable() as process, pytest.raises(RuntimeError, match="UnicodeDecodeError: 'utf-8' codec"):
        process.ask(raises_what_takes_more_than_a_text)


def test_many_work_side_by_side_and_the_answers_are_in_order() -> None:
    with Expendables(2) as processes:
        assert list(processes.map(lambda process, number: process.ask(doubled, number), range(9))) == [
            2 * number for number in range(9)
        ]


def test_what_it_prints_is_no_answer(capfd: pytest.CaptureFixture[str]) -> None:
    with Expendable() as process:
        process.ask(says)
    said = capfd.readouterr()
    assert said.out == ""
    assert "not an answer" in said.err


STARTS_ONE = """
import os, signal
from backend_bench.suites.expendable import Expendable, note
process = Expendable()  # it is not asked whether this is the main module: nobody runs it a second time
process.ask(note, 1)
print("ready", flush=True)
signal.pause()
"""


def test_it_ends_with_who_started_it(tmp_path: Path) -> None:
    script = tmp_path / "starts_one.py"
    script.write_text(STARTS_ONE)
    # The process shares standard error with whoever started it: it is open for as long as one of them lives.
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as starter:  # fmt: skip
        assert starter.stdout is not None
        assert starter.stderr is not None
        assert starter.stdout.readline() == b"ready\n"
        starter.kill()
        starter.communicate(timeout=60)
