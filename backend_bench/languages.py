"""The languages that a kernel may be written in, and how a file's language is recognised from its text."""

from __future__ import annotations

import re

from backend_bench.submission import Language, Submission

# Blanks and tabs only before a word: with \s a run of empty lines costs the square of its length.
_TRITON = re.compile(r"^[ \t]*(?:import|from)[ \t]+triton\b", re.MULTILINE)
_JIT = re.compile(
    r"\btriton\.(?:jit|autotune|heuristics)\b|^[ \t]*@[ \t]*(?:jit|autotune|heuristics)\b", re.MULTILINE
)


def recognise(source: str) -> Language:
    """`triton` where the file imports triton and defines a kernel, else `pytorch`."""
    return "triton" if _TRITON.search(source) and _JIT.search(source) else "pytorch"


def language_of(submission: Submission) -> Language:
    """The language that a submission is judged in; a stated one is binding, see `mismatch`."""
    if submission.language == "auto":
        return recognise(submission.source)
    return submission.language


def mismatch(submission: Submission) -> str:
    """Why the source is not in the language asked for; empty when it is."""
    if submission.language == "triton" and recognise(submission.source) != "triton":
        return "the kernel must be written in Triton: the file has no @triton.jit function"
    return ""
