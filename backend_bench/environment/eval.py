"""`backend-bench eval`: the seed project's flags, put into the host's words and run by the host.

    -b URL  -m MODEL  -k KEY_VAR  -T 0.7  -t 4096  -S '{"top_p": 0.9}'  -a '{"gpu": "local", …}'
    -n 5 (-1 = all)   -r 4        -c 64   -d (no dashboard)             --max-retries 2

Everything else goes to the host's own command line as it stands, `@ file.toml` and `--resume` included.
Results are not pushed anywhere unless `--push` is given.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import os
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from backend_bench import authors, records
from backend_bench.authors.server import serving
from backend_bench.errors import BackendBenchError, UsageError
from backend_bench.report import runs, table

ENV_ID = "backend-bench"
NO_KEY = "EMPTY"
"""`-k EMPTY`: the host reads a variable of that name, finds none, and sends no real key."""

INTERRUPTED = 130
"""The host's exit code after Ctrl-C; what was finished is kept."""

FLAGS = {
    **{
        name: f"--env.taskset.{name.replace('_', '-')}"
        for name in (
            "suite", "ops", "language", "source", "dtype", "cases_per_op", "topn", "overhead_dominated",
            "error_inputs", "perf_cases", "profile", "prompt_template", "examples", "prompt_budget", "system_prompt",
        )
    },
    **{
        name: f"--env.taskset.task.{name.replace('_', '-')}"
        for name in ("gpu", "correctness_on", "performance_on", "kernels_dir", "sandbox", "timing_s",
                     "grader_calls", "feedback_budget", "run")
    },
    **{name: f"--env.{name.replace('_', '-')}" for name in ("num_turns", "feedback_loop")},
    "harness": "--env.agent.harness.id",
}  # fmt: skip
"""Arguments of the environment (`-a`), and the host's flag for each."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"eval: {message}")


def translate(argv: Sequence[str]) -> list[str]:
    """The host's command line for the seed's. Writes the text of a system prompt, where one is given.

    Raises `UsageError` for an unknown environment argument or a value that makes no sense.
    """
    words = list(argv)
    if words and not words[0].startswith(("-", "@")):
        named = words.pop(0)
        if named.replace("_", "-").rsplit("/", 1)[-1].split("@")[0] != ENV_ID:
            raise UsageError(f"eval: {named!r} is not an environment of this package; it runs {ENV_ID}")
    known, rest = _parser().parse_known_args(words)
    # A `@ file` comes first: after a flag, the host would read it as that flag's value.
    words = [
        *rest,
        *_flags(known),
        *_environment(known.env_args),
        *_unless_given("--push", "--no-push", rest),
    ]
    file = config_file(words)
    settled = {} if file is None else _settled(file)
    run = value_of(FLAGS["run"], words) or records.new_run_name()
    if (text := known.env_args.get("system_prompt")) is not None:
        kernels = Path(value_of(FLAGS["kernels_dir"], words) or records.KERNELS_DIR)
        words += [FLAGS["system_prompt"], str(_system_prompt(str(text), kernels / run))]
    if file is None and not value_of(FLAGS["run"], words):
        words += [FLAGS["run"], run]
    if not value_of("--run.name", words) and not settled.get("name"):
        words += ["--run.name", f"{ENV_ID}-{run}"]
    return words if file is not None else [ENV_ID, *words]


def run_eval(argv: Sequence[str]) -> int:
    """Translate, run, and print what came out. Returns the exit code: 1 if every episode failed,
    2 for wrong usage or a judge that cannot be had."""
    if {"-h", "--help"} & set(argv):
        print(
            f"{__doc__}\nArguments of the environment (-a): {', '.join(sorted(FLAGS))}\n\nThe host's own help:\n"
        )
        argv = ["-m", "none", "--help"]
    try:
        with _model(list(argv)) as words:
            command = translate(words)
            _check_place(command)
            return _run(command)
    except BackendBenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _check_place(command: list[str]) -> None:
    """Raise `UsageError` before anything is asked, and not where the host would write its first line."""
    results = _results(command)
    if results is None:
        return
    there = next(each for each in (results, *results.absolute().parents) if each.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UsageError(
            f"eval: cannot write {results}: {there} is not ours to write; name another folder with -o"
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left behind."""

    episodes: int
    """Episodes that ended."""
    failed: int
    """Those that ended in an error."""
    errors: tuple[str, ...]
    """The distinct errors, first line each."""


def _run(command: list[str]) -> int:
    from verifiers.v1.cli.eval.main import main  # seconds to import; `translate` does without

    from backend_bench.environment.watch import own_view

    before = sys.argv
    try:
        with own_view():
            main(command)
    except SystemExit as end:  # the host's way to say that a command line makes no sense, or of Ctrl-C
        if isinstance(end.code, str):
            print(f"error: {end.code}", file=sys.stderr)
        if end.code == INTERRUPTED:
            _conclude(command, interrupted=True)
        return end.code if isinstance(end.code, int) and end.code != 1 else 2
    finally:
        sys.argv = before
    return _conclude(command)


