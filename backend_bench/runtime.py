"""Where the judge services of this user are found: a private folder with a socket, a lock and a log for each.

A service is named after what decides its verdicts: this package's build and what it runs on, torch's
version, and the level of the sandbox. Whoever differs in one of them finds another name, and so
another service. What a service may see of its starter's environment is told here too, because it is a
part of that name. Neither starts a service nor speaks to one, and imports no torch.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import re
import stat
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend_bench.errors import ServiceError
from backend_bench.submission import Sandbox

FOLDER = "BACKEND_BENCH_RUNTIME_DIR"
"""Variable that names the folder; it is created if it is missing."""
IDLE = "BACKEND_BENCH_IDLE_S"
"""Variable that says after how many idle seconds a service ends."""
TOKEN = "BACKEND_BENCH_TOKEN"
"""Variable of a client that holds the token of a service on another host; no service sees it."""

_PID_DIGITS = 20
_LONGEST_SOCKET = 107
"""Bytes; what the kernel's `sun_path` holds."""
_ALLOWED = re.compile(
    r"PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TZ|TMPDIR|LD_LIBRARY_PATH|VIRTUAL_ENV|SSL_CERT_\w+|REQUESTS_CA_BUNDLE"
    r"|(?:XDG|CUDA|NVIDIA|NCCL|PYTORCH|TORCH|TORCHINDUCTOR|TRITON|OMP|MKL|OPENBLAS|PYTHON|BACKEND_BENCH)_?[A-Z_0-9]*"
    r"|HF_(?:HOME|HUB_\w+|ENDPOINT)|(?i:https?_proxy|no_proxy)"
)
"""Variables that a service may see; none of them is a place for a secret."""
_DECIDES = re.compile(
    r"LD_LIBRARY_PATH|(?:CUDA|NVIDIA|NCCL|PYTORCH|TORCH|TORCHINDUCTOR|TRITON|OMP|MKL|OPENBLAS)_?[A-Z_0-9]*"
)
"""Variables that change what is judged or measured: another value needs another service."""


@dataclass(frozen=True, slots=True)
class Address:
    """The place of one service, whether it runs or not."""

    folder: Path
    name: str

    @property
    def socket(self) -> Path:
        """Where it listens."""
        return self._file("sock")

    @property
    def lock(self) -> Path:
        """Held from before its start to its end; names its process."""
        return self._file("lock")

    @property
    def log(self) -> Path:
        """What it and its zygotes say."""
        return self._file("log")

    def try_lock(self) -> int | None:
        """A descriptor that holds the lock; None while a service has it. Raises `ServiceError`."""
        try:
            fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ServiceError(
                f"{self.lock} cannot be opened: {error.strerror}; set {FOLDER} to a folder of yours that can be written"
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    @staticmethod
    def note(lock: int, pid: int) -> None:
        """Write into the lock who has it. In one piece of one length, so that whoever reads meanwhile finds a number."""
        os.pwrite(lock, f"{pid:<{_PID_DIGITS}}".encode(), 0)
        os.ftruncate(lock, _PID_DIGITS)

    def pid(self) -> int | None:
        """The process that holds the lock; None if nobody does, or it has not said so yet."""
        if (fd := self.try_lock()) is not None:
            os.close(fd)
            return None
        text = self.lock.read_text().strip()
        return int(text) if text.isdigit() else None

    def _file(self, kind: str) -> Path:
        return self.folder / f"{self.name}.{kind}"


def address(sandbox: Sandbox) -> Address:
    """The place of the service that would judge for this process."""
    place = Address(folder(), f"{build()}-torch{torch_version() or '-none'}-{sandbox}")
    if len(os.fsencode(place.socket)) > _LONGEST_SOCKET:
        raise ServiceError(
            f"{place.socket} is too long for a socket (more than {_LONGEST_SOCKET} bytes); "
            f"set {FOLDER} to a shorter folder"
        )
    return place


def known() -> Iterator[Address]:
    """Every service of this user that has ever been started in this folder and left a trace."""
    place = folder()
    for lock in sorted(place.glob("*.lock")):
        yield Address(place, lock.stem)


def folder() -> Path:
    """The private folder, made if need be. Raises `ServiceError` where it is not private."""
    path = _folder_path()
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ServiceError(
            f"the folder {path} for judge services cannot be made: {error.strerror}"
        ) from error
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise ServiceError(
            f"{path} is not a private folder of user {os.getuid()} (owner {found.st_uid}, mode "
            f"{stat.S_IMODE(found.st_mode):o}): others could stand in for the judge; remove it, or set {FOLDER}"
        )
    return path


def _folder_path() -> Path:
    if own := os.environ.get(FOLDER):
        return Path(own).absolute()
    session = os.environ.get("XDG_RUNTIME_DIR")
    if session and _is_ours(Path(session)):  # after `su` it is somebody else's
        return Path(session).absolute() / "backend-bench"
    return Path(tempfile.gettempdir()) / f"backend-bench-{os.getuid()}"


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid == os.getuid()
    except OSError:
        return False


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """What a service sees of its starter's environment: an allow-list."""
    kept = {name: value for name, value in environment.items() if _ALLOWED.fullmatch(name) and name != TOKEN}
    # It works in another folder than its starter.
    for name in ("PYTHONPATH", "BACKEND_BENCH_CACHE", "XDG_CACHE_HOME"):
        if kept.get(name):
            kept[name] = os.pathsep.join(
                os.path.abspath(part) for part in kept[name].split(os.pathsep) if part
            )
    return kept | {"PYTHONPATH": _python_path(kept.get("PYTHONPATH"))}


def _python_path(given: str | None) -> str:
    """As the starter has it, and this package, but not the folder in which somebody typed a command."""
    ours = str(Path(__file__).parents[1])
    parts = given.split(os.pathsep) if given else []
    return os.pathsep.join(parts if ours in (*parts, *_site_folders()) else [*parts, ours])


def _site_folders() -> tuple[str, ...]:
    return sysconfig.get_path("purelib"), sysconfig.get_path("platlib")


def build() -> str:
    """Digest of what decides a verdict besides torch's version: sources, interpreter, environment."""
    decisive = sorted((name, value) for name, value in os.environ.items() if _DECIDES.fullmatch(name))
    text = (
        f"{digest_of(Path(__file__).parent)}\0{sys.prefix}\0{sys.version}\0{_version('triton')}\0{decisive}"
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


@functools.cache
def digest_of(package: Path) -> str:
    """Hash of a package's files, by content: a touched file is the same, a changed one is not."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if "__pycache__" not in path.parts and path.is_file():
            digest.update(
                f"{path.relative_to(package)}\0{path.stat().st_size}\0".encode() + path.read_bytes()
            )
    return digest.hexdigest()


def torch_version() -> str | None:
    """Version of the installed torch, read without importing it; None where there is none."""
    return _version("torch")


@functools.cache
def _version(module: str) -> str | None:
    """As the module's own files say it, some milliseconds faster than its package's metadata."""
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        return None
    for name in ("version.py", "__init__.py"):
        path = Path(found.origin).with_name(name)
        match = (
            re.search(r"^__version__\s*=\s*['\"]([^'\"]+)", path.read_text(), re.M) if path.exists() else None
        )
        if match:
            return match[1]
    return None
