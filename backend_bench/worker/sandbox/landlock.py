"""The second wall around files: rights by path, which the kernel keeps even where a mount would not.

It binds the calling thread and what that thread starts, so it is applied while there is no other.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from . import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG: Final = 1
_RULE_PATH_BENEATH: Final = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_REFER, _TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_ON_FILES: Final = EXECUTE | WRITE_FILE | READ_FILE | _TRUNCATE | IOCTL_DEVICE
_EVERYTHING: Final = (1 << 16) - 1

LOOK: Final = READ_FILE | READ_DIR
RUN: Final = LOOK | EXECUTE
REWRITE: Final = WRITE_FILE | _TRUNCATE
USE_DEVICE: Final = READ_FILE | WRITE_FILE | IOCTL_DEVICE
OWN: Final = _EVERYTHING & ~(_MAKE_CHAR | _MAKE_BLOCK | IOCTL_DEVICE)


@dataclass(frozen=True, slots=True)
class Rule:
    """What may be done at and below a path."""

    path: str
    rights: int


def restrict(rules: Iterable[Rule]) -> int:
    """Allows what the rules allow and nothing else; the version of Landlock that did it.

    TCP (ABI 4) and signals and abstract sockets to the outside (ABI 6) are refused altogether.
    Needs no_new_privs or CAP_SYS_ADMIN.
    """
    version = _abi()
    known = _rights_known(version)
    ruleset = kernel.syscall(_CREATE_RULESET, *_sized(_ruleset(version, known)), 0)
    try:
        for rule in rules:
            _add(ruleset, rule, known)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return version


def _abi() -> int:
    """OSError where the kernel has no Landlock or has it switched off."""
    return kernel.syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG)


def _rights_known(version: int) -> int:
    """Naming a right that this kernel does not know is an error."""
    unknown = 0
    for right, since in ((_REFER, 2), (_TRUNCATE, 3), (IOCTL_DEVICE, 5)):
        if version < since:
            unknown |= right
    return _EVERYTHING & ~unknown


def _ruleset(version: int, rights: int) -> bytes:
    fields = [rights]
    if version >= 4:
        fields.append(0b11)  # bind and connect TCP
    if version >= 6:
        fields.append(0b11)  # abstract Unix sockets and signals stay inside
    return struct.pack(f"={len(fields)}Q", *fields)


def _add(ruleset: int, rule: Rule, known: int) -> None:
    try:
        place = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # what is not there, or out of reach, needs no right
    try:
        rights = rule.rights & known
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _ON_FILES
        kernel.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _sized(structure: bytes) -> tuple[bytes, int]:
    return structure, len(structure)
