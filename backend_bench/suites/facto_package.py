"""Which FACTO is installed: found and hashed, never imported.

Imports no torch, for clients that list the suite from the cache. What its specifications say is read elsewhere.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from pathlib import Path

from backend_bench.errors import UsageError

INSTALL = "pip install git+https://github.com/meta-pytorch/FACTO"
_DATABASE = "specdb/db.py"
"""The file that makes a package of this name the one that is meant."""
_DIGITS = 16
"""Of the content's sha256."""
_PINNED = re.compile(rf"FACTO#[0-9a-f]{{{_DIGITS}}}")


def pinned(source: str | None) -> str:
    """`FACTO#` and the hash of the installed code. A source that was pinned before must still have that content.

    Where none is installed, a pinned source stays: a judge needs no FACTO for an index that is stored.
    """
    if source is not None and not _PINNED.fullmatch(source):
        raise UsageError(
            "suite facto has its cases from the installed FACTO and takes no source; leave --source out"
        )
    try:
        found = f"FACTO#{_hash(_folder())}"
    except UsageError:
        if source is None:
            raise
        return source
    if source not in (None, found):
        raise UsageError(
            f"the installed FACTO has changed: it was {source} when the suite was listed and is {found} now;"
            " list the suite again"
        )
    return found


def described(pinned_source: str) -> str:
    """The source for an index."""
    name, _, digest = pinned_source.partition("#")
    return f"{name}, sha256 {digest}"


def _folder() -> Path:
    """The package's folder; a `UsageError` with what to do where there is none, or another one of that name."""
    try:
        found = importlib.util.find_spec("facto")
    except (ImportError, ValueError):  # ValueError: someone put a half-made module into sys.modules
        found = None
    if found is None:
        raise UsageError(f"suite facto needs meta-pytorch's FACTO, which is not installed: {INSTALL}")
    for place in found.submodule_search_locations or ():
        if (Path(place) / _DATABASE).is_file():
            return Path(place)
    where = found.origin or ", ".join(found.submodule_search_locations or ())
    raise UsageError(
        f"the package facto that is installed ({where}) is another one of that name: it has no operator"
        f" specifications; pip uninstall facto, then {INSTALL}"
    )


def _hash(folder: Path) -> str:
    """Hash of all its code: the specifications, and what draws from them. A service outlives a fresh installation."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:_DIGITS]
