"""What a schema says, in words: which arguments there are, what each is, and what must come back."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

_ARGUMENT = re.compile(r"^(?P<type>.+?) (?P<name>\w+)(?:=(?P<default>.*))?$")
_ALIAS = re.compile(r"\((\w+)(!?)(?: -> \*)?\)")
_LIST = re.compile(r"\[(\d*)\]$")
_NOUNS = {
    "Tensor": "tensor",
    "Scalar": "number",
    "int": "int",
    "SymInt": "int",
    "float": "float",
    "bool": "bool",
    "str": "str",
    "ScalarType": "dtype",
    "Layout": "layout",
    "Device": "device",
    "MemoryFormat": "memory format",
    "Generator": "generator",
}
"""Types of a schema in a Python programmer's words."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a schema."""

    name: str
    """Its name."""
    type: str
    """Its type as the schema writes it, without what it aliases: `Tensor?[]`."""
    default: str | None
    """Its default as the schema writes it; None where there is none."""
    by_name: bool
    """Whether it comes after `*`."""
    written: bool
    """Whether the operator writes to it."""

    @property
    def kind(self) -> str:
        """The type in words: `list of 2 ints, or None`."""
        text, optional = self.type, self.type.endswith("?")
        text = text.removesuffix("?")
        if (found := _LIST.search(text)) is None:
            words = _NOUNS.get(text, text)
        else:
            item = text[: found.start()]
            noun = _NOUNS.get(item.removesuffix("?"), item)
            count = (
                f"{found[1]} " if found[1] not in ("", "1") else ""
            )  # [1]: of any length, in the schema's language
            words = f"list of {count}{noun}s"
            words += ", some of which may be None" if item.endswith("?") else ""
        return f"{words}, or None" if optional else words


def arguments(schema: str) -> list[Argument]:
    """The arguments of a schema, in order; none where it is no schema."""
    head, arrow, _ = schema.rpartition("->")
    if not arrow:
        return []
    inner = head[head.index("(") + 1 : head.rindex(")")]
    found, by_name = [], False
    for part in _split(inner):
        if part == "*":
            by_name = True
        elif match := _ARGUMENT.match(part):
            alias = _ALIAS.search(match["type"])
            found.append(
                Argument(
                    match["name"],
                    _ALIAS.sub("", match["type"]),
                    match["default"],
                    by_name,
                    written=alias is not None and alias[2] == "!",
                )
            )
    return found


def positional(case: str) -> list[str]:
    """The positional arguments of a case's text, each as text."""
    outer = _split(case.strip()[1:-1])
    return _split(outer[0][1:-1]) if len(outer) == 2 else []


def explained(schema: str, words: Mapping[str, str], numbers: Collection[str] = ()) -> str:
    """A line for each argument: what it is, its default, and what `words` say about it; `numbers` come in the place of a tensor at times."""
    return "\n".join(
        _line(argument, words.get(argument.name, ""), or_number=argument.name in numbers)
        for argument in arguments(schema)
    )


def returns(schema: str) -> str:
    """What the function must return."""
    head, arrow, result = schema.rpartition("->")
    result = _ALIAS.sub("", result.strip())
    if not arrow:
        return "Return what the operator returns."
    written = [argument for argument in arguments(schema) if argument.written]
    if written:
        names = " and ".join(f"`{argument.name}`" for argument in written)
        if result == "()":
            return f"It works in place: write the result into {names} and return None."
        if len(_split(result.strip("()"))) > len(written) or "!" not in schema.rpartition("->")[2]:
            return f"Return {_results(result)}. It also writes into {names}."
        many = len(written) > 1 or written[0].type.endswith("[]")
        return (
            f"It works in place: write the result into {names} and return "
            f"{'those same tensors' if many else 'that same tensor'}, not a copy."
        )
    if _ALIAS.search(head):
        return f"It is a view: return {_results(result)} that shares the input's memory."
    return f"Return {_results(result)} in fresh memory; leave every input as it was."


def result_dtypes(results: Sequence[str], names: Mapping[str, str]) -> str:
    """A sentence on results of a dtype that no tensor has; `results` as an entry has them, `names` of their codes."""
    told = []
    for line in results:
        given, _, found = line.partition(" -> ")
        told.append(f"{_named(found, names)} for tensors of {_named(given, names)}")
    return f"Dtypes of the results: {'; '.join(told)}." if told else ""


def _named(codes: str, names: Mapping[str, str]) -> str:
    """Each dtype by its name, and once where all are the same."""
    known = [names.get(code, code) for code in codes.split(", ")]
    return known[0] if len(set(known)) == 1 else ", ".join(known)


def _results(result: str) -> str:
    """`a tensor`, or `a tuple of 2: values (tensor), indices (tensor)`."""
    if not result.startswith("("):
        noun = _NOUNS.get(result, result)
        return "a list of tensors" if result == "Tensor[]" else f"a {noun}"
    parts = [part.split(" ", 1) for part in _split(result[1:-1])]
    named = [
        f"{part[1]} ({_NOUNS.get(part[0], part[0])})" if len(part) > 1 else _NOUNS.get(part[0], part[0])
        for part in parts
    ]
    return f"a tuple of {len(parts)}: {', '.join(named)}"


def _line(argument: Argument, words: str, *, or_number: bool) -> str:
    facts = [argument.kind + (", or a number" if or_number else "")]
    if argument.written:
        facts.append("written to")
    if argument.by_name:
        facts.append("by name")
    if argument.default is not None:
        facts.append(f"default {argument.default}")
    return f"- `{argument.name}`: {'; '.join(facts)}" + (f". {_capital(words)}" if words else "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(". ") + ("" if text.endswith("...") else ".")


def _split(text: str) -> list[str]:
    """The parts between commas, those inside brackets left together."""
    return [part.strip() for part in _parts(text) if part.strip()]


def _parts(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and not depth:
            yield text[start:at]
            start = at + 1
    yield text[start:]
