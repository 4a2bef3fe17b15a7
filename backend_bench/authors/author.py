"""A scripted author: from the messages of a request alone to a reply. It keeps nothing in between."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from backend_bench import languages
from backend_bench.errors import UsageError
from backend_bench.operator import Operator
from backend_bench.submission import Language

NAMES = ("builtin/pytorch", "builtin/triton")
_FUNCTION = re.compile(r"\b(\w+)_kernel_impl\b")


@dataclass(frozen=True, slots=True)
class Author:
    """One built-in model."""

    language: Language
    """The folder of kernels that it writes from."""

    @classmethod
    def named(cls, name: str) -> Author:
        """`builtin/pytorch`, or `pytorch` for short. Raises `UsageError` for another name."""
        full = name if name.startswith("builtin/") else f"builtin/{name}"
        if full not in NAMES:
            near = difflib.get_close_matches(full, NAMES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {' and '.join(NAMES)}"
            raise UsageError(f"there is no built-in model {name!r}; {hint}")
        return cls(full.removeprefix("builtin/"))  # type: ignore[arg-type]  # one of the names

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """What the author says next in this conversation."""
        said = "\n".join(text_of(message) for message in messages if message.get("role") == "user")
        asked = _FUNCTION.search(said)
        if asked is None:
            return "I see no function to write: the prompt names none that ends in `_kernel_impl`."
        turn = sum(message.get("role") == "assistant" for message in messages)
        code = self.kernel(asked[1], "first" if turn == 0 else "second")
        if code is None:
            return f"I have not learnt `{asked[1]}`; I know {', '.join(self.folders())}."
        opening = "Here is a first version." if turn == 0 else "Thank you; this mends it."
        return f"{opening}\n\n```python\n{code}```\n"

    def kernel(self, folder: str, which: str) -> str | None:
        """The text of a kernel file; None where the author has none. A right one may be its language's example."""
        file = _kernels() / self.language / folder / f"{which}.py"
        if file.is_file():
            return str(file.read_text(encoding="utf-8"))
        return languages.example(self.language, Operator.from_folder(folder)) if which == "second" else None

    def folders(self) -> list[str]:
        """Folders of the operators that the author knows."""
        return sorted(folder.name for folder in (_kernels() / self.language).iterdir() if folder.is_dir())


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whether it is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or [] if isinstance(part, Mapping))


def _kernels() -> Any:
    return resources.files(__package__) / "kernels"
