"""The scripted author: its first kernel of an operator is wrong in a typical way, its next ones are right."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

from backend_bench import languages
from backend_bench.authors.author import Answer, Author, Request
from backend_bench.operator import Operator
from backend_bench.submission import Language


@dataclass(frozen=True, slots=True)
class Scripted(Author):
    """Writes from a folder of kernels."""

    language: Language
    """The folder, and the language of what is in it."""

    def answer(self, request: Request) -> Answer:
        """The first kernel, and after it the second."""
        code = self.kernel(request.folder, "second" if request.turn else "first")
        if code is None:
            return Answer(f"I have not learnt `{request.folder}`; I know {', '.join(self.folders())}.")
        return Answer("Thank you; this mends it." if request.turn else "Here is a first version.", code)

    def kernel(self, folder: str, which: str) -> str | None:
        """The text of a kernel file; None where the author has none. A right one may be its language's example."""
        file = _kernels() / self.language / folder / f"{which}.py"
        if file.is_file():
            return str(file.read_text(encoding="utf-8"))
        return languages.example(self.language, Operator.from_folder(folder)) if which == "second" else None

    def folders(self) -> list[str]:
        """Folders of the operators that the author knows."""
        return sorted(folder.name for folder in (_kernels() / self.language).iterdir() if folder.is_dir())


def _kernels() -> Any:
    return resources.files(__package__) / "kernels"
