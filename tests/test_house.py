"""The house stands as drawn: imports run downwards, and some never happen. Reads sources, runs nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend_bench

PACKAGE = Path(backend_bench.__file__).parent

FLOORS = {
    "cli": 5, "environment": 5,
    "executors": 4, "service": 4, "grade": 4, "mutants": 4, "model_check": 4,
    "judge": 3, "worker": 3, "report": 3, "backend": 3, "authors": 3, "recording": 3, "writers": 3,
    "suites": 2, "grading": 2, "dialogue": 2, "records": 2, "wire": 2, "buffers": 2, "gate": 2, "kernels": 2, "languages": 2,
    "runtime": 2, "own_kernels": 2,
    "operator": 1, "submission": 1, "verdict": 1, "errors": 1, "cases": 1, "fates": 1,
    "own_work": 1, "files": 1, "precise": 1, "refused": 1, "together": 1, "leases": 1,
}  # fmt: skip
"""Floor of each room; a room may import rooms below it, and of its own floor only what `BESIDE` names."""

BESIDE = {
    ("grade", "executors"), ("service", "executors"), ("cli", "environment"),
    ("operator", "errors"), ("submission", "operator"), ("submission", "errors"), ("verdict", "operator"), ("verdict", "submission"),
    ("cases", "submission"), ("gate", "buffers"), ("leases", "errors"),
}  # fmt: skip
"""Neighbours on one floor that may be used: the first imports the second."""

NEVER = [
    ("worker", ("judge", "grading", "suites", "executors"), "what the candidate can read it can game"),
    ("judge", ("worker",), "the judge loads nothing of the far side"),
    ("suites", ("judge",), "suites know no judge"),
    ("dialogue", ("grading", "judge"), "what a model is told is made from verdicts alone"),
]
ONLY_IN = {"verifiers": "environment", "modal": "executors/modal/", "ray": "executors/ray.py",
           **dict.fromkeys(("transformers", "timm", "diffusers"), "recording/libraries")}  # fmt: skip
NO_TORCH = ("operator", "submission", "own_work", "own_kernels", "verdict", "errors", "cases", "wire", "dialogue", "environment", "records",
            "executors", "cli", "grade", "runtime", "kernels", "languages", "report",
            "authors")  # fmt: skip
NO_CLOCKS = ("subprocess", "multiprocessing", "time", "socket", "signal", "tempfile")


def sources() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "kernels" not in path.relative_to(PACKAGE).parts[:-1]:  # those of authors and languages are data
            yield path


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, anywhere in it."""
    package = ["backend_bench", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def rooms_imported(path: Path) -> set[str]:
    found = {name.split(".")[1] for name in imports(path) if name.startswith("backend_bench.")}
    return found & set(FLOORS) - {room_of(path)}


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downwards(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    for other in rooms_imported(path):
        assert FLOORS[other] < FLOORS[room] or (room, other) in BESIDE, f"{room} imports {other}"


@pytest.mark.parametrize("path", list(sources()), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_never_happens(path: Path) -> None:
    room, names = room_of(path), set(imports(path))
    where = str(path.relative_to(PACKAGE))
    for one, others, why in NEVER:
        assert room != one or not rooms_imported(path) & set(others), why
    for module, place in ONLY_IN.items():
        used = any(name.split(".")[0] == module for name in names)
        assert not used or where.startswith(place), f"{module} outside {place}"
    assert not any(name.split(".")[0] in ("pickle", "cloudpickle", "dill") for name in names)
    if room in NO_TORCH:
        assert not any(name.split(".")[0] == "torch" for name in names), "the client has no torch"
    if room == "grading":
        assert not any(name.split(".")[0] in NO_CLOCKS for name in names), "grading is pure"


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in sources()} - {"__init__"} == set(FLOORS)


@pytest.mark.parametrize(
    "module",
    [
        "backend_bench",
        "backend_bench.cli",
        "backend_bench.executors.local",
        "backend_bench.executors.modal",
        "backend_bench.service.life",
    ],
)
def test_clients_and_the_queue_start_without_torch(module: str) -> None:
    code = f"import sys, {module}; print([m for m in ('torch', 'verifiers', 'triton', 'modal') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