def _conclude(command: list[str], *, interrupted: bool = False) -> int:
    """Print the operators and where everything is; say whether anything succeeded."""
    results = _results(command)
    if results is None or not (results / "traces.jsonl").exists():
        return 0
    outcome = read_outcome(results / "traces.jsonl")
    run = _kernels(command, results)
    rollouts = runs.read(run.path).rollouts if run is not None and run.verdicts.exists() else ()
    table.print_run(rollouts, episodes=outcome.episodes, failed=outcome.failed)
    for error in outcome.errors[:5]:
        print(f"failed: {error}", file=sys.stderr)
    if outcome.failed and (server := value_of("--client.base-url", command)):
        print(f"server   {server}", file=sys.stderr)
    if run is not None and run.verdicts.exists():
        print(f"kernels  {run.path}")
        print(f"report   backend-bench report {run.path}")
    print(f"run      {results}")
    config = results / "configs" / "resolved" / "eval.json"
    if (outcome.failed or interrupted) and config.exists():
        print(f"resume   backend-bench eval @ {config} --resume   (plays what failed or was not finished)")
    return 1 if outcome.episodes and outcome.failed == outcome.episodes else 0


def read_outcome(traces: Path) -> Outcome:
    """Count the episodes of a run's traces.jsonl."""
    episodes = [json.loads(line) for line in traces.read_text(encoding="utf-8").splitlines() if line.strip()]
    bad = [episode for episode in episodes if not episode.get("ok")]
    errors: dict[str, None] = {}
    for episode in bad:
        told = episode.get("errors") or [e for t in episode.get("traces", []) for e in t.get("errors") or []]
        for error in told[-1:]:
            errors[str(error.get("message", "")).split("\n", 1)[0][:300]] = None
    return Outcome(len(episodes), len(bad), tuple(errors))


def value_of(flag: str, words: Sequence[str]) -> str | None:
    """The last value of `--flag value` or `--flag=value`, spelt with dashes or underscores."""
    found = None
    wanted = flag.replace("_", "-")
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") != wanted:
            continue
        if equals:
            found = value
        elif at + 1 < len(words):
            found = words[at + 1]
    return found


def _parser() -> _Parser:
    """The seed's flags. `-s` (save) is accepted and does nothing: results are always saved."""
    parser = _Parser(prog="backend-bench eval", add_help=False, allow_abbrev=False)
    add = parser.add_argument
    add("-b", "--api-base-url", "--base-url")
    add("-m", "--model")
    add("-k", "--api-key-var")
    add("-T", "--temperature", type=float)
    add("-t", "--max-tokens", type=int)
    add("-S", "--sampling-args", type=_object, default={})
    add("-a", "--env-args", type=_object, default={})
    add("-n", "--num-examples", type=int, default=-1)
    add("-r", "--rollouts-per-example", type=int)
    add("-c", "--max-concurrent", type=int)
    add("-d", "--debug", action="store_true")
    add("-s", "--save-results", action="store_true")
    add("--max-retries", type=int)
    return parser


