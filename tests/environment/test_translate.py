"""The seed's command line in the host's words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend_bench.environment.eval import read_outcome, run_eval, translate, value_of
from backend_bench.errors import UsageError

RUN = ["-a", '{"run": "r"}']


def between(argv: list[str]) -> list[str]:
    """The translation of `argv` without what every run gets."""
    words = translate([*argv, *([] if "-a" in argv else RUN)])
    assert words[0] == "backend-bench"
    kept = words[1:]
    kept.remove("--no-push")
    for flag in ("--env.taskset.task.run", "--run.name"):
        at = kept.index(flag)
        del kept[at : at + 2]
    return kept


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        (["-b", "http://h/v1"], ["--client.base-url", "http://h/v1"]),
        (["--api-base-url=http://h/v1"], ["--client.base-url", "http://h/v1"]),
        (["-m", "m"], ["--model", "m"]),
        (["-k", "KEY"], ["--client.api-key-var", "KEY"]),
        (["-k", "EMPTY"], ["--client.api-key-var", "EMPTY"]),
        (["-T", "0.7"], ["--sampling.temperature", "0.7"]),
        (["-t", "4096"], ["--sampling.max-tokens", "4096"]),
        (["-S", '{"top_p": 0.9}'], ["--sampling.top-p", "0.9"]),
        (["-n", "5"], ["--select.limit", "5"]),
        (["--num-examples", "-1"], []),
        (["--num-examples=-1"], []),
        (["-n-7"], []),
        (["-r", "4"], ["--num-rollouts", "4"]),
        (["--rollouts-per-example=1"], ["--num-rollouts", "1"]),
        (["-c", "64"], ["--max-concurrent", "64"]),
        (["-d"], ["--no-rich"]),
        (["-s"], []),
        (["--max-retries", "2"], ["--env.retries.max-retries", "2"]),
        (["-v", "--env.num-turns", "3"], ["-v", "--env.num-turns", "3"]),
        (["backend-bench", "-m", "m"], ["--model", "m"]),
        (["backend_bench", "-m", "m"], ["--model", "m"]),
        (["someone/backend-bench@0.1.0", "-m", "m"], ["--model", "m"]),
        (["-a", '{"run":"r","suite":"smoke"}'], ["--env.taskset.suite", "smoke"]),
        (["-a", '{"run":"r","ops":["relu"]}'], ["--env.taskset.ops", '["relu"]']),
        (["-a", '{"run":"r","ops":"relu,add.Tensor"}'], ["--env.taskset.ops", "relu,add.Tensor"]),
        (["-a", '{"run":"r","gpu":"H100"}'], ["--env.taskset.task.gpu", "H100"]),
        (["-a", '{"run":"r","kernels_dir":"k"}'], ["--env.taskset.task.kernels-dir", "k"]),
        (["-a", '{"run":"r","timing_s":0.2}'], ["--env.taskset.task.timing-s", "0.2"]),
        (["-a", '{"run":"r","num_turns":10}'], ["--env.num-turns", "10"]),
        (["-a", '{"run":"r","feedback_loop":"none"}'], ["--env.feedback-loop", "none"]),
        (["-a", '{"run":"r","dtype":null}'], []),
    ],
)
def test_each_flag(argv: list[str], flags: list[str]) -> None:
    translated = between(argv)
    if flags or "-a" in argv:
        translated = [word for word in translated if word]
    assert translated == flags


def test_the_seeds_own_line() -> None:
    line = ["-b", "http://h/v1", "-m", "m", "-T", "0.7", "-k", "KEY_VAR"]
    line += ["-a", '{"gpu":"local","suite":"torchbench","num_turns":10,"run":"r"}']
    line += ["--num-examples", "-1", "--rollouts-per-example=1"]
    assert between(line) == [
        *("--model", "m", "--client.base-url", "http://h/v1", "--client.api-key-var", "KEY_VAR"),
        *("--sampling.temperature", "0.7", "--num-rollouts", "1"),
        *("--env.taskset.task.gpu", "local", "--env.taskset.suite", "torchbench", "--env.num-turns", "10"),
    ]


def test_a_run_of_its_own_name_unless_named() -> None:
    first, second = translate([]), translate([])
    assert value_of("--env.taskset.task.run", first) != value_of("--env.taskset.task.run", second)
    assert value_of("--run.name", translate(["--run.name", "mine"])) == "mine"
    assert translate(["--run.name=mine"]).count("--run.name") == 0


def test_nothing_is_pushed_unless_asked() -> None:
    assert "--no-push" in translate([])
    assert "--no-push" not in translate(["--push"])
    assert translate(["--no-push"]).count("--no-push") == 1


def test_a_config_file_comes_first_and_keeps_its_names(tmp_path: Path) -> None:
    saved = tmp_path / "eval.json"
    saved.write_text(json.dumps({"run": {"name": "before"}, "output_dir": "o"}))
    words = ["@", str(saved), "--resume"]
    assert translate(words) == [*words, "--no-push"]
    launch = tmp_path / "eval.toml"
    launch.write_text("model = 'm'")
    first, second, *rest = translate(["-d", "@", str(launch), "-a", '{"suite": "smoke"}'])
    assert (first, second) == ("@", str(launch))
    assert "--no-rich" in rest
    assert "--run.name" in rest
    assert "--env.taskset.suite" in rest


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["-a", '{"suit": "smoke"}'], "did you mean suite"),
        (["-a", '{"zzz": 1}'], "known: "),
        (["-a", "suite=smoke"], "is not JSON"),
        (["-a", "[1]"], "not a JSON object"),
        (["-n", "0"], "runs nothing"),
        (["-T", "warm"], "invalid float"),
        (["gsm8k"], "not an environment"),
        (["-m"], "expected one argument"),
    ],
)
def test_wrong_usage_is_told(argv: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=said):
        translate(argv)
    assert run_eval([*argv, "-m", "m"]) == 2
    assert said in capsys.readouterr().err


def test_the_text_of_a_system_prompt_is_written(tmp_path: Path) -> None:
    arguments = {"system_prompt": "Be brief.\nBe right.", "kernels_dir": str(tmp_path), "run": "r"}
    words = translate(["-a", json.dumps(arguments)])
    file = Path(value_of("--env.taskset.system-prompt", words) or "")
    assert file == tmp_path / "r" / "system_prompt.txt"
    assert file.read_text() == "Be brief.\nBe right."


def test_a_system_prompt_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("Be brief.")
    words = translate(["-a", json.dumps({"system_prompt": str(file)})])
    assert value_of("--env.taskset.system-prompt", words) == str(file)


def test_a_flag_is_found_in_all_its_spellings() -> None:
    assert value_of("--a.b-c", ["--a.b_c=1", "--a.b-c", "2"]) == "2"
    assert value_of("--a", ["--a"]) is None


def test_a_model_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The host would take one of its own, at a price."""
    assert run_eval([]) == 2
    assert "builtin/pytorch" in capsys.readouterr().err


def test_a_built_in_model_takes_no_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_eval(["-m", "builtin/pytorch", "-b", "http://h/v1"]) == 2
    assert run_eval(["-m", "builtin/pytroch"]) == 2
    assert "did you mean builtin/pytorch?" in capsys.readouterr().err


def test_an_outcome_counts_what_failed(tmp_path: Path) -> None:
    rows = [
        {"ok": True, "errors": [], "traces": []},
        {"ok": False, "errors": [], "traces": [{"errors": [{"message": "gone\nmore"}]}]},
        {"ok": False, "errors": [{"message": "gone"}], "traces": []},
    ]
    file = tmp_path / "traces.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    outcome = read_outcome(file)
    assert (outcome.episodes, outcome.failed, outcome.errors) == (3, 2, ("gone",))
