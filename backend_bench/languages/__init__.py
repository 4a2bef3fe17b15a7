"""The languages that a kernel may be written in, and how a file's language is recognised from its text.

One language is one file that declares it. What a language needs is proved on the machine by the judge, with the
language's own example kernel; nothing here imports or runs a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from backend_bench.errors import UsageError
from backend_bench.languages import cuda, cutedsl, helion, pytorch, triton
from backend_bench.languages.plugin import Plugin
from backend_bench.languages.source import Source
from backend_bench.operator import Operator
from backend_bench.submission import Device, Language, Submission

PLUGINS: Mapping[Language, Plugin] = {
    module.PLUGIN.name: module.PLUGIN for module in (triton, cuda, helion, cutedsl, pytorch)
}
NAMES = tuple(PLUGINS)
HELLO = Operator("relu")
"""The operator of each language's hello-world."""
_WRITE_KERNELS = (
    "torch.compile",
    "torch._dynamo",
    "torch.jit.script",
    "torch.jit.trace",
    "torch._inductor.compile",
)
"""What a kernel is not told by: these make one of the operator itself, and no dispatch mode sees it."""

__all__ = [
    "HELLO",
    "NAMES",
    "PLUGINS",
    "Plugin",
    "example",
    "example_beside",
    "examples",
    "language_of",
    "mismatch",
    "recognise",
]

MOST_SOURCE_BYTES = 2 << 20
"""A file's; it has to fit into a message to a worker, however it is escaped there."""


def recognise(source: str) -> Language:
    """The kernel language in which the file defines a kernel, else `pytorch`."""
    return (*_defined(Source.read(source)), "pytorch")[0]


def language_of(submission: Submission) -> Language:
    """The language that a submission is judged in; a stated one is binding, see `mismatch`."""
    if submission.language == "auto":
        return recognise(submission.source)
    return submission.language


def mismatch(submission: Submission) -> str:
    """Why the source is too long, not in the language asked for, or not its author's own; empty when it is none of these."""
    length = len(submission.source.encode(errors="surrogatepass"))
    if length > MOST_SOURCE_BYTES:
        return f"the file has {length:,} bytes; at most {MOST_SOURCE_BYTES:,} are judged"
    read = Source.read(submission.source)
    found = _defined(read)
    if found and read.uses(*_WRITE_KERNELS):
        return "the kernel must be written out: torch.compile would write it in the author's stead"
    if submission.language == "auto":
        return ""
    asked = PLUGINS[submission.language]
    others = [PLUGINS[name].title for name in found if name != asked.name]
    if asked.name != "pytorch" and asked.name not in found:
        instead = f"; it is written in {' and '.join(others)}" if others else ""
        return f"the kernel must be written in {asked.title}: the file has no {asked.mark}{instead}"
    if others:
        return f"the kernel must be written in {asked.title} alone: the file also has {' and '.join(others)}"
    return ""


def check_device(language: str, device: Device) -> None:
    """Raise `UsageError` where a language cannot run on that kind of device at all."""
    plugin = PLUGINS.get(language)  # type: ignore[call-overload]  # `auto` is none of them
    if plugin is not None and (refusal := plugin.refusal(device)):
        raise UsageError(f"language {language} cannot be judged on {device}: {refusal}")


def example(language: Language, op: Operator) -> str | None:
    """The text of a worked example kernel; None where the language has none for the operator."""
    file = _kernels() / language / f"{op.folder}.py"
    return file.read_text(encoding="utf-8") if file.is_file() else None


def examples(language: Language) -> list[Operator]:
    """The operators for which the language has an example."""
    if not (_kernels() / language).is_dir():
        return []
    return sorted(
        Operator.from_folder(file.name.removesuffix(".py"))
        for file in (_kernels() / language).iterdir()
        if file.name.endswith(".py")
    )


def example_beside(language: Language, op: Operator) -> tuple[Operator, str] | None:
    """An example kernel for another operator than `op` and its variants, and which."""
    for shown in examples(language):
        if shown.base.rstrip("_") != op.base.rstrip("_"):
            return shown, example(language, shown) or ""
    return None


def _defined(read: Source) -> list[Language]:
    """The kernel languages in which the file defines a kernel."""
    return [plugin.name for plugin in PLUGINS.values() if plugin.defines_kernel(read)]


def _kernels() -> Any:
    return resources.files(__package__) / "kernels"
