"""Recording a model: which calls are heard, in which phase, and what is said where it cannot be run."""

from __future__ import annotations

import resource

import pytest

from backend_bench.errors import MissingExtra, UsageError
from backend_bench.recording import libraries, manifest
from backend_bench.recording.table import encode
from backend_bench.recording.trace import trace
from backend_bench.submission import SuiteSpec
from backend_bench.suites import open_suite
from backend_bench.suites.arguments import parse
from backend_bench.suites.recordings import Recording, read

SMALL = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 100,
}  # fmt: skip


def calls(rows, phase: str = "forward") -> dict[str, int]:
    """How often each operator was called in a phase."""
    found: dict[str, int] = {}
    for row in rows:
        if row.phase == phase:
            found[str(row.op)] = found.get(str(row.op), 0) + row.count
    return found


# ---- callables -----------------------------------------------------------------------------------


def test_a_callable_is_run_as_it_was_made(record):
    rows = record("networks:linear", {"width": 5})
    assert calls(rows)["addmm.default"] == 1
    assert {row.dtype for row in rows} == {"float32"}
    assert any("T([4, 5], f32)" in row.args for row in rows)


@pytest.mark.parametrize(("source", "op"), [("named", "addmm.default"), ("plain", "relu.default")])
def test_inputs_may_be_named_or_listed_and_a_model_may_be_a_function(record, source, op):
    assert calls(record(f"networks:{source}"))[op] == 1


def test_a_dtype_that_is_asked_for_is_the_models(record):
    rows = record("networks:linear", dtype="bfloat16", mode="inference")
    assert {row.dtype for row in rows} == {"bfloat16"}
    assert any("T([3, 6], bf16" in row.args or "T([4, 6], bf16)" in row.args for row in rows)


def test_a_training_step_has_three_phases(record):
    rows = record("networks:activated", mode="training")
    assert {row.phase for row in rows} == {"forward", "backward", "update"}
    assert calls(rows, "backward")["threshold_backward.default"] == 1
    assert calls(rows, "update")["addcdiv_.default"] == 2, "a weight and a bias"


def test_nothing_of_a_large_model_is_in_memory(record):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = record("networks:huge")  # its matrix has 4 TB
    assert any("T([1048576, 1048576], f32" in row.args for row in rows)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "kilobytes"


@pytest.mark.parametrize(
    ("source", "mode", "message"),
    [
        ("networks:nothing", "inference", "has to return .model, inputs., and returned Linear"),
        ("networks:linaer", "inference", "did you mean linear"),
        ("nowhere:net", "inference", "there is no module nowhere"),
        ("networks:asks", "inference", "cannot be run without values: DataDependentOutput"),
        ("networks:fails", "inference", "cannot be run without values: RuntimeError"),
        ("networks:linear", "prefill", "keeps no cache"),
        ("networks:plain", "training", "depends on a parameter"),
    ],
)
def test_what_cannot_be_recorded_says_why(record, source, mode, message):
    with pytest.raises(UsageError, match=message):
        record(source, mode=mode)


def test_a_library_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    def missing(name: str) -> None:
        raise ImportError(f"No module named {name}")

    monkeypatch.setattr(libraries.importlib, "import_module", missing)
    with pytest.raises(MissingExtra, match=r'needs timm .*: pip install "backend-bench\[trace\]"'):
        libraries.build(
            manifest.model(name="", source="timm:resnet50", steps=[manifest.Step()]), manifest.Step()
        )


# ---- kernels of CUDA -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "step", "forward", "backward"),
    [
        ({}, {"dtype": "bfloat16"}, "_scaled_dot_product_flash_attention.default",
         "_scaled_dot_product_flash_attention_backward.default"),
        ({}, {"dtype": "float32"}, "_scaled_dot_product_efficient_attention.default",
         "_scaled_dot_product_efficient_attention_backward.default"),
        ({"masked": True}, {"dtype": "bfloat16"}, "_scaled_dot_product_efficient_attention.default",
         "_scaled_dot_product_efficient_attention_backward.default"),
        ({}, {"dtype": "float16", "attention": "cudnn"}, "_scaled_dot_product_cudnn_attention.default",
         "_scaled_dot_product_cudnn_attention_backward.default"),
        ({}, {"dtype": "float16", "attention": "math"}, "_softmax.default", "_softmax_backward_data.default"),
        ({"width": 12}, {"dtype": "bfloat16"}, "_softmax.default", "_softmax_backward_data.default"),
        ({}, {"dtype": "bfloat16", "device": "cpu"}, "_scaled_dot_product_flash_attention_for_cpu.default",
         "_scaled_dot_product_flash_attention_for_cpu_backward.default"),
    ],
)  # fmt: skip
def test_attention_goes_to_the_kernel_that_admits_it(record, config, step, forward, backward):
    rows = record("networks:attentive", config, mode="training", **step)
    assert forward in calls(rows) or (
        forward == "_softmax.default" and "_safe_softmax.default" in calls(rows)
    )
    assert backward in calls(rows, "backward")


