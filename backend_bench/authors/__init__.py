"""Built-in models: authors without a key, so that everything runs without one and without a network.

    builtin/pytorch, builtin/triton   scripted: a first kernel that is wrong in a typical way, then a right one
    builtin/replay:DIR                the kernels of a folder, version N at turn N
    builtin/inductor                  what torch.compile writes for the operator (needs torch in the author's Python)
    builtin/flag-gems                 the kernels of the installed flag-gems

They answer like a model, through the same OpenAI-compatible path. Kernels are text here and are never imported.
"""

from __future__ import annotations

import difflib
from typing import Any

from backend_bench.authors.author import Author
from backend_bench.authors.flag_gems import FlagGems
from backend_bench.authors.inductor import Inductor
from backend_bench.authors.replay import Replay
from backend_bench.authors.scripted import Scripted
from backend_bench.errors import UsageError

NAMES = ("builtin/pytorch", "builtin/triton", "builtin/inductor", "builtin/flag-gems")
"""Those whose name says it all."""
USAGE = f"{', '.join(NAMES)} or builtin/replay:DIR"

__all__ = ["NAMES", "USAGE", "Author", "Scripted", "named", "serve", "serving"]


def named(name: str) -> Author:
    """The author of a name, `builtin/pytorch` or `pytorch` for short. Raises `UsageError` for one that cannot be had."""
    kind, colon, rest = name.removeprefix("builtin/").partition(":")
    if kind == "replay":
        return Replay.of(rest)
    full = f"builtin/{kind}"
    if colon or full not in NAMES:
        near = difflib.get_close_matches(full, [*NAMES, "builtin/replay"], n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near and not colon else f"there are {USAGE}"
        raise UsageError(f"there is no built-in model {name!r}; {hint}")
    if kind == "inductor":
        return Inductor.here()
    if kind == "flag-gems":
        return FlagGems.here()
    return Scripted(kind)  # type: ignore[arg-type]  # one of the other names


def __getattr__(name: str) -> Any:
    """The web server is imported by whoever serves."""
    if name in ("serve", "serving"):
        from backend_bench.authors import server

        return getattr(server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
