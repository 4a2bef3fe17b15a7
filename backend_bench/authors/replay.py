"""The author that answers with kernels that lie on a disk, in BackendBench's layout: its first version first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from backend_bench import kernels
from backend_bench.authors.author import Answer, Author, Request
from backend_bench.errors import UsageError


@dataclass(frozen=True, slots=True)
class Replay(Author):
    """Version N of an operator's kernel at turn N; the last one again after that."""

    root: Path
    """A folder of operators' folders."""

    @classmethod
    def of(cls, text: str) -> Replay:
        """Raises `UsageError` where there is no such folder, or no kernel in it."""
        if not text:
            raise UsageError("builtin/replay needs a folder of kernels: builtin/replay:DIR")
        root = Path(text).expanduser().absolute()
        if not root.is_dir():
            raise UsageError(f"builtin/replay:{text}: there is no folder {root}")
        if not any(kernel.source is not None for kernel in kernels.find(root)):
            raise UsageError(
                f"builtin/replay:{text}: {root} holds operators' folders, and no kernel file in any"
            )
        return cls(root)

    def answer(self, request: Request) -> Answer:
        """The kernel as it lies there."""
        files = kernels.versions(self.root / request.folder)
        if not files:
            return Answer(
                f"I have no kernel for `{request.folder}`: there is no file in {self.root / request.folder}."
            )
        file = files[min(request.turn, len(files) - 1)]
        return Answer(f"This is {file.name}.", kernels.read(file))
