"""Manifests: what they may say, and what is said of those that say something else."""

from __future__ import annotations

import pytest

from backend_bench.errors import UsageError
from backend_bench.recording import manifest


def written(path, text: str) -> str:
    file = path / "models.toml"
    file.write_text(text)
    return str(file)


def test_a_manifest_is_read(tmp_path):
    text = """
[[model]]
name = "small"
source = "transformers:LlamaForCausalLM"
config = { hidden_size = 64 }
steps = [{ mode = "decode", batch = 2 }, { mode = "training", dtype = "float16", autocast = true }]
"""
    [model] = manifest.read(written(tmp_path, text))
    assert (model.name, model.library, model.what) == ("small", "transformers", "LlamaForCausalLM")
    assert model.config == {"hidden_size": 64}
    assert [step.mode for step in model.steps] == ["decode", "training"]
    assert [step.dtype for step in model.steps] == ["bfloat16", "float16"], "a library's model has a dtype"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[model", "is no manifest"),
        ("[[modell]]\nname = 'a'", "is no manifest"),
        ("", "is no manifest"),
        ("[[model]]\nname = 'a'", "model 1: '' names no model"),
        ("[[model]]\nsource = 'timm:'", "names no model; write transformers:"),
        ("[[model]]\nsource = 'a:b'\nconfig = 3", "an object of names and values"),
        ("[[model]]\nsource = 'a:b'\ncolour = 'red'", "a model has name, source, config"),
        ("[[model]]\nsource = 'a:b'\nsteps = [{ mod = 'decode' }]", "did you mean mode"),
        ("[[model]]\nsource = 'a:b'\nsteps = [{ mode = 'dream' }]", "choose inference, prefill, decode"),
        ("[[model]]\nsource = 'a:b'\nsteps = [{ dtype = 'int8' }]", "choose bfloat16"),
        ("[[model]]\nsource = 'a:b'\nsteps = [{ device = 'tpu' }]", "cuda or cpu"),
        ("[[model]]\nsource = 'a:b'\nsteps = [{ batch = 0 }]", "1 or more"),
        ("[[model]]\nsource = 'a:b'\n[[model]]\nsource = 'c:b'", "names b twice"),
    ],
)
def test_a_manifest_that_makes_no_sense_is_refused(tmp_path, text, message):
    with pytest.raises(UsageError, match=message):
        manifest.read(written(tmp_path, text))


def test_a_manifest_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        manifest.read(str(tmp_path / "none.toml"))


def test_the_bundled_manifest_holds_what_it_promises():
    models = manifest.read("bundled")
    assert len(models) >= 40
    assert {model.library for model in models} == set(manifest.LIBRARIES)
    steps = [step for model in models for step in model.steps]
    assert {step.mode for step in steps} == {"inference", "prefill", "decode", "training"}
    assert {"bfloat16", "float16"} <= {step.dtype for step in steps}
    assert all(model.facts for model in models)
