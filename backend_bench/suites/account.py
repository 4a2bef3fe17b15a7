"""What became of every row of a source of recorded cases: loaded, or set aside and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend_bench.cases import SuiteIndex
from backend_bench.submission import SuiteSpec
from backend_bench.suites.recordings import Recording, SetAside
from backend_bench.suites.sources import described
from backend_bench.suites.torchbench import rows


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows that were set aside for the same reason."""

    rows: int
    """How many."""
    first: str
    """Where the first one stands, with what is particular to it."""


@dataclass(frozen=True, slots=True)
class Account:
    """All rows of a source. `loaded` and the rows of `set_aside` add up to `rows`."""

    source: str
    """The file and its hash."""
    rows: int
    """All of them."""
    loaded: Mapping[str, int]
    """Rows that can become cases, by operator, sorted."""
    set_aside: Mapping[str, Reason]
    """The others, by reason, the most frequent first."""


def account(spec: SuiteSpec) -> Account:
    """Read the source of a filled spec once more and count."""
    assert spec.source is not None
    found = rows(spec)
    loaded = Counter(str(row.op) for row in found if isinstance(row, Recording))
    aside: dict[str, list[SetAside]] = {}
    for row in found:
        if isinstance(row, SetAside):
            aside.setdefault(row.reason, []).append(row)
    return Account(
        source=described(spec.source),
        rows=len(found),
        loaded={name: loaded[name] for name in sorted(loaded)},
        set_aside={
            reason: Reason(len(each), each[0].where)
            for reason, each in sorted(aside.items(), key=lambda item: -len(item[1]))
        },
    )


def lines(account: Account, index: SuiteIndex) -> Iterator[str]:
    """The account for people, with what the index made of the rows that were loaded."""
    entries = index.entries.values()
    yield account.source
    yield f"{account.rows:8} rows, of which"
    yield f"{sum(account.loaded.values()):8} are loaded: recordings of {len(account.loaded)} operators"
    for reason, each in account.set_aside.items():
        yield f"{each.rows:8} are set aside: {reason} (the first: {each.first})"
    yield f"{sum(len(entry.correctness) for entry in entries):8} correctness cases are chosen from these"
    yield f"{sum(len(entry.performance) for entry in entries):8} performance cases"
    for entry in entries:
        if entry.reason:
            yield f"no case of {entry.op}, {account.loaded[entry.op]} rows: {entry.reason}"