def _object(text: str) -> dict[str, Any]:
    """An argument that is a JSON object."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


def _flags(known: argparse.Namespace) -> list[str]:
    """The host's flags for everything but the environment's arguments."""
    if known.num_examples == 0:
        raise UsageError("eval: --num-examples 0 runs nothing; -1 means all")
    flags = {
        "--model": known.model,
        "--client.base-url": known.api_base_url,
        "--client.api-key-var": known.api_key_var,
        "--sampling.temperature": known.temperature,
        "--sampling.max-tokens": known.max_tokens,
        "--num-rollouts": known.rollouts_per_example,
        "--max-concurrent": known.max_concurrent,
        "--select.limit": known.num_examples if known.num_examples > 0 else None,
        "--env.retries.max-retries": known.max_retries,
        **{f"--sampling.{name.replace('_', '-')}": value for name, value in known.sampling_args.items()},
    }
    words = [word for flag, value in flags.items() if value is not None for word in (flag, _text(value))]
    return [*words, *(["--no-rich"] if known.debug else [])]


def _environment(arguments: dict[str, Any]) -> list[str]:
    """The host's flags for `-a`; a system prompt's text is for `translate` to write."""
    words: list[str] = []
    for name, value in arguments.items():
        if name not in FLAGS:
            near = difflib.get_close_matches(name, FLAGS, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(FLAGS))}"
            raise UsageError(f"eval: -a has an unknown argument {name!r}; {hint}")
        if value is not None and name != "system_prompt":
            words += [FLAGS[name], _text(value)]
    return words


def _system_prompt(text: str, folder: Path) -> Path:
    """The file that holds the text; the text may itself be the path of a file."""
    with contextlib.suppress(OSError):  # a long text is no path
        if "\n" not in text and Path(text).is_file():
            return Path(text)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "system_prompt.txt"
    file.write_text(text, encoding="utf-8")
    return file


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _unless_given(flag: str, default: str, words: Sequence[str]) -> list[str]:
    """`default`, unless the person decided."""
    given = {flag, default} & {word.split("=", 1)[0] for word in words}
    return [] if given else [default]


@contextlib.contextmanager
def _model(words: list[str]) -> Any:
    """The command line with a built-in model served and pointed at, where one is asked for."""
    known, _ = _parser().parse_known_args([word for word in words if word != ENV_ID])
    if known.model is None and config_file(words) is None:
        raise UsageError(f"eval: name a model with -m; {authors.USAGE} need no key")
    if known.model is None and (saved := _saved_author(config_file(words))) is not None:
        model, port = saved
        with serving(model, port=port):
            yield words
        return
    if known.model is None or not known.model.startswith("builtin/"):
        _note_key(known.api_key_var)
        if not known.api_base_url and not value_of("--client.base-url", words) and config_file(words) is None:
            print(
                "note: no server was named with -b URL; the one that verifiers asks by default is asked",
                file=sys.stderr,
            )
        yield words
        return
    authors.named(known.model)
    _note_suite(known.model, known.env_args)
    if known.api_base_url:
        raise UsageError(f"eval: -m {known.model} is served by this program; leave -b out")
    with serving(known.model) as url:
        yield [*words, "-b", url, "-k", NO_KEY]


def _saved_author(file: Path | None) -> tuple[str, int] | None:
    """The built-in model of a saved run and the port where it has to answer; None for any other run.

    A resumed run must have the configuration that it was started with, address included.
    """
    saved = {} if file is None else _read_config(file)
    client = saved.get("client")
    url = str(client.get("base_url") or "") if isinstance(client, dict) else ""
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/v1", url)
    model = str(saved.get("model") or "")
    return (model, int(found[1])) if found and model.startswith("builtin/") else None


def _note_suite(model: str, arguments: dict[str, Any]) -> None:
    """Say what a scripted model knows, where it is asked for something else: it answers that it has no kernel."""
    language = model.removeprefix("builtin/")
    if language not in ("pytorch", "triton"):
        return
    known = {"suite": "smoke"} | ({"language": "pytorch"} if language == "pytorch" else {})
    if any(arguments.get(name) != value for name, value in known.items()):
        print(f"note: {model} has kernels for -a '{json.dumps(known)}' only", file=sys.stderr)


def _note_key(variable: str | None) -> None:
    """Say that a key's variable is empty: a local server needs none, another will refuse."""
    if variable and variable != NO_KEY and not os.environ.get(variable):
        print(f"note: {variable} is not set; no key is sent", file=sys.stderr)


def _results(command: list[str]) -> Path | None:
    """The folder that the host writes the run to; None where it cannot be told."""
    file = config_file(command)
    settled = {} if file is None else _settled(file)
    folder = value_of("--output-dir", command) or value_of("-o", command) or settled.get("output_dir")
    named = value_of("--run.dir", command) or value_of("--run.name", command)
    name = named or settled.get("dir") or settled.get("name")
    return Path(folder or "outputs") / name if name else None


def config_file(words: Sequence[str]) -> Path | None:
    """The file of `@ file` or `@file`."""
    for at, word in enumerate(words):
        if word == "@" and at + 1 < len(words):
            return Path(words[at + 1])
        if word.startswith("@") and len(word) > 1:
            return Path(word[1:])
    return None


def _settled(file: Path) -> dict[str, str]:
    """What a config file says about the run's place: name, dir, output_dir."""
    data = _read_config(file)
    run = data.get("run")
    found = {"output_dir": data.get("output_dir"), **(run if isinstance(run, dict) else {})}
    return {name: str(value) for name, value in found.items() if value}


def _read_config(file: Path) -> dict[str, Any]:
    """A config file; nothing of one that cannot be read, for the host will say what is wrong with it."""
    try:
        text = file.read_text(encoding="utf-8")
        data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _kernels(command: list[str], results: Path) -> records.Run | None:
    """The folder of the run's kernels, as the host resolved it."""
    try:
        saved = json.loads((results / "configs" / "resolved" / "eval.json").read_text(encoding="utf-8"))
        task = saved["env"]["taskset"]["task"]
        return records.Run(Path(task["kernels_dir"]) / task["run"])
    except (OSError, ValueError, KeyError, TypeError):
        run = value_of(FLAGS["run"], command)
        kernels = value_of(FLAGS["kernels_dir"], command) or str(records.KERNELS_DIR)
        return records.Run(Path(kernels) / run) if run else None
