"""What Python and compilers say, cut to the lines that matter, with the kernel's own line quoted.

Text in, text out; what it says is a stranger's, so it is cut, and cannot end the block that it stands in.
"""

from __future__ import annotations

import re

LINES = 24
"""Lines of a complaint that are kept."""
_WIDTH = 240
"""Characters of a line that are kept."""
_FRAME = re.compile(r'^\s*File "(?P<path>[^"]+)", line \d+')
_FOREIGN = re.compile(r"site-packages|dist-packages|/lib/python|backend_bench/|<frozen ")
_OWN_LINE = re.compile(r'(?:kernel\.py", line |^\s*(?:at )?line )(\d+)(?=[,:\s]|$)', re.MULTILINE)
_TELLING = re.compile(r"\b(?:error|fatal)\b|Error\b|Exception\b|^\s*\^|\bkernel\.(?:py|cu)\b", re.I)
_CHATTER = re.compile(r"\bwarning\b|\bnote: |^\s*In file included from|^ninja:|^\[\d+/\d+\]", re.I)


def trimmed(text: str, code: str = "") -> str:
    """The complaint without frames of libraries and chatter, no longer than a screen; lines of `code` that it names
    and does not quote are added."""
    kept = _screen(_own(text.strip().split("\n")))
    return "\n".join(_safe(line) for line in [*kept, *_quotes("\n".join(kept), code)])


def _own(lines: list[str]) -> list[str]:
    """Without the frames of others."""
    kept: list[str] = []
    foreign = False
    for line in lines:
        frame = _FRAME.match(line)
        if frame is not None:
            foreign = _FOREIGN.search(frame["path"]) is not None
        elif line[:4] != "    ":
            foreign = False
        if not foreign:
            kept.append(line)
    return kept


def _screen(lines: list[str]) -> list[str]:
    """The lines themselves if they are few; else those that tell something, their neighbours, and the end."""
    if len(lines) > LINES:
        lines = [line for line in lines if not _CHATTER.search(line)]
    if len(lines) <= LINES:
        return lines
    last = len(lines) - 1
    telling = [
        near for at, line in enumerate(lines) if _TELLING.search(line) for near in (at, at + 1, at + 2)
    ]
    candidates = dict.fromkeys(at for at in (0, last, last - 1, last - 2, *telling) if at <= last)
    wanted = list(candidates)[: LINES // 2]  # each may need a line that says that others are left out
    kept: list[str] = []
    before = -1
    for at in sorted(wanted):
        kept += ["  …", lines[at]] if at > before + 1 else [lines[at]]
        before = at
    return kept


def _quotes(text: str, code: str) -> list[str]:
    """The kernel's lines that the text names and does not quote."""
    lines = code.split("\n")
    named = dict.fromkeys(int(match[1]) for match in _OWN_LINE.finditer(text))
    return [
        f"  line {number} of your file: {lines[number - 1].strip()}"
        for number in list(named)[:3]
        if 0 < number <= len(lines) and lines[number - 1].strip() and lines[number - 1].strip() not in text
    ]


def _safe(line: str) -> str:
    line = "".join(char if char.isprintable() or char == "\t" else "�" for char in line.replace("```", "'''"))
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
