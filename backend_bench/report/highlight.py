"""A kernel's text as runs of colour: `k6-1f4` is six characters of a keyword, one plain, four of a name.

The text itself is not touched, so a page can put it into text nodes, and nothing in it is ever read as HTML.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import groupby

from pygments.lexers.python import PythonLexer
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

LONGEST = 100_000
"""Characters; a longer kernel stays plain, for the lexer reads a third of a megabyte in a second."""
PLAIN = "-"
_KINDS = (
    (Comment, "c"),
    (String, "s"),
    (Number, "n"),
    (Keyword, "k"),
    (Operator.Word, "k"),
    (Name.Function, "f"),
    (Name.Class, "f"),
    (Name.Decorator, "d"),
    (Name.Builtin, "b"),
    (Name.Exception, "b"),
)
_LEXER = PythonLexer()


@lru_cache(maxsize=4096)
def highlight(code: str) -> str:
    """The runs, with lengths in UTF-16 units, as browsers count; empty for a text that is too long."""
    if len(code) > LONGEST:
        return ""
    pieces = ((_kind(kind), text) for _, kind, text in _LEXER.get_tokens_unprocessed(code))
    return "".join(
        f"{letter}{sum(_units(text) for _, text in run)}"
        for letter, run in groupby(pieces, lambda piece: piece[0])
    )


@cache  # the lexer has a hundred kinds, a run has millions of tokens
def _kind(token: _TokenType) -> str:
    return next((letter for kind, letter in _KINDS if token in kind), PLAIN)


def _units(text: str) -> int:
    return len(text) + sum(ord(character) > 0xFFFF for character in text)
