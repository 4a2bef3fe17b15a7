"""docs/threats.md names a folder of the corpus for each trick that is known, and names no folder that is not there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORPUS = ROOT / "tests" / "corpus"
THREATS = (ROOT / "docs" / "threats.md").read_text()
TRICKS = {"A": 7, "B": 7, "C": 7, "D": 12, "E": 7, "F": 8}
"""How many of each kind have been seen elsewhere."""


def _rows() -> list[list[str]]:
    lines = [line for line in THREATS.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def _named() -> set[str]:
    return {name for row in _rows() for name in re.findall(r"`(\w+)`", row[-1])}


@pytest.mark.parametrize(
    "trick", [f"{kind}{n}" for kind, count in TRICKS.items() for n in range(1, count + 1)]
)
def test_each_trick_that_has_been_seen_has_a_row(trick: str) -> None:
    [row] = [row for row in _rows() if row[0] == trick]
    assert row[2]
    assert trick == "A6" or re.search(r"`\w+`", row[3]), "no folder tries it"


def test_each_folder_that_is_named_is_there() -> None:
    assert [name for name in sorted(_named()) if not (CORPUS / name / "kernel.py").exists()] == []


def _folders() -> list[Path]:
    return sorted(path.parent for path in CORPUS.glob("*/expect.toml"))


@pytest.mark.parametrize("folder", _folders(), ids=lambda folder: folder.name)
def test_each_kernel_tells_its_trick(folder: Path) -> None:
    assert re.match(r'"""\S', (folder / "kernel.py").read_text())


def test_honest_kernels_are_expected_to_be_right() -> None:
    for folder in _folders():
        if "honest" in folder.name:
            assert tomllib.loads((folder / "expect.toml").read_text())["status"] == "ok", folder.name


def test_there_are_as_many_as_the_documents_say() -> None:
    honest = [folder for folder in _folders() if "honest" in folder.name]
    assert len(honest) >= 50
    assert len(_folders()) - len(honest) >= 70
