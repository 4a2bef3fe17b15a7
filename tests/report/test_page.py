"""The report is one file, holds what was recorded, and lets no text of a stranger act."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from backend_bench.cli import runs
from backend_bench.errors import UsageError
from backend_bench.records import verdict_json
from backend_bench.report import page
from backend_bench.report.highlight import LONGEST, highlight
from backend_bench.report.runs import read

from .recorded import HOSTILE, folder, rollout, verdict

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


class Elements(html.parser.HTMLParser):
    """What a browser would make of the file: elements with attributes, and texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[-1] += data

    def blocks(self) -> dict[str, Any]:
        return {
            str(attributes["id"]): json.loads(gzip.decompress(base64.b64decode(text)))
            for (tag, attributes), text in zip(self.tags, self.texts, strict=True)
            if tag == "script" and attributes.get("type") == "text/plain"
        }


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A report on a run in which every text is hostile."""
    run = folder(tmp_path / "run")
    run.describe({})
    rollout(run, "a", None, 1.5, code=f"x = '''{HOSTILE}'''  # {{turn}}\n", message=HOSTILE)
    graded = tmp_path / "<b>graded<!--.json"
    bad = verdict_json(verdict(1.0, op=HOSTILE, message=HOSTILE))
    graded.write_text(json.dumps({"suite": HOSTILE, "machine": {HOSTILE: HOSTILE}, "verdicts": [bad]}))
    return page.page([read(run.path), read(graded)])


def test_no_text_of_a_stranger_is_part_of_the_html(hostile: str) -> None:
    elements = Elements(hostile)
    tags = [tag for tag, _ in elements.tags]
    assert set(tags) == {
        "html", "head", "meta", "title", "style", "body", "a", "header", "span", "nav", "button", "main", "p",
        "noscript", "code", "script",
    }  # fmt: skip
    assert tags.count("script") == 2 + 1 + 2, "two that run, the figures, two operators"
    assert "hurt" not in hostile
    assert "&lt;b&gt;graded&lt;!--" in hostile, "a file's name is in the title, escaped"
    assert not [name for _, attributes in elements.tags for name in attributes if name.startswith("on")]


def test_and_yet_it_is_all_there(hostile: str) -> None:
    blocks = Elements(hostile).blocks()
    assert [entry["op"] for entry in blocks["figures"]["operators"]] == [HOSTILE, "relu.default"]
    turn = blocks["op-1"]["runs"][0][0]["turns"][0]
    for where in (
        turn["code"],
        turn["feedback"],
        turn["message"],
        turn["evidence"][0][1],
        turn["cases"][0][3],
    ):
        assert HOSTILE in where


def test_only_the_packages_own_scripts_may_run(hostile: str) -> None:
    elements = Elements(hostile)
    policy = next(
        a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for (tag, attributes), text in zip(elements.tags, elements.texts, strict=True):
        if tag == "style" or (tag == "script" and "type" not in attributes):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy
        assert "src" not in attributes
        assert tag != "link"


def test_the_script_makes_text_nodes_and_never_html() -> None:
    script = files("backend_bench.report").joinpath("web", "report.js").read_text()
    parsers = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser|srcdoc|createContextualFragment"
    assert not re.search(parsers, script)
    for name in ("report.js", "report.css", "chart.umd.min.js"):
        asset = files("backend_bench.report").joinpath("web", name).read_text().lower()
        assert "</script" not in asset
        assert "</style" not in asset
        assert "<!--" not in asset
        assert "http://" not in asset.replace("http://www.w3.org", "")


def test_the_chart_library_comes_with_its_licence() -> None:
    web = files("backend_bench.report").joinpath("web")
    assert "MIT License" in web.joinpath("chart.LICENSE.md").read_text()
    assert "Released under the MIT License" in web.joinpath("chart.umd.min.js").read_text()[:300]


def test_the_figures_are_those_of_the_records(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", None, 2.0)
    rollout(run, "b", 0.5)
    figures = Elements(page.page([read(run.path)])).blocks()["figures"]
    (entry,) = figures["operators"]
    assert entry["runs"][0] | {"noise": 0} == {
        "status": "ok", "speedup": 2.0, "noise": 0, "reward": 2.0, "mean": 1.25, "right": 2, "rollouts": 2, "turns": 1.5,
        "evidence": 3,
    }  # fmt: skip
    assert figures["runs"][0]["summary"]["faster"]["value"] == 0.5
    assert figures["runs"][0]["machines"][0]["torch"] == "2.13.0"


def test_cases_keep_five_digits_and_name_their_arguments_once(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.5, 1.5)
    detail = Elements(page.page([read(run.path)])).blocks()["op-0"]
    assert detail["args"] == ["((T([5], f32),), {})", "((T([1024], f32),), {})"]
    assert detail["runs"][0][0]["turns"][1]["cases"] == [
        [0, 0, "passed", "", 0.25],
        [1, 1, "passed", "", None, None, 12.346, 8.0, 1.5, 0.03],
    ]


def test_too_many_runs_are_refused(tmp_path: Path) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.0)
    with pytest.raises(UsageError, match="one to 6 runs, not 7"):
        page.page([read(run.path)] * 7)


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for place in ("one", "two"):
        rollout(folder(tmp_path / place / "run"), "a", 1.0)
    figures = Elements(page.page([read(tmp_path / p / "run") for p in ("one", "two")])).blocks()["figures"]
    assert [run["name"] for run in figures["runs"]] == ["run (1)", "run (2)"]


@pytest.mark.parametrize(
    "code",
    [
        "",
        "\n\n",
        "def f(x):\n    return x  # why\n",
        "s = '\U0001f600 é'\r\n",
        HOSTILE,
        "\n" * 30_000,
        "'''" * 999,
    ],
)
def test_colours_cover_the_text_and_change_nothing(code: str) -> None:
    """Lengths are in UTF-16 units, as a browser counts."""
    runs = re.findall(r"([a-z-])(\d+)", highlight(code))
    assert sum(int(length) for _, length in runs) == len(code.encode("utf-16-le")) // 2


def test_a_kernel_without_end_stays_plain() -> None:
    assert highlight("x" * (LONGEST + 1)) == ""
    assert highlight("def f(): pass").startswith("k3-1f1")


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.0)
    with pytest.raises(UsageError, match="cannot write"):
        page.write([read(run.path)], tmp_path / "no" / "report.html")


def test_the_command_writes_or_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = folder(tmp_path / "run")
    rollout(run, "a", 1.25)
    runs.report([run.path], out=tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    runs.report([run.path], text=True)
    assert "1.250" in capsys.readouterr().out


def drawn(file: Path, route: str = "") -> str:
    """The document after its scripts ran, as Chromium prints it."""
    assert CHROMIUM is not None
    words = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={file.parent / 'profile'}",
    ]
    done = subprocess.run(
        [*words, "--virtual-time-budget=20000", "--dump-dom", f"{file.as_uri()}#{route}"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@needs_chromium
@pytest.mark.slow
def test_a_browser_draws_hostile_text_as_text(hostile: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(hostile)
    for route, wanted in {
        "": "canvas",
        "/operators": "operators",
        "/facts": "Machine",
        "/op/relu.default/1/1/2": "Kernel",
    }.items():
        document = drawn(file, route)
        assert 'data-ready="' in document, route
        assert wanted in document
        visible = re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)
        assert "<img" not in visible
        if route.startswith("/op/"):
            assert "&lt;/script&gt;&lt;script&gt;window.hurt" in visible
            assert "␛[31m␀⟨U+202E⟩" in visible
