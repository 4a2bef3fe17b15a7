"""The command: what it writes, and what it says of a request that makes no sense."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from backend_bench.cli import app
from backend_bench.suites.recordings import read


def told(*arguments: str) -> tuple[int, str]:
    """Exit code and all that was printed."""
    done = CliRunner().invoke(app, ["trace", *arguments])
    return done.exit_code, done.output


def test_a_model_becomes_a_parquet(networks):
    code, said = told(
        "networks:activated", "--mode", "inference", "--mode", "training", "--out", "net.parquet"
    )
    assert code == 0, said
    assert "activated (training, its own dtype):" in said
    assert read((networks / "net.parquet").read_bytes(), "net.parquet")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["networks:linear", "--mode", "dream"], "choose inference, prefill, decode, training"),
        (["networks:linear", "--config", "{"], "--config is no JSON object"),
        (["networks:linear", "--config", "[1]"], "an object of names and values"),
        (["linear"], "names no model; write transformers:"),
        (["none.toml"], "none.toml cannot be read"),
        (["bundled", "--batch", "3"], "only --out goes with a manifest"),
        (["networks:linear", "--inputs", "__import__('os')"], "takes its inputs from the callable"),
        (["transformers:llama", "--inputs", "__import__('os')"], "arguments cannot be read"),
    ],
)
def test_a_request_that_makes_no_sense_ends_in_one_sentence(arguments, message):
    code, said = told(*arguments, "--out", "net.parquet")
    assert code == 2
    assert message in said.replace("\n", " ")


def test_a_file_that_cannot_be_written_is_refused_before_the_work():
    code, said = told("networks:linear", "--out", "nowhere/net.parquet")
    assert code == 2
    assert "cannot write" in said
    assert "calls" not in said
