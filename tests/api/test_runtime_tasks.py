"""Steps of the kind `agent` over HTTP: which model they get, and what is refused before a run is made."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, serving
from tests.api.test_runtime_orders import ended, made, refused

TASK = {"kind": "agent", "step_id": "say", "task": "Say that all is well."}
PAGE = Path(__file__).parents[2] / "docs" / "concepts" / "runtime-runs.md"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("tasks")) as served:
        play = {"name": "play", "kind": "scripted", "model": "echo", "price": {"input": 1_000_000, "output": 1_000_000}}
        await ok(served.admin.post("/v1/routes", json=play), 201)
        key = {"name": "ours", "kind": "openai", "api_key": "sk-test-1234"}
        await ok(served.admin.post("/v1/providers", json=key), 201)
        mine = {"name": "mine", "kind": "openai", "model": "my-own", "provider": "ours"}
        await ok(served.admin.post("/v1/routes", json=mine), 201)
        yield served


async def test_what_a_model_says_of_its_task_stands_in_the_status_with_what_it_cost(server: Served):
    run_id = await made(server, steps=[TASK, {"kind": "report"}], models={"orchestrator": "play"})
    status = await ended(server, run_id)
    assert (status["status"], status["orchestrator_model"], status["subagent_model"]) == ("completed", "echo", None)
    assert [each["stage"] for each in status["stage_history"]] == ["REASONING", "RECONCILING", "DONE"]
    step = status["summaries"]["steps"][0]
    assert (step["kind"], step["status"], step["detail"]) == ("agent", "succeeded", "Say that all is well.")
    assert "The step say said: Say that all is well." in status["summaries"]["narrative"]
    usage = status["summaries"]["usage"]
    assert usage["cost_microusd"] == usage["input_tokens"] + usage["output_tokens"] > 0


async def test_tokens_and_money_are_limits_of_the_run(server: Served):
    for budget, code in (({"max_tokens": 5}, "MAX_TOKENS_EXCEEDED"), ({"max_cost_usd": 0.000005}, "MAX_COST_EXCEEDED")):
        run_id = await made(server, steps=[TASK], models={"orchestrator": "play"}, budget=budget)
        status = await ended(server, run_id)
        assert (status["status"], status["stop"]["class"]) == ("completed", "budget_exhausted")
        assert status["stop"]["code"] == code
        assert status["summaries"]["usage"]["output_tokens"] == 0
        assert status["summaries"]["budget"]["state"] == "exhausted"


async def test_k20_a_limit_of_money_with_a_model_of_unknown_price_is_refused(server: Served):
    body = {"steps": [TASK], "models": {"orchestrator": "mine"}, "budget": {"max_cost_usd": 1}}
    await refused(server, body, 409, "UNPRICED_MODEL")


async def test_a_model_that_no_step_asks_or_that_is_none_is_refused(server: Served):
    details = await refused(server, {"models": {"orchestrator": "play"}}, 422, "VALIDATION")
    assert details["fields"][0]["path"] == "models.orchestrator"
    await refused(server, {"steps": [TASK], "models": {"orchestrator": "nobody"}}, 404, "ROUTES_NOT_FOUND")


async def test_the_order_of_the_page_runs_as_it_stands_there(server: Served):
    page = PAGE.read_text("utf-8")
    order = json.loads(page.partition("```json file=task.json\n")[2].partition("```")[0])
    status = await ended(server, await made(server, **order))
    assert (status["status"], status["gate_status"], status["orchestrator_model"]) == ("completed", "passed", "echo")
