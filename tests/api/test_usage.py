"""What models cost, and how much they may, over HTTP as a whole server answers it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving

PRICE = {"input": 1_000_000, "output": 4_000_000}
PATIENCE_S = 20.0


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "data") as server:
        body = {"name": "parrot", "kind": "scripted", "model": "echo", "price": PRICE}
        await ok(server.admin.post("/v1/routes", json=body), 201)
        yield server


async def said(served: Served, words: str) -> tuple[str, dict[str, Any]]:
    """Let a thread of its own repeat words; return its id, and the run as it ended."""
    thread = (await ok(served.admin.post("/v1/threads", json={}), 201))["id"]
    body = {"route_id": "parrot", "input": words}
    made = await ok(served.admin.post(f"/v1/threads/{thread}/runs", json=body), 201)
    return thread, await served.ended(made["run_id"])


async def test_a_report_says_what_a_run_says_of_itself(served: Served) -> None:
    thread, run = await said(served, "one two three")
    (row,) = await ok(served.admin.get("/v1/usage", params={"by": "thread"}))
    assert (row["id"], row["thread_id"], row["day"]) == (f"thread:{thread}", thread, None)
    for name in ("total_cost_usd", "credits_used", "cache_hit_rate"):
        assert row[name] == run[name], name
    assert (row["input_tokens"], row["output_tokens"]) == (run["total_input_tokens"], run["total_output_tokens"])
    (call,) = await ok(served.admin.get(f"/v1/runs/{run['id']}/usage"))
    assert call["cost_microusd"] == row["cost_microusd"] == call["prompt_tokens"] + 4 * call["completion_tokens"] > 0
    assert (call["provider"], call["model"], call["estimated"]) == ("scripted", "echo", False)
    bundle = await ok(served.admin.get(f"/v1/runs/{run['id']}/debug-bundle"))
    assert bundle["usage"] == [call]


async def test_pages_of_a_report_follow_each_other(served: Served) -> None:
    threads = sorted([(await said(served, "word"))[0] for _ in range(3)])
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(3):
        page = await served.admin.get("/v1/usage", params={"by": "thread", "limit": "1", **cursor})
        seen += [row["thread_id"] for row in page.json()]
        cursor = {"cursor": page.headers.get("x-next-cursor", "")}
    assert (seen, cursor) == (threads, {"cursor": ""})
    (day,) = await ok(served.admin.get("/v1/usage"))
    assert day["calls"] == 3
    assert await ok(served.admin.get("/v1/usage", params={"cursor": day["id"]})) == []
    for by, wrong in (("day", "day:never"), ("model", "day:2026-01-01"), ("model", "2026-01-01T00:00:00Z")):
        refused = await served.admin.get("/v1/usage", params={"by": by, "cursor": wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "cursor.invalid")


async def test_a_budget_ends_a_run_that_it_has_no_room_for(served: Served) -> None:
    made = await ok(served.admin.put("/v1/budgets/project", json={"limit_microusd": 10}))
    assert (made["scope"], made["limit_microusd"], made["left_microusd"], made["resets_at"]) == (
        "project",
        10,
        10,
        None,
    )
    _, run = await said(served, "one two three")
    assert (run["status"], run["reason"]) == ("failed", "budget")
    assert (await ok(served.admin.put("/v1/budgets/project", json={"limit_microusd": 10**6})))["id"] == made["id"]
    _, run = await said(served, "one two three")
    assert run["status"] == "completed"
    spent = await ok(served.admin.get("/v1/budgets/project"))
    assert (spent["spent_usd"], spent["reserved_microusd"]) == (run["total_cost_usd"], 0)
    assert [row["id"] for row in await ok(served.admin.get("/v1/budgets"))] == [made["id"]]
    assert (await served.admin.delete("/v1/budgets/project")).status_code == 204
    assert (await served.admin.get("/v1/budgets/project")).json()["code"] == "budgets.not_found"


async def test_who_may_only_read_sets_no_budget(served: Served) -> None:
    reader = await served.key("usage:read")
    assert await ok(reader.get("/v1/usage", params={"by": "total"})) != []
    assert (await reader.put("/v1/budgets/day", json={"limit_microusd": 1})).status_code == 403
