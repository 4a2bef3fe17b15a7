"""What every built-in model is: from the messages of a request alone to a reply. It keeps nothing of a conversation."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FUNCTION = re.compile(r"\b(\w+)_kernel_impl\b")


@dataclass(frozen=True, slots=True)
class Request:
    """What an author is asked for."""

    folder: str
    """The operator's folder, `add__Tensor`, read from the function that the prompt names."""
    turn: int
    """How many replies came before, from 0."""
    said: str
    """All that the user said."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an author says, and its kernel."""

    words: str
    code: str | None = None


class Author(abc.ABC):
    """One built-in model."""

    def reply(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """What the author says next in this conversation. Raises `UsageError` where it cannot work here at all."""
        said = "\n".join(text_of(message) for message in messages if message.get("role") == "user")
        asked = _FUNCTION.search(said)
        if asked is None:
            return "I see no function to write: the prompt names none that ends in `_kernel_impl`."
        turn = sum(message.get("role") == "assistant" for message in messages)
        answer = self.answer(Request(asked[1], turn, said))
        if answer.code is None:
            return answer.words
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", answer.code)), default=0))
        return f"{answer.words}\n\n{fence}python\n{answer.code.rstrip()}\n{fence}\n"

    @abc.abstractmethod
    def answer(self, request: Request) -> Answer:
        """Words and kernel for one turn."""


def text_of(message: Mapping[str, Any]) -> str:
    """A message's text, whether it is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content or [] if isinstance(part, Mapping))
