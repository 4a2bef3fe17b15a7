"""A reply becomes code, or one sentence on what was missing."""

from __future__ import annotations

import time

import pytest

from backend_bench.dialogue.reply import CODE_LIMIT, REPLY_LIMIT, drop_thinking, fenced_blocks, read_reply

F = "relu__default_kernel_impl"
GOOD = f"import torch\n\ndef {F}(x):\n    return x\n"
OTHER = "def helper(x):\n    return x\n"


def fenced(code: str, tag: str = "python", fence: str = "```") -> str:
    return f"{fence}{tag}\n{code.rstrip()}\n{fence}\n"


@pytest.mark.parametrize(
    "text",
    [
        fenced(GOOD),
        "Sure!\n\n" + fenced(GOOD) + "\nThat is all.",
        fenced(GOOD, "py"),
        fenced(GOOD, "python3"),
        fenced(GOOD, "Python"),
        fenced(GOOD, "triton"),
        fenced(GOOD, "python title=kernel.py"),
        fenced(GOOD, "{.python}"),
        fenced(GOOD, ""),
        fenced(GOOD, "text"),
        fenced(GOOD, "python", "~~~"),
        fenced(GOOD, "python", "`````"),
        fenced(GOOD).replace("\n", "\r\n"),
        fenced(GOOD).replace("\n", "\r"),
        GOOD,
        f"```python\n{GOOD}",
        f"```python\n{GOOD}```   ",
        fenced(fenced(GOOD), "markdown", "````"),
        fenced(fenced(GOOD), "markdown"),
        "<think>\nA first idea:\n" + fenced(OTHER) + "</think>\n" + fenced(GOOD),
        "still thinking …\n" + fenced(OTHER) + "</think>\n" + fenced(GOOD),
        "<thinking>\n" + fenced(OTHER) + "</thinking>\n" + GOOD,
        fenced(GOOD) + "\n<think>\n" + fenced(OTHER),
    ],
)
def test_the_kernel_is_found(text: str) -> None:
    """Whatever the tag, the fence, the prose around and the thinking before."""
    assert read_reply(text, F).code == GOOD


def test_indentation_in_a_list_is_taken_off() -> None:
    nested = "1. The kernel:\n\n" + "".join(
        f"   {line}\n" if line else "\n" for line in fenced(GOOD).split("\n")
    )
    assert read_reply(nested, F).code == GOOD


def test_a_quotes_marks_are_taken_off() -> None:
    quoted = "".join(f"> {line}\n" for line in fenced(GOOD).rstrip().split("\n"))
    assert read_reply(quoted, F).code == GOOD


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (fenced(OTHER) + fenced(GOOD), GOOD),
        (fenced(GOOD) + fenced(OTHER), GOOD),
        (
            fenced(GOOD) + fenced(GOOD.replace("return x", "return x + 1")),
            GOOD.replace("return x", "return x + 1"),
        ),
        (fenced(GOOD, "") + fenced(OTHER), GOOD),
        (fenced("pip install torch", "bash") + fenced(OTHER), OTHER),
        (fenced("a", "bash") + fenced("b", "bash"), "b\n"),
    ],
)
def test_of_several_blocks_the_last_that_defines_the_function(text: str, code: str) -> None:
    """Else the last in Python, else the last; and the model is told which was taken."""
    reply = read_reply(text, F)
    assert reply.code == code
    assert "2 code blocks" in reply.note


def test_one_block_needs_no_note() -> None:
    assert read_reply(fenced(GOOD), F).note == ""


def test_a_call_of_the_function_does_not_define_it() -> None:
    usage = f"print({F}(1))\n"
    assert read_reply(fenced(GOOD) + fenced(usage), F).code == GOOD


def test_a_docstring_may_show_a_fence() -> None:
    code = f'def {F}(x):\n    """Use it so:\n\n```\n{F}(x)\n```\n    """\n    return x\n'
    assert read_reply(fenced(code), F).code == code


def test_a_tagged_fence_inside_a_block_opens_nothing() -> None:
    code = f'def {F}(x):\n    """\n    ```python\n    y\n    ```\n    """\n    return x\n'
    assert read_reply(fenced(code), F).code == code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("I would rather not.", "no code block"),
        ("<think>\nhm", "only thinking"),
        ("<think>hm</think>", "only thinking"),
        (f"```python\n{GOOD}    y = (", "never closed"),
        ("```python\n```", "no code block"),
        ("x" * (REPLY_LIMIT + 1), "not read"),
        (fenced(GOOD + "# " + "x" * CODE_LIMIT), "not run"),
        (f"Call {F}(x) yourself.", "no code block"),
    ],
)
def test_what_was_missing_is_said(text: str, said: str) -> None:
    reply = read_reply(text, F)
    assert reply.code is None
    assert said in reply.note


def test_a_cut_off_second_version_leaves_the_first() -> None:
    assert read_reply(fenced(GOOD) + f"```python\ndef {F}(x):\n    return (", F).code == GOOD


def test_thinking_in_the_middle_of_a_line_is_text() -> None:
    assert drop_thinking("I use <think> tags") == "I use <think> tags"


def test_inline_backticks_open_no_block() -> None:
    assert list(fenced_blocks("```not a fence``` here\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "```python\n" + "(" * 50_000,
        "```\n" * 20_000,
        "<think>" * 20_000,
        "```" + " " * 1_000_000 + "`",
        "`" * 1_000_000 + "x`",
        "- " * 500_000 + "`",
        "~~~md\n" * 100_000,
    ],
    ids=lambda text: text[:8].strip(),
)
def test_hostile_text_is_read_in_a_moment(text: str) -> None:
    start = time.perf_counter()
    read_reply(text, F)
    assert time.perf_counter() - start < 2


def test_a_null_byte_is_no_python() -> None:
    assert read_reply(f"def {F}(x):\n    return '\0'", F).code is None


def test_half_a_character_is_replaced() -> None:
    """A lone surrogate would break every JSON that holds the code."""
    reply = read_reply(fenced(f"def {F}(x):\n    return '\ud800é'"), F)
    assert reply.code == f"def {F}(x):\n    return '?é'\n"
