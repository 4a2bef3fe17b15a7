"""Source text → callable, inside the worker."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend_bench.languages import PLUGINS

MODULE = "candidate_kernel"
_NAMED = 5
"""So many names of a file that lacks the one that it should define."""


class LoadFailed(Exception):
    """The source does not give the function; the text says why, in the candidate's own lines."""


def load(source: str, function: str, folder: Path, language: str) -> Callable[..., Any]:
    """Import the source as a module from a file in `folder` and return its `function`.

    A real file, because Triton reads a kernel's source back from its file.
    """
    if plugin := PLUGINS.get(language):  # type: ignore[call-overload]  # text from the wire
        os.environ.update(
            {name: value.format(scratch=folder.parent) for name, value in plugin.environment.items()}
        )
    path = folder / f"{MODULE}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(MODULE, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MODULE] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        raise LoadFailed(describe(error, path)) from error
    found = getattr(module, function, None)
    if not callable(found):
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == MODULE]
        others = f"; it defines {', '.join(own[:_NAMED])}" if own else ""
        raise LoadFailed(f"the file defines no function {function}{others}")
    return found  # type: ignore[no-any-return]


def describe(error: BaseException, path: Path | None = None) -> str:
    """An exception's text with the frames of the candidate's own file, innermost last."""
    name = str(path) if path else f"/{MODULE}.py"
    frames = [
        f"  line {frame.lineno}, in {frame.name}: {frame.line or ''}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.endswith(name)
    ]
    text = "".join(traceback.format_exception_only(error)).strip()
    return "\n".join([text.replace(name, "kernel.py"), *frames[-5:]])
