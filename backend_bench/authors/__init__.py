"""Built-in models: scripted authors that answer like a model, so that everything runs without a key.

An author's first kernel of an operator is wrong in a typical way, and its next ones are right, so that
a run shows a failure, feedback and a success. The kernels are the files under
`kernels/<language>/<operator>/{first,second}.py`; here they are text and are never imported.
"""

from __future__ import annotations

from typing import Any

from backend_bench.authors.author import NAMES, Author

__all__ = ["NAMES", "Author", "serve", "serving"]


def __getattr__(name: str) -> Any:
    """The web server is imported by whoever serves."""
    if name in ("serve", "serving"):
        from backend_bench.authors import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
