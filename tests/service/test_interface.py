"""The HTTP interface keeps the promises of its OpenAPI page, whatever it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from backend_bench.cases import SuiteIndex
from backend_bench.service.application import application
from backend_bench.service.guard import Guard
from backend_bench.submission import Submission, SuiteSpec
from backend_bench.verdict import Status, Verdict

TOKEN = "a-token-that-nobody-guesses"


class ScriptedJudges:
    """Takes every request that can be read."""

    async def machine(self) -> Mapping[str, Any]:
        return {"devices": ["cpu"]}

    async def index(self, spec: SuiteSpec) -> SuiteIndex:
        return SuiteIndex(spec=spec, source="scripted", torch="none", entries={})

    async def languages(self) -> Mapping[str, Mapping[str, str]]:
        return {"cpu": {"triton": "", "cuda": "there is no GPU"}}

    async def submit(self, submission: Submission, client: str) -> Verdict:
        return Verdict(op=str(submission.op), language="triton", status=Status.OK)


APP = Guard(application(ScriptedJudges(), state=lambda: {"pid": 1}, stop=None), TOKEN)  # type: ignore[arg-type]  # scripted
SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", APP)
load_all_checks()


@SCHEMA.auth()
class Token:
    """How requests are let in; some are sent without it, to see that they are not."""

    def get(self, case: schemathesis.Case, context: object) -> str:
        return TOKEN

    def set(self, case: schemathesis.Case, token: str, context: object) -> None:
        case.headers["authorization"] = f"Bearer {token}"


@pytest.mark.slow
@SCHEMA.parametrize()
@settings(max_examples=40, deadline=None)
def test_it_answers_as_the_page_says(case: schemathesis.Case) -> None:
    """Requests with and without sense, other methods, no token, and a wrong one."""
    # JSON Schema calls 30.0 an integer; the service does not.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
