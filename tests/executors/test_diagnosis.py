"""Doctor looks at a place step by step, and stops at the first thing that is missing."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from backend_bench import cli, runtime
from backend_bench.executors import diagnosis, remote, tokens


def found(gpu: str) -> list[tuple[str, str, bool]]:
    return [(finding.place, finding.step, finding.holds) for finding in diagnosis.diagnose(gpu)]


def last_words(gpu: str) -> str:
    return list(diagnosis.diagnose(gpu))[-1].text


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a host where nobody listens."""
    monkeypatch.setattr(remote, "PAUSES_S", ())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"http://127.0.0.1:{taken.getsockname()[1]}"


def test_this_host_has_everything_and_says_what(runtime_folder: Path) -> None:
    findings = list(diagnosis.diagnose("cpu"))
    assert [(one.step, one.holds) for one in findings] == [
        ("name", True),
        ("judge's side", True),
        ("device", True),
        ("answer", True),
    ]
    assert findings[-1].machine["devices"]
    assert "backend-bench" in findings[-1].text


@pytest.mark.parametrize("gpu", ["nowhere", "ray://", "http://host/path"])
def test_what_is_no_place_is_told(gpu: str) -> None:
    assert found(gpu) == [(gpu, "name", False)]


def test_a_service_without_a_token_and_with_one(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(runtime.TOKEN, raising=False)
    monkeypatch.delenv(tokens.TOKEN_FILE, raising=False)
    assert found(nobody) == [(nobody, "name", True), (nobody, "token", False)]
    monkeypatch.setenv(runtime.TOKEN, "a-token-that-nobody-guesses")
    assert found(nobody)[1:] == [(nobody, "token", True), (nobody, "service", False)]
    assert "is `backend-bench serve --listen` running there?" in last_words(nobody)


def test_a_cluster_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "backend_bench.executors.ray", raising=False)
    assert found("ray://auto") == [("ray://auto", "name", False)]
    assert 'pip install "backend-bench[ray]"' in last_words("ray://auto")


def test_of_two_places_both_are_looked_at(nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(runtime.TOKEN, raising=False)
    assert found(f"{nobody} then nowhere") == [
        (nobody, "name", True),
        (nobody, "token", False),
        ("nowhere", "name", False),
    ]


def test_the_command_ends_with_2_where_something_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "doctor.json"
    done = CliRunner().invoke(cli.app, ["doctor", "--gpu", "nowhere", "--json", str(file)])
    assert done.exit_code == 2
    assert "nowhere  lacks  name" in done.output
    (finding,) = json.loads(file.read_text())["findings"]
    assert (finding["step"], finding["holds"]) == ("name", False)
