"""The README and the pages of the site tell the truth: their commands run, and what they name exists.

A shell block marked `run` is run, `run exit=1` with that exit code, those of one document in its order; a Python block
marked `file=NAME` lies beside it.
"""

from __future__ import annotations

import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import typer.main

import backend_bench
from backend_bench import cli, runtime
from backend_bench.environment import eval as evaluation

ROOT = Path(__file__).parents[1]
PACKAGE = Path(backend_bench.__file__).parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
"""Whose commands are run and whose options are looked up."""
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCUMENTS += sorted((ROOT / "evals").rglob("README.md"))
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
SECONDS = 120
"""For one command, on a machine that is busy with other tests."""


class Block(NamedTuple):
    """A fenced block: the words after its fence, and its text."""

    info: list[str]
    text: str


def blocks(document: Path = README) -> list[Block]:
    found = re.findall(r"^```(\w[^\n`]*)\n(.*?)^```$", document.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(info.split(), text) for info, text in found]


def lines(document: Path = README, mark: str = "") -> list[tuple[str, str]]:
    """Info string and line of each shell command, or of those in blocks with a mark."""
    return [
        (" ".join(block.info), line.partition(" #")[0].strip())
        for block in blocks(document)
        if block.info[0] == "shell" and (not mark or mark in block.info)
        for line in block.text.splitlines()
    ]


def in_documents(*, mark: str = "") -> list[tuple[Path, str, str]]:
    return [(document, info, line) for document in PAGES for info, line in lines(document, mark)]


def named(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)[:60]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """A folder for each document, with its files; the commands of one find what those before them left."""

    @functools.cache
    def folder(document: Path) -> Path:
        made = tmp_path_factory.mktemp("page")
        for block in blocks(document):
            for word in block.info:
                if word.startswith("file="):
                    file = made / word.removeprefix("file=")
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(block.text)
        return made

    return folder


def run(line: str, folder: Path, runtime_folder: Path) -> subprocess.CompletedProcess[str]:
    program, *arguments = shlex.split(line)
    assert program in ("backend-bench", "python"), "only our own commands are run"
    module = ["-m", "backend_bench.cli"] if program == "backend-bench" else []
    return subprocess.run(
        [sys.executable, *module, *arguments],
        cwd=folder,
        env={
            "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}",
            "PATH": "/usr/bin:/bin",
            "HOME": str(folder),
            runtime.FOLDER: str(runtime_folder),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("document", "info", "line"), in_documents(mark="run"), ids=named)
def test_a_command_marked_run_ends_as_the_page_says(
    document: Path, info: str, line: str, beside: Callable[[Path], Path], runtime_folder: Path
) -> None:
    done = run(line, beside(document), runtime_folder)
    wanted = re.search(r"exit=(\d)", info)
    assert done.returncode == (int(wanted[1]) if wanted else 0), done.stdout + done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_a_local_model_is_evaluated_as_its_page_says(tmp_path: Path, runtime_folder: Path) -> None:
    """The page's server, at a port that is free, and its `eval`."""
    page = ROOT / "docs" / "how-to" / "evaluate-a-local-model.md"
    served, asked = [line for _, line in lines(page) if "8123" in line]
    author = shlex.split(served.removesuffix(" &").replace("8123", "0"))[1:]
    command = [sys.executable, "-m", "backend_bench.cli", *author]
    with subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            told = (re.search(r"running on http://127.0.0.1:(\d+)", line) for line in server.stderr)
            port = next(found[1] for found in told if found)
            done = run(asked.replace("8123", port), tmp_path, runtime_folder)
        finally:
            server.terminate()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 operators right" in done.stdout


@pytest.mark.slow
def test_the_site_is_built_strictly(tmp_path: Path) -> None:
    """Every link and anchor leads somewhere, every name of the reference is there, every page has its place."""
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "how-to" / "read-a-verdict" / "index.html").exists()


def test_every_command_named_exists_and_every_command_is_named() -> None:
    text = README.read_text()
    named = set(re.findall(r"`backend-bench (\w[\w-]*)", text))
    named |= {line.split()[1] for _, line in lines() if line.startswith("backend-bench ")}
    assert named == set(COMMANDS)


@pytest.mark.parametrize(
    ("document", "line"),
    [(page, line) for page, _, line in in_documents() if line.startswith("backend-bench ")],
    ids=named,
)
def test_every_option_of_a_command_exists(document: Path, line: str) -> None:
    command = line.split()[1]
    options = set(re.findall(r"(?<= )--?[a-zA-Z][\w-]*", line))
    assert options <= options_of(command), f"{command} has no {options - options_of(command)}"


@pytest.mark.parametrize("document", PAGES, ids=named)
def test_every_option_named_in_the_text_exists(document: Path) -> None:
    prose = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    told = set(re.findall(r"`(--[a-zA-Z][\w-]*|-[a-zA-Z]\b)[^`]*`", prose)) - {"--no-push", "--help"}
    known = {option for command in COMMANDS for option in options_of(command)}
    assert told <= known | {flag for flag in told if flag.startswith("--env")}


def options_of(command: str) -> set[str]:
    if command == "eval":
        return set(evaluation._parser()._option_string_actions)
    return {option for parameter in COMMANDS[command].params for option in parameter.opts}


def test_the_table_of_arguments_is_the_environments() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(--env[\w.-]*)` \|", README.read_text(), re.MULTILINE)
    assert dict(rows) == evaluation.FLAGS


def test_the_tree_is_the_packages() -> None:
    (tree,) = [block.text for block in blocks() if "tree" in block.info]
    path, drawn = [PACKAGE.name], set()
    for line in tree.splitlines()[1:]:
        entry = re.match(r"((?:│   |    )*)[├└]── (\S+)", line)
        assert entry is not None, line
        depth = len(entry[1]) // 4 + 1
        path[depth:] = [entry[2].rstrip("/")]
        drawn.add(("/".join(path[1:]), entry[2].endswith("/")))
    assert {name for name, is_folder in drawn if is_folder} == folders()
    assert {name for name, is_folder in drawn if not is_folder} == {
        file.name for file in PACKAGE.glob("*.py") if not file.name.startswith("__")
    }


def folders() -> set[str]:
    """Folders with something in them, two deep."""
    return {
        str(folder.relative_to(PACKAGE))
        for pattern in ("*/", "*/*/")
        for folder in PACKAGE.glob(pattern)
        if folder.name != "__pycache__" and any(file.suffix != ".pyc" for file in folder.rglob("*.*"))
        if folder.relative_to(PACKAGE).parts[:2] not in {("authors", "kernels")} or folder.name == "kernels"
        if folder.parent.name != "kernels"
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        file, _, heading = target.partition("#")
        place = (document.parent / file).resolve() if file else document
        assert place.exists(), f"{document.name} links to {target}"
        if heading:
            assert heading in anchors(place), f"{document.name} links to {target}"


def test_the_index_lists_every_decision() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    missing = [
        file.name for file in (ROOT / "docs" / "design").glob("*.md") if f"(design/{file.name})" not in index
    ]
    assert not missing, "docs/README.md needs a line for each"


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
