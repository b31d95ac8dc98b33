"""The model catalog of a project: prices, quota, policy and its own history, and the same answer until one changes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.waiting import until

PATH = "/api/v1/models/catalog"
MODELS = {"usual": "gpt-4o", "mini": "gpt-4o-mini", "mine": "my-own"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "data", outbox_s=0.02) as server:
        key = {"name": "ours", "kind": "openai", "api_key": "sk-test-1234"}
        await ok(server.admin.post("/v1/providers", json=key), 201)
        for name, model in MODELS.items():
            body = {"name": name, "kind": "openai", "model": model, "provider": "ours", "context_window": 100_000}
            await ok(server.admin.post("/v1/routes", json=body), 201)
        await ok(server.admin.post("/v1/routes", json={"name": "play", "kind": "scripted", "model": "echo"}), 201)
        yield server


async def catalog(served: Served, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = await ok(served.admin.get(PATH, params=params))
    return found | {"models": {model["id"]: model for model in found["models"]}}


async def test_models_stand_with_prices_and_the_unpriced_is_not_free(served: Served):
    found = await catalog(served)
    models = found["models"]
    assert list(models) == ["local", "mine", "mini", "play", "usual"]
    assert found["price_book_version"].startswith("genai-prices ")
    assert models["usual"]["pricing"]["source"] == found["price_book_version"]
    assert 0 < models["mini"]["pricing"]["input"] < models["usual"]["pricing"]["input"]
    assert models["mine"]["pricing"]["unpriced"]
    assert models["mine"]["pricing"]["input"] is None
    assert (models["local"]["pricing"]["input"], models["local"]["quota"]["state"]) == (0.0, "free")
    assert models["local"]["access"] == {"available": True, "reason_code": None, "reason": None, "via": "local"}
    assert models["usual"]["access"]["via"] == "byok"
    assert found["account"]["providers_configured"] == [{"name": "ours", "kind": "openai", "installed": True}]
    assert "sk-test" not in str(found)


async def test_each_role_has_its_order_and_can_explain_it(served: Served):
    found = await catalog(served, explain="1")
    for role, ranked in found["roles"].items():
        places = sorted((model["rank"][role]["position"], name) for name, model in found["models"].items())
        assert [name for _, name in places] == ranked
        assert ranked.index("mini") < ranked.index("usual") < ranked.index("mine")
        for model in found["models"].values():
            rank = model["rank"][role]
            terms = rank["signals"].values()
            assert rank["score"] == pytest.approx(sum(term["worth"] * term["weight"] for term in terms), abs=1e-6)
    assert found["models"]["mine"]["rank"]["judge"]["signals"]["price"]["n"] == 0
    assert (await catalog(served))["models"]["mine"]["rank"]["judge"]["signals"] == {}
    assert list((await catalog(served, role="judge"))["roles"]) == ["judge"]


async def test_what_the_caller_needs_filters_before_anything_is_scored(served: Served):
    found = await catalog(served, min_context="50000", max_cost="1", capability="tools")
    assert found["roles"]["orchestrator"] == ["mini"]
    excluded = {name: model["excluded"] for name, model in found["models"].items()}
    assert excluded == {
        "local": "CONTEXT_TOO_SMALL",
        "mine": "UNPRICED",
        "mini": None,
        "play": "TOO_EXPENSIVE",
        "usual": "TOO_EXPENSIVE",
    }
    for params in (
        {"role": "king"},
        {"min_context": "0"},
        {"max_cost": "-1"},
        {"capability": "luck"},
        {"explain": "2"},
    ):
        assert (await served.admin.get(PATH, params=params)).status_code == 422, params


async def test_a_budget_holds_up_what_costs_money_and_what_nobody_knows(served: Served):
    await ok(served.admin.put("/v1/budgets/day", json={"limit_microusd": 1_000_000}))
    models = (await catalog(served))["models"]
    assert models["usual"]["quota"]["state"] == "normal"
    assert models["usual"]["quota"]["resets_at"] is not None
    assert (models["mine"]["access"]["available"], models["mine"]["access"]["reason_code"]) == (False, "UNPRICED")
    assert models["local"]["access"]["available"]


async def test_a_policy_keeps_models_from_the_ranking_and_from_runs(tmp_path: Path):
    async with serving(tmp_path / "data", model_policy=("local/*",)) as served:
        await ok(served.admin.post("/v1/routes", json={"name": "play", "kind": "scripted", "model": "echo"}), 201)
        found = await catalog(served)
        assert found["account"]["model_policy"] == ["local/*"]
        assert found["models"]["play"]["access"]["reason_code"] == "POLICY_DENIED"
        assert found["roles"]["judge"] == ["local"]
        thread = await ok(served.admin.post("/v1/threads", json={}), 201)
        body = {"route_id": "play", "input": [{"type": "text", "text": "hello"}]}
        refused = await served.admin.post(f"/v1/threads/{thread['id']}/runs", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "models.not_allowed")


async def test_own_runs_are_the_history(served: Served):
    thread = await ok(served.admin.post("/v1/threads", json={}), 201)
    body = {"route_id": "play", "input": [{"type": "text", "text": "hello"}]}
    await ok(served.admin.post(f"/v1/threads/{thread['id']}/runs", json=body), 201)
    told = await until(lambda: catalog(served, explain="1"), lambda told: told["models"]["play"]["history"]["runs"])
    play = told["models"]["play"]
    history = play["history"]
    assert (history["runs"], history["success_rate"], history["calls"], history["answer_rate"]) == (1, 1.0, 1, 1.0)
    assert history["latency_p50_ms"] is not None
    assert history["cost_per_run_usd"] > 0
    assert play["rank"]["judge"]["signals"]["own_success"]["n"] == 1


async def test_an_answer_that_the_caller_has_is_304(served: Served):
    first = await served.admin.get(PATH)
    tag = first.headers["etag"]
    again = await served.admin.get(PATH, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await served.admin.get(PATH, params={"explain": "1"}, headers={"if-none-match": tag})).status_code == 200
    await ok(served.admin.post("/v1/routes", json={"name": "more", "kind": "scripted", "model": "echo"}), 201)
    changed = await served.admin.get(PATH, headers={"if-none-match": tag})
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)


async def test_a_catalog_is_its_projects_own(served: Served):
    neighbour = await served.neighbour()
    theirs = await ok(neighbour.get(PATH))
    assert [model["id"] for model in theirs["models"]] == ["local"]
    project = (await ok(served.admin.get("/v1/me")))["organization"]["id"]
    assert theirs["account"]["org_id"] != project
    answer = await neighbour.get(PATH, params={"project_id": (await catalog(served))["account"]["project_id"]})
    assert answer.status_code == 404
