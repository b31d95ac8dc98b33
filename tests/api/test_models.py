"""Which models a project may ask: what they cost, how much fits, and what this server lacks to ask them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, refused, serving


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    """Serve without anybody who works for agents: the models that are named here are not to be asked."""
    async with serving(tmp_path / "data", agent_slots=0) as server:
        yield server


async def models(served: Served) -> dict[str, Any]:
    return {row["route"]: row for row in await ok(served.admin.get("/v1/models"))}


async def route(served: Served, name: str, **fields: Any) -> None:
    await ok(served.admin.post("/v1/routes", json={"name": name, **fields}), 201)


async def test_a_fresh_server_is_ready_to_ask_its_own_model_for_nothing(served: Served):
    (local,) = (await models(served)).values()
    assert (local["route"], local["kind"], local["model"]) == ("local", "local", "smollm2-135m-instruct")
    assert (local["ready"], local["problem"]) == (True, None)
    assert (local["price"]["input"], local["price"]["output"], local["price"]["source"]) == (0, 0, "route")
    assert local["context_window"] == 4096, "as much as the model in the process takes"


async def test_a_price_is_that_of_the_route_else_of_the_table_else_not_known(served: Served):
    for name, kind in (("ours", "openai"), ("theirs", "openai-compatible")):
        base = {"base_url": "https://models.example.com/v1"} if kind == "openai-compatible" else {}
        key = {"name": name, "kind": kind, "api_key": "sk-test-1234", **base}
        await ok(served.admin.post("/v1/providers", json=key), 201)
    await route(served, "usual", kind="openai", model="gpt-4o", provider="ours")
    price = {"input": 5, "output": 7}
    await route(served, "dear", kind="openai", model="gpt-4o", provider="ours", price=price)
    await route(served, "own", kind="openai-compatible", model="mine", provider="theirs")
    found = await models(served)
    assert found["usual"]["price"]["source"].startswith("genai-prices")
    assert found["usual"]["price"]["cached"] < found["usual"]["price"]["input"] < found["usual"]["price"]["output"]
    assert (found["dear"]["price"]["cached"], found["dear"]["price"]["output"]) == (5, 7)
    assert found["own"]["price"] is None
    assert {name for name, row in found.items() if row["ready"]} == {"local", "usual", "dear", "own"}


async def test_a_route_says_what_its_model_takes_and_a_run_pins_no_more(served: Served):
    await ok(served.admin.post("/v1/providers", json={"name": "ours", "kind": "openai", "api_key": "sk-test-1"}), 201)
    theirs = {
        "name": "theirs",
        "kind": "openai-compatible",
        "api_key": "sk-test-2",
        "base_url": "https://theirs.test/v1",
    }
    await ok(served.admin.post("/v1/providers", json=theirs), 201)
    await route(served, "usual", kind="openai", model="gpt-4o", provider="ours")
    await route(served, "small", kind="openai", model="gpt-4o", provider="ours", context_window=2000)
    await route(served, "vast", kind="openai", model="gpt-4o", provider="ours", context_window=9_000_000)
    await route(served, "own", kind="openai-compatible", model="mine", provider="theirs")
    said = {row["name"]: row["context_window"] for row in await ok(served.admin.get("/v1/routes"))}
    assert said == {"local": 4096, "usual": 128_000, "small": 2000, "vast": 9_000_000, "own": 131_072}
    kept = {name: row["context_window"] for name, row in (await models(served)).items()}
    assert kept == said | {"vast": 128_000}
    thread = await ok(served.admin.post("/v1/threads", json={"route_id": "vast"}), 201)
    made = await ok(served.admin.post(f"/v1/threads/{thread['id']}/runs"), 201)
    events = await ok(served.admin.get(f"/v1/runs/{made['run_id']}/events"))
    assert events[0]["data"]["spec"]["agent"]["context_window"] == 128_000


async def test_what_a_server_lacks_is_said_with_what_to_do(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("runwright.agents.providers.installed.find_spec", lambda name: None)
    await ok(served.admin.post("/v1/providers", json={"name": "ours", "kind": "openai", "api_key": "sk-test-1"}), 201)
    await route(served, "usual", kind="openai", model="gpt-4o", provider="ours")
    await route(served, "play", kind="scripted", model="tale")
    found = await models(served)
    assert {name: row["ready"] for name, row in found.items()} == {"local": False, "usual": False, "play": False}
    assert "pip install 'runwright[local-model]'" in found["local"]["problem"]
    assert "pip install 'runwright[agents]'" in found["usual"]["problem"]
    assert "RUNWRIGHT_MODEL_SCRIPTS" in found["play"]["problem"]


async def test_a_model_whose_file_is_not_there_is_not_ready(tmp_path: Path):
    async with serving(tmp_path / "data", local_model_path=str(tmp_path / "none.gguf")) as served:
        (local,) = (await models(served)).values()
        assert (local["ready"], "none.gguf" in local["problem"]) == (False, True)


async def test_a_project_has_only_so_many_routes(tmp_path: Path):
    async with serving(tmp_path / "few", agent_slots=0, routes_max=2) as served:
        await route(served, "second", kind="scripted", model="echo")
        third = {"name": "third", "kind": "scripted", "model": "echo"}
        await refused(served.admin.post("/v1/routes", json=third), 429, "limits.quota")
        await ok(served.admin.delete("/v1/routes/second"), 204)
        await ok(served.admin.post("/v1/routes", json=third), 201)
