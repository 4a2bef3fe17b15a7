"""The author that answers with what torch.compile writes for the operator, as a Triton kernel file.

It sees what a model sees: the arguments that the prompt shows. torch is asked in a process of its own.
"""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import threading
from dataclasses import dataclass

from backend_bench.authors.author import Answer, Author, Request
from backend_bench.errors import UsageError, need

LIMIT_S = 300.0
"""For one operator; 24 forms and as many simple ones at half a second each and more, on a busy machine."""
_CASE = re.compile(r"^[ \t]*(\(\(.*\), \{.*\}\))[ \t]*(?:#.*)?$", re.MULTILINE)
"""Arguments as the prompt shows them, a remark behind them left out."""
_ONE_AT_A_TIME = threading.Lock()
"""A process with Inductor in it takes a gigabyte and a core."""


@dataclass(frozen=True, slots=True)
class Inductor(Author):
    """Writes Triton, the same at every turn."""

    @classmethod
    def here(cls) -> Inductor:
        """Raises `MissingExtra` where this Python has no torch, or no Triton."""
        for module in ("torch", "triton"):
            need(module, "interpreter", f"builtin/inductor needs {module} in the Python that runs it")
        return cls()

    def answer(self, request: Request) -> Answer:
        """The kernel for the arguments that the first prompt shows."""
        with _ONE_AT_A_TIME:
            return _write(request.folder, tuple(dict.fromkeys(_CASE.findall(request.said))))


@functools.lru_cache(maxsize=1000)
def _write(folder: str, cases: tuple[str, ...]) -> Answer:
    done = subprocess.run(
        [sys.executable, "-m", "backend_bench.writers.inductor"],
        input=json.dumps({"folder": folder, "cases": cases}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    if done.returncode:
        raise UsageError(f"builtin/inductor failed for {folder}: {done.stderr.strip()[-2000:]}")
    answer = json.loads(done.stdout)
    return Answer(answer["words"], answer["code"])
