"""What compilers say is cut to what matters, and the kernel's own lines are quoted."""

from __future__ import annotations

from backend_bench.dialogue.complaints import LINES, trimmed

CODE = "import torch\n\ndef f(x):\n    return torch.nosuch(x)\n"


def test_a_traceback_keeps_the_kernels_frames() -> None:
    trace = (
        "Traceback (most recent call last):\n"
        '  File "/usr/lib/python3.11/site-packages/triton/compiler.py", line 3, in compile\n'
        "    raise error\n"
        "    ^^^^^^^^^^^\n"
        '  File "kernel.py", line 12, in relu_kernel\n'
        "    tl.lod(x)\n"
        "AttributeError: no attribute 'lod'"
    )
    kept = trimmed(trace)
    assert "kernel.py" in kept
    assert "tl.lod" in kept
    assert kept.endswith("'lod'")
    assert "site-packages" not in kept
    assert "raise error" not in kept


def test_a_long_complaint_keeps_its_first_and_last_lines() -> None:
    kept = trimmed("\n".join(f"line {number}" for number in range(500)))
    assert kept.startswith("line 0")
    assert kept.endswith("line 499")
    assert len(kept.split("\n")) <= LINES


def test_a_compilers_errors_are_found_in_its_chatter() -> None:
    chatter = [
        f"kernel.cu({n}): warning #177-D: variable was declared but never referenced" for n in range(60)
    ]
    error = [
        'kernel.cu(42): error: identifier "thredIdx" is undefined',
        "    int i = thredIdx.x;",
        "            ^",
    ]
    kept = trimmed("\n".join([*chatter, *error, *chatter, "1 error detected in the compilation"]))
    assert all(line in kept for line in error)
    assert "#177" not in kept


def test_a_line_that_is_named_is_quoted_once() -> None:
    assert "line 4 of your file: return torch.nosuch(x)" in trimmed("NameError: x\n  line 4, in f", CODE)
    assert "of your file" not in trimmed("NameError: x\n  line 4, in f: return torch.nosuch(x)", CODE)
    assert "of your file" not in trimmed("NameError: x\n  line 400, in f", CODE)


def test_lines_are_cut_and_made_harmless() -> None:
    kept = trimmed("x" * 5000 + "\n```\n\x1b[31mred")
    assert len(kept.split("\n")[0]) <= 240
    assert "```" not in kept
    assert "\x1b" not in kept
