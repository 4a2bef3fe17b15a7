"""The built-in models: they know the operator and the turn from the messages, and serve like a real one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend_bench import authors
from backend_bench.authors import Scripted, named
from backend_bench.authors.server import serving
from backend_bench.cases import Entry
from backend_bench.dialogue.prompt import Brief, prompt
from backend_bench.dialogue.reply import read_reply
from backend_bench.errors import UsageError
from backend_bench.languages import examples, recognise
from backend_bench.operator import Operator
from backend_bench.submission import Language

LANGUAGES: tuple[Language, ...] = ("pytorch", "triton")
SMOKE = [
    "relu.default",
    "add.Tensor",
    "sum.dim_IntList",
    "_softmax.default",
    "mm.default",
    "native_layer_norm.default",
    "index_select.default",
    "cat.default",
    "add_.Tensor",
    "topk.default",
]


def asked(op: str, language: Any = "pytorch") -> list[dict[str, Any]]:
    text = prompt(Brief(entry=Entry(op=op), language=language, device="cpu"))
    return [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}]


def after(messages: list[dict[str, Any]], turns: int) -> list[dict[str, Any]]:
    more = [{"role": "assistant", "content": "code"}, {"role": "user", "content": "wrong"}]
    return [*messages, *more * turns]


@pytest.mark.parametrize("language", ["pytorch", "triton"])
@pytest.mark.parametrize("name", SMOKE)
def test_every_smoke_operator_is_known(name: str, language: Any) -> None:
    """First one kernel, then another, both in the language and with the function asked for."""
    author, function = named(f"builtin/{language}"), Operator.parse(name).function
    first, second, third = (
        read_reply(author.reply(after(asked(name, language), n)), function) for n in (0, 1, 2)
    )
    assert first.code
    assert second.code
    assert first.code != second.code == third.code
    for reply in (first, second):
        assert f"def {function}(" in str(reply.code)
        assert recognise(str(reply.code)) == language
        assert reply.note == ""


def test_no_other_kernels_lie_around() -> None:
    for name in LANGUAGES:
        assert Scripted(name).folders() == sorted(Operator.parse(op).folder for op in SMOKE)


def test_parts_of_text_are_read_too() -> None:
    system, user = asked("relu.default")
    parts = [{"type": "text", "text": user["content"]}]
    author = named("pytorch")
    assert author.reply([{"role": "user", "content": parts}]) == author.reply([system, user])


def test_what_it_has_not_learnt_it_says() -> None:
    author = named("pytorch")
    assert "I have not learnt `gelu__default`" in author.reply(asked("gelu.default"))
    assert "no function" in author.reply([{"role": "user", "content": "Hello"}])
    assert "no function" in author.reply([])


def test_an_unknown_name_is_told() -> None:
    with pytest.raises(UsageError, match="did you mean builtin/triton"):
        named("builtin/tritn")


@pytest.mark.parametrize("language", ["pytorch", "triton"])
def test_a_kernel_file_comes_with_the_package(language: Any) -> None:
    """Second ones that are the language's worked example lie there."""
    root = Path(authors.__file__).parent / "kernels" / language
    examples_of_others = {op.folder for op in examples(language)}
    for folder in (Operator.parse(name).folder for name in SMOKE):
        assert (root / folder / "first.py").is_file()
        assert (root / folder / "second.py").is_file() != (folder in examples_of_others)


def test_plain_streamed_and_refused() -> None:
    """All that a client of chat completions does, over a real socket."""
    messages = asked("relu.default")
    expected = named("pytorch").reply(messages)
    with serving("builtin/pytorch") as url, httpx.Client(base_url=url) as client:
        assert [model["id"] for model in client.get("/models").json()["data"]] == list(authors.NAMES)
        plain = client.post(
            "/chat/completions", json={"model": "builtin/pytorch", "messages": messages}
        ).json()
        assert plain["object"] == "chat.completion"
        assert plain["choices"][0]["message"]["content"] == expected
        assert plain["usage"]["total_tokens"] > 100
        body = {"model": "builtin/pytorch", "messages": messages, "stream": True}
        lines = client.post("/chat/completions", json=body).text.strip().split("\n\n")
        assert lines[-1] == "data: [DONE]"
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"]]
        assert "".join(pieces) == expected
        assert chunks[-1]["usage"] == plain["usage"]
        for bad in ({"model": "builtin/x", "messages": []}, {"messages": "no"}, {}, [1]):
            refused = client.post("/chat/completions", json=bad)
            assert refused.status_code == 400
            assert refused.json()["error"]["message"]


def test_a_speaker_of_ones_own() -> None:
    with serving("test", speaker=lambda messages: f"{len(messages)} heard") as url:
        reply = httpx.post(f"{url}/chat/completions", json={"model": "any", "messages": asked("relu")}).json()
    assert reply["choices"][0]["message"]["content"] == "2 heard"
