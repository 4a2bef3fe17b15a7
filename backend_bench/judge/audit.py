"""Signs of cheating that the judge can see, as evidence for a person.

Only what the judge saw itself, or a claim that nobody makes about himself without reason, decides a
verdict. Not covered yet: which GPU kernels ran, and operators called behind the recorder's back.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend_bench.permitted import base_of, is_foreign
from backend_bench.submission import Language
from backend_bench.verdict import Evidence
from backend_bench.wire import OperatorCall


def own_work(op: str, language: Language, calls: Sequence[Sequence[OperatorCall]]) -> list[Evidence]:
    """Evidence that the result is not the kernel's own work, from the recorded calls of some draws."""
    if language == "pytorch":
        return _passthrough(op, calls)
    foreign = sorted({call.op for recorded in calls for call in recorded if is_foreign(call.op, op)})
    if not foreign:
        return []
    return [
        Evidence(
            rule="foreign_operator",
            detail=f"a {language} kernel must compute the result itself; it called " + ", ".join(foreign),
            claimed=True,
        )
    ]


def _passthrough(op: str, calls: Sequence[Sequence[OperatorCall]]) -> list[Evidence]:
    """The operator under test, called on the kernel's own inputs, gave all that the kernel returned."""
    found = [
        [c.op for c in recorded if base_of(c.op) == base_of(op) and c.inputs_only and c.returned]
        for recorded in calls
    ]
    if not found or not all(found):
        return []
    return [
        Evidence(
            rule="passthrough",
            detail=f"the kernel returned what {found[0][0]} computed from the kernel's own inputs",
            claimed=True,
        )
    ]


FATAL = frozenset({"foreign_operator", "passthrough", "forged_frame"})
"""Rules that make a verdict `cheated`. The others are for a person to weigh: what they found already
counts against the candidate in the figures."""