def test_dropout_is_one_kernel_on_cuda(record):
    assert (
        calls(record("networks:dropped", mode="training"), "backward")["native_dropout_backward.default"] == 1
    )
    on_cpu = record("networks:dropped", mode="training", device="cpu")
    assert "native_dropout_backward.default" not in calls(on_cpu, "backward")


# ---- transformers --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("source", ["LlamaForCausalLM", "LlamaConfig", "llama"])
def test_a_model_of_transformers_goes_by_three_names(record, source):
    rows = record(f"transformers:{source}", SMALL, length=16)
    assert calls(rows)["embedding.default"] == 1
    assert {row.dtype for row in rows} == {"bfloat16"}


def test_a_prompt_scores_its_last_token_and_a_further_token_sees_all(record):
    prompt = record("transformers:LlamaForCausalLM", SMALL, mode="prefill", length=16, batch=3)
    assert any(row.args.startswith("((T([3, 64], bf16") and "[64, 100]" in row.args for row in prompt)
    token = record("transformers:LlamaForCausalLM", SMALL, mode="decode", length=16, batch=3)
    attention = [row for row in token if "flash_attention" in row.op.base]
    assert attention
    for row in attention:
        query, key = parse(row.args).args[:2]
        assert (query.shape[2], key.shape[2]) == (1, 17)


def test_a_language_model_learns_from_its_own_loss(record):
    rows = record("transformers:LlamaForCausalLM", SMALL, mode="training", length=16)
    assert calls(rows)["nll_loss_forward.default"] == 1
    assert calls(rows, "backward")["embedding_dense_backward.default"] == 1


def test_mixed_precision_casts_what_is_multiplied(record):
    rows = record("transformers:LlamaForCausalLM", SMALL, mode="training", dtype="float16", autocast=True)
    assert {row.dtype for row in rows} == {"float16 autocast"}
    assert any(row.op.base == "_to_copy" and "'dtype': f16" in row.args for row in rows)
    assert any(row.op.base == "mm" and "f16" in row.args for row in rows)


@pytest.mark.parametrize(
    ("source", "config", "message"),
    [
        ("transformers:LlamaForCausalML", {}, "did you mean LlamaForCausalLM"),
        ("transformers:pipeline", {}, "has no model"),
        ("transformers:LlamaForCausalLM", {"hidden_size": "wide"}, "LlamaConfig cannot be made"),
        ("transformers:WhisperForConditionalGeneration", {}, "give its inputs"),
    ],
)
def test_a_model_that_transformers_has_not_is_refused(record, source, config, message):
    with pytest.raises(UsageError, match=message):
        record(source, config)


# ---- the file ------------------------------------------------------------------------------------


def test_what_is_recorded_is_a_source_of_torchbench(tmp_path, networks):
    told: list[str] = []
    steps = [manifest.step({"mode": "training"})]
    models = [manifest.model(name="net", source="networks:activated", steps=steps)]
    data = trace(models, told.append)
    assert told[-1].startswith("net (training, its own dtype): ")
    file = tmp_path / "net.parquet"
    file.write_bytes(data)
    index = open_suite(SuiteSpec(name="torchbench", source=str(file))).index()
    assert index.entries["threshold_backward.default"].correctness
    assert trace(models, told.append) == data, "the same models give the same bytes"


def test_a_row_says_where_it_comes_from_and_what_is_left_out(record, tmp_path):
    import io

    import pyarrow.parquet

    data = encode(record("networks:linear"), {"recorded_with": "a test"})
    rows = pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    assert {(row["model"], row["library"], row["mode"], row["phase"]) for row in rows} == {
        ("linear", "networks", "inference", "forward")
    }
    view = next(row for row in rows if row["op_name"] == "aten.t.default")
    assert not view["included_in_benchmark"]
    assert view["why_excluded"][0].startswith("a view")
    assert [str(row.op) for row in read(data, "file") if isinstance(row, Recording)] == ["addmm.default"]
