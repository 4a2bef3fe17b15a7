"""What facto promises, over a small spec database of the same interface."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from backend_bench.cases import Call
from backend_bench.errors import JudgeError, UsageError
from backend_bench.executors.local import read_index
from backend_bench.operator import Operator
from backend_bench.submission import SuiteSpec
from backend_bench.suites import Suite, facto_package, index_cache, open_suite, resolve
from backend_bench.suites import facto as facto_suite
from backend_bench.suites.arguments import TensorSpec, parse
from backend_bench.suites.calls import describe, tensors_of
from backend_bench.suites.expendable import Expendable, note
from backend_bench.suites.facto_cases import MOST_BYTES, MOST_CASES, Choice, chosen, without_cases
from backend_bench.suites.recordings import flat
from backend_bench.suites.specifications import database, enumerated
from backend_bench.suites.trials import trial
from backend_bench.verdict import CaseKind

CORRECTNESS, PERFORMANCE = CaseKind.CORRECTNESS, CaseKind.PERFORMANCE
SMALL = Path(__file__).parent / "small_facto"
SPEC = SuiteSpec(name="facto", dtype="float32")


def forget() -> None:
    """No module called facto is loaded."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "facto"]:
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The small database is the FACTO of this process."""
    forget()
    monkeypatch.syspath_prepend(str(SMALL))
    yield
    forget()


@pytest.fixture(scope="module")
def facto() -> Iterator[Suite]:
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SMALL))
        suite = open_suite(SPEC)
        suite.index()
        yield suite
    forget()


def altered(folder: Path, database: str) -> Path:
    """The small FACTO with another database."""
    shutil.copytree(SMALL / "facto", folder / "facto")
    (folder / "facto" / "specdb" / "db.py").write_text(database)
    return folder


def dtypes(suite: Suite, name: str) -> list[list[str]]:
    """Of each case of an operator, the dtypes of its tensors."""
    return [
        [value.dtype for value in flat(parse(text)) if isinstance(value, TensorSpec)]
        for text in suite.index().entries[name].correctness
    ]


def made(suite: Suite, name: str, seed: int = 1) -> list[Call]:
    return [call for call in suite.draws(Operator.parse(name), CORRECTNESS, seed) if call]


def digest(calls: list[Call]) -> str:
    data = hashlib.sha256()
    for call in calls:
        for tensor in tensors_of(call):
            data.update(str(tensor.tolist()).encode())
    return data.hexdigest()


# ---- cases ---------------------------------------------------------------------------------------


def test_every_specification_is_listed_with_cases_or_a_reason(facto: Suite) -> None:
    entries = facto.index().entries
    assert len(entries) == 14
    assert list(entries) == sorted(entries)
    for entry in entries.values():
        assert bool(entry.correctness) != bool(entry.reason)
        assert not entry.performance


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mm.default", "what FACTO generates cannot be called on cpu: "),
        ("relu.default", "FACTO's specification of it is wrong: ZeroDivisionError"),
        ("special_entr.default", "FACTO generates no call of it in float32"),
        ("no_such_operator.default", "torch .* has no such operator"),
        ("rand.default", "random: "),
    ],
)
def test_what_has_no_cases_says_why(facto: Suite, name: str, reason: str) -> None:
    assert re.match(reason, facto.index().entries[name].reason)


def test_what_the_index_says_is_drawn_and_aten_takes_it(facto: Suite) -> None:
    for entry in facto.index().entries.values():
        op = Operator.parse(entry.op)
        for seed in (3, 4) if entry.correctness else ():
            calls = made(facto, entry.op, seed)
            assert [describe(call) for call in calls] == list(entry.correctness)
            for call in calls:
                resolve(op)(*call.args, **call.kwargs)


def test_more_than_the_first_ten_are_taken_and_no_more_than_the_most(facto: Suite) -> None:
    counts = {name: len(entry.correctness) for name, entry in facto.index().entries.items()}
    assert 10 < counts["index_select.default"] <= MOST_CASES
    assert max(counts.values()) <= MOST_CASES


def test_an_index_keeps_its_dtype_and_lies_within_its_bounds(facto: Suite) -> None:
    assert all(
        each[0] == "f32" and each[1] in ("i32", "i64") for each in dtypes(facto, "index_select.default")
    )
    for call in made(facto, "index_select.default"):
        source, dim, index = call.args
        assert ((index >= 0) & (index < max(1, source.shape[dim]))).all()


def test_a_condition_stays_bool(facto: Suite) -> None:
    assert all(each[0] == "b8" for each in dtypes(facto, "where.self"))
    assert any(each[1:] == ["f32", "f32"] for each in dtypes(facto, "where.self"))


def test_an_operator_of_whole_numbers_keeps_them(facto: Suite) -> None:
    assert {dtype for each in dtypes(facto, "bitwise_and.Tensor") for dtype in each} == {"b8", "i32", "i64"}


def test_data_is_in_the_suites_dtype_and_few_calls_ask_for_promotion(facto: Suite) -> None:
    pairs = dtypes(facto, "add.Tensor")
    assert all(first == "f32" for first, _ in pairs)
    assert 0 < sum(second != "f32" for _, second in pairs) <= 4
    assert {second for _, second in pairs} <= {"f32", "i32", "i64"}


def test_few_cases_are_empty_and_some_are_strided(facto: Suite) -> None:
    texts = facto.index().entries["add.Tensor"].correctness
    tensors = [[value for value in flat(parse(text)) if isinstance(value, TensorSpec)] for text in texts]
    assert 0 < sum(any(not each.elements for each in case) for case in tensors) <= 2
    assert any(each.stride for case in tensors for each in case)


def test_zero_is_not_drawn_where_the_specification_forbids_it(facto: Suite) -> None:
    values = [tensor for call in made(facto, "reciprocal.default") for tensor in tensors_of(call)]
    assert all((tensor != 0).all() for tensor in values)
    assert any((tensor < 0).any() for tensor in values)


def test_values_reach_where_a_naive_formula_overflows(facto: Suite) -> None:
    values = torch.cat([call.args[0].flatten() for call in made(facto, "max.default")])
    assert values.max() > 89
    assert values.min() < -89
    assert (values.abs() < 3).float().mean() > 0.5


def test_a_call_without_tensors_names_the_device(facto: Suite) -> None:
    assert all("torch.device('cpu')" in text for text in facto.index().entries["arange.default"].correctness)


# ---- the seed ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["add.Tensor", "index_select.default", "where.self", "stack.default"])
def test_values_follow_from_the_seed(facto: Suite, name: str) -> None:
    first, again, other = (digest(made(facto, name, seed)) for seed in (7, 7, 8))
    assert first == again
    assert first != other


def test_one_case_is_drawn_as_in_the_whole_list(facto: Suite) -> None:
    op = Operator.parse("topk.default")
    calls = made(facto, "topk.default", 5)
    alone = facto.draw(op, CORRECTNESS, 2, 5)
    assert digest([alone]) == digest([calls[2]])
    with pytest.raises(UsageError, match="none number 99"):
        facto.draw(op, CORRECTNESS, 99, 5)
    with pytest.raises(UsageError, match="none number 0"):
        facto.draw(op, PERFORMANCE, 0, 5)
    with pytest.raises(UsageError, match="did you mean topk"):
        facto.draw(Operator.parse("topq.default"), CORRECTNESS, 0, 5)


@pytest.mark.slow
def test_two_processes_make_the_same_index(tmp_path: Path) -> None:
    def index(number: int) -> bytes:
        out = tmp_path / f"{number}.json"
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(number),
            "PYTHONPATH": os.pathsep.join([str(SMALL), *filter(None, sys.path)]),
            "BACKEND_BENCH_CACHE": str(tmp_path / f"cache{number}"),
        }
        command = [sys.executable, "-m", "backend_bench.suites", "--suite", "facto", "--out", str(out)]
        subprocess.run(command, env=environment, check=True)
        [bounds] = (tmp_path / f"cache{number}").rglob("*.bounds.json")
        return out.read_bytes() + bounds.read_bytes()

    assert index(1) == index(2)


def test_making_it_leaves_torchs_generator_alone(
    installed: None, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    before = torch.get_rng_state()
    open_suite(SPEC).index()
    assert torch.equal(torch.get_rng_state(), before)


# ---- opening -------------------------------------------------------------------------------------


def test_the_index_is_made_once_and_needs_no_facto_afterwards(
    facto: Suite, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend_bench.suites.facto.database", None)
    assert open_suite(SPEC).index() == facto.index()
    assert digest(made(open_suite(SPEC), "add.Tensor", 9)) == digest(made(facto, "add.Tensor", 9))
    assert "facto" not in sys.modules


def test_the_client_lists_it_without_torch_and_without_facto(facto: Suite) -> None:
    code = (
        "import sys; from backend_bench.submission import SuiteSpec; from backend_bench.suites import index_cache;"
        "index = index_cache.load_cached_index(SuiteSpec(name='facto', dtype='float32'));"
        "print(len(index.entries), [name for name in ('torch', 'facto') if name in sys.modules])"
    )
    path = os.pathsep.join([str(SMALL), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.stdout.strip() == "14 []", done.stderr


def test_a_damaged_store_of_bounds_is_made_anew(
    installed: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    index = open_suite(SPEC).index()
    [path] = tmp_path.rglob("*.bounds.json")
    whole = path.read_bytes()
    for damaged in (whole[:100], b"", json.dumps({"add.Tensor": []}).encode()):
        path.write_bytes(damaged)
        assert open_suite(SPEC).index() == index
        assert path.read_bytes() == whole


def test_the_source_is_the_content_of_the_package(installed: None, facto: Suite, tmp_path: Path) -> None:
    assert facto.spec.source is not None
    assert facto.index().source == f"FACTO, sha256 {facto.spec.source.removeprefix('FACTO#')}"
    assert open_suite(facto.spec).spec == facto.spec
    with pytest.raises(UsageError, match="has changed"):
        open_suite(SuiteSpec(name="facto", source="FACTO#0123456789abcdef"))
    with pytest.raises(UsageError, match="takes no source"):
        open_suite(SuiteSpec(name="facto", source="cases.parquet"))


def test_another_content_is_another_index(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hashes = set()
    for number, line in enumerate(("", "\n# another\n")):
        forget()
        folder = altered(tmp_path / str(number), (SMALL / "facto/specdb/db.py").read_text() + line)
        monkeypatch.syspath_prepend(str(folder))
        hashes.add(facto_package.pinned(None))
        assert index_cache.load_cached_index(SuiteSpec(name="facto", dtype="float64")) is None
    forget()
    assert len(hashes) == 2


# ---- what may be installed instead ---------------------------------------------------------------


def test_without_facto_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "facto", None)
    with pytest.raises(
        UsageError, match=r"not installed: pip install git\+https://github.com/meta-pytorch/FACTO"
    ):
        open_suite(SuiteSpec(name="facto"))


def test_a_judge_without_facto_opens_what_was_listed_elsewhere(
    facto: Suite, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "facto", None)
    assert open_suite(facto.spec).index() == facto.index()
    monkeypatch.setenv("BACKEND_BENCH_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match=r"cannot be imported: ModuleNotFoundError.*pip install git"):
        open_suite(facto.spec).index()


@pytest.mark.parametrize("layout", ["facto.py", "facto/__init__.py"])
def test_another_package_of_that_name_is_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, layout: str
) -> None:
    forget()
    (tmp_path / layout).parent.mkdir(exist_ok=True)
    (tmp_path / layout).write_text("def factorial(n): return n\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(
        UsageError, match=r"another one of that name.*pip uninstall facto, then pip install git"
    ):
        open_suite(SuiteSpec(name="facto"))
    assert "facto" not in sys.modules


@pytest.mark.parametrize(
    ("database", "message"),
    [
        ("SpecDB = []", "has no operator specifications"),
        ("raise RuntimeError('half of a file')", "cannot be imported: RuntimeError: half of a file"),
        ("SpecDB = [", "cannot be imported: SyntaxError"),
        ("Specs = {}", "cannot be imported: ImportError"),
    ],
)
def test_a_facto_that_holds_nothing_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: str, message: str
) -> None:
    forget()
    monkeypatch.syspath_prepend(str(altered(tmp_path, database)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(UsageError, match=message):
        open_suite(SPEC).index()
    with pytest.raises(UsageError, match=message):  # as the command line asks for it, in a process of its own
        read_index("cpu", SPEC)
    forget()


def test_an_index_is_looked_at_before_a_device_is_asked_that_would_not_survive_it() -> None:
    op = Operator.parse("embedding.default")
    asked = []

    def drawn(place: int) -> Call:
        asked.append(place)
        return Call((torch.randn(3, 2), torch.tensor([place])))

    arguments = parse("((T([3, 2], f32), T([1], i64)), {})")
    assert "out of range" in trial(op, arguments, lambda: drawn(3), within=True).refusal
    good = trial(op, arguments, lambda: drawn(2), within=True)
    assert not good.refusal
    assert good.results[0].shape == (1, 2)
    assert asked == [3, 2]


def ends_at_one_and_three(name: str, wanted: SuiteSpec, deadly: frozenset[int]) -> Choice:
    for place in range(5):
        if place not in deadly:
            note(place)
            if place in (1, 3):
                os.kill(os.getpid(), signal.SIGKILL)
    return without_cases(name, f"without {sorted(deadly)}", "cpu")


def always_ends(name: str, wanted: SuiteSpec, deadly: frozenset[int]) -> Choice:
    note(len(deadly))
    raise JudgeError("the device broke")


def ends_unseen(name: str, wanted: SuiteSpec, deadly: frozenset[int]) -> Choice:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@pytest.mark.slow
def test_calls_that_end_the_process_that_makes_them_are_no_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    with Expendable() as process:
        monkeypatch.setattr(facto_suite, "chosen", ends_at_one_and_three)
        assert facto_suite._chosen(process, "relu.default", SPEC).entry.reason == "without [1, 3]"
        monkeypatch.setattr(facto_suite, "chosen", always_ends)
        monkeypatch.setattr(facto_suite, "MOST_DEADLY", 2)
        assert "ends the process" in facto_suite._chosen(process, "relu.default", SPEC).entry.reason
        monkeypatch.setattr(facto_suite, "chosen", ends_unseen)
        with pytest.raises(
            JudgeError, match=r"cases of relu\.default cannot be chosen: the process was ended by SIGKILL"
        ):
            facto_suite._chosen(process, "relu.default", SPEC)


def test_a_call_that_is_known_to_be_deadly_is_not_made(installed: None) -> None:
    every = chosen("reciprocal.default", SPEC)
    assert every.cases
    count = len(enumerated(database()["reciprocal.default"], torch.float32, MOST_BYTES).calls)
    none = chosen("reciprocal.default", SPEC, frozenset(range(count)))
    assert not none.cases
    assert "it ends the process that makes it" in none.entry.reason


def test_nothing_of_a_single_number_is_no_case() -> None:
    op, arguments = Operator.parse("topk.default"), parse("((T([], bf16), 0, 0, True, False), {})")
    assert "as it was" in trial(op, arguments, lambda: pytest.fail("it was made")).refusal
