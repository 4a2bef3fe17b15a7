"""What an audit finds: the fate of each mutant of an operator. Plain data, no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["killed", "survived", "right", "not applicable"]
"""`right`: it does what the operator does. `not applicable`: nothing that this operator can be given tells the two
apart, or could be built here to tell them apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one mutant."""

    kind: str
    """What is wrong with it, the same for all operators."""
    name: str
    """What is wrong with it on this operator."""
    outcome: Outcome
    """Whether a draw caught it, and if not, whether one should have."""
    why: str = ""
    """The finding that killed it; or why it is right, or survived."""
    draws: int = 0
    """Draws that it was given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorAudit:
    """All mutants of one operator."""

    op: str
    """The operator."""
    cases: int = 0
    """Correctness cases of the suite."""
    draws: int = 0
    """Draws of these that can be judged."""
    fates: tuple[Fate, ...] = ()
    """One for each mutant."""
    note: str = ""
    """Why there are no fates, where that is nobody's fault."""
    fault: str = ""
    """Why it could not be audited, or why its audit is worth nothing: our own fault."""
    wall_s: float = 0.0
    """What it took, in seconds."""
