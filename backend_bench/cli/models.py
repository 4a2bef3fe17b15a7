"""The person's door to models that write kernels: author serves a built-in one, eval asks any of them."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from backend_bench.cli.ending import usage
from backend_bench.errors import UsageError

ANY_FLAGS = {"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
"""For eval: its flags, help included, are read by the environment's own parser."""


def author(
    name: Annotated[str, typer.Argument(help="builtin/pytorch, triton, inductor or replay:DIR")],
    host: Annotated[str, typer.Option("--host", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="port to listen on")] = 8000,
) -> None:
    """Serve a built-in model over the OpenAI protocol, for vf-eval or anything else."""
    from backend_bench.authors.server import serve

    with usage():
        serve(name if name.startswith("builtin/") else f"builtin/{name}", host, port)


def evaluate(context: typer.Context) -> None:
    """Evaluate a model: -m MODEL -b URL -k KEY_VAR -a '{"suite": "smoke", "num_turns": 2}' …"""
    with usage():
        if importlib.util.find_spec("verifiers") is None:
            raise UsageError('evaluating a model needs verifiers: pip install "backend-bench"')
    from backend_bench.environment.eval import run_eval

    raise typer.Exit(run_eval(context.args))
