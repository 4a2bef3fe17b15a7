"""The README tells the truth: its commands run, and what it names exists.

A shell block marked `run` is run, `run exit=1` with that exit code; a Python block marked `file=NAME` lies beside it.
"""

from __future__ import annotations

import re
import subprocess
import sys
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
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]  # it is a group
SECONDS = 120
"""For one command, on a machine that is busy with other tests."""


class Block(NamedTuple):
    """A fenced block: the words after its fence, and its text."""

    info: list[str]
    text: str


def blocks() -> list[Block]:
    found = re.findall(r"^```(\w[^\n`]*)\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(info.split(), text) for info, text in found]


def lines(mark: str = "") -> list[tuple[str, str]]:
    """Info string and line of each shell command, or of those in blocks with a mark."""
    return [
        (" ".join(block.info), line.partition(" #")[0].strip())
        for block in blocks()
        if block.info[0] == "shell" and (not mark or mark in block.info)
        for line in block.text.splitlines()
    ]


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of the README."""
    folder = tmp_path_factory.mktemp("readme")
    for block in blocks():
        for word in block.info:
            if word.startswith("file="):
                (folder / word.removeprefix("file=")).write_text(block.text)
    return folder


@pytest.mark.parametrize(("info", "line"), lines("run"), ids=lambda text: str(text)[:60])
def test_a_command_marked_run_ends_as_the_readme_says(
    info: str, line: str, beside: Path, runtime_folder: Path
) -> None:
    program, *arguments = line.split()
    assert program == "backend-bench", "only our own commands are run"
    done = subprocess.run(
        [sys.executable, "-m", "backend_bench.cli", *arguments],
        cwd=beside,
        env={
            "PYTHONPATH": str(ROOT),
            "PATH": "/usr/bin:/bin",
            "HOME": str(beside),
            runtime.FOLDER: str(runtime_folder),
        },
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    wanted = re.search(r"exit=(\d)", info)
    assert done.returncode == (int(wanted[1]) if wanted else 0), done.stdout + done.stderr
    assert done.stdout.strip()


def test_every_command_named_exists_and_every_command_is_named() -> None:
    text = README.read_text()
    named = set(re.findall(r"`backend-bench (\w[\w-]*)", text))
    named |= {line.split()[1] for _, line in lines() if line.startswith("backend-bench ")}
    assert named == set(COMMANDS)


@pytest.mark.parametrize("line", [line for _, line in lines() if line.startswith("backend-bench ")])
def test_every_option_of_a_command_exists(line: str) -> None:
    command = line.split()[1]
    options = set(re.findall(r"(?<= )--?[a-zA-Z][\w-]*", line))
    assert options <= options_of(command), f"{command} has no {options - options_of(command)}"


def test_every_option_named_in_the_text_exists() -> None:
    prose = re.sub(r"^```.*?^```$", "", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(--?[a-zA-Z][\w-]*)[^`]*`", prose)) - {"--no-push", "--help"}
    known = {option for command in COMMANDS for option in options_of(command)}
    assert named <= known | {flag for flag in named if flag.startswith("--env")}


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
