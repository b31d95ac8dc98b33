"""Agent runs over HTTP as a whole server executes them: a scripted model, real tools, a real workspace."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.served import RUN, Served, ok, serving

PATIENCE_S = 20.0


def calling(name: str, /, **arguments: Any) -> dict[str, str]:
    return {"id": "c", "name": name, "arguments": msgspec.json.encode(arguments).decode()}


SCRIPTS = {
    "work": {
        "turns": [
            {"text": ["I write. "], "tool_calls": [calling("files", action="write", path="a.txt", content="kept")]},
            {"text": ["I look. "], "tool_calls": [calling("shell", command="cat a.txt")]},
            {"text": ["It ", "is ", "there."]},
        ]
    },
    "asks": {
        "turns": [
            {"tool_calls": [calling("ask_user", question="Which colour?")]},
            {"text": ["Red it is."]},
        ]
    },
}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    scripts = tmp_path / "scripts.json"
    scripts.write_bytes(msgspec.json.encode(SCRIPTS))
    async with serving(tmp_path / "data", model_scripts=str(scripts)) as server:
        yield server


async def started(served: Served, model: str, said: str) -> tuple[str, str]:
    """Start a run of a thread that a script answers; return both ids."""
    await ok(served.admin.post("/v1/routes", json={"name": "play", "kind": "scripted", "model": model}), 201)
    thread = (await ok(served.admin.post("/v1/threads", json={}), 201))["id"]
    body = {"route_id": "play", "input": said}
    return thread, (await ok(served.admin.post(f"/v1/threads/{thread}/runs", json=body), 201))["run_id"]


async def reached(served: Served, run_id: str, *states: str) -> dict[str, Any]:
    """Return the run once it is in one of these states."""
    return await served.seen(run_id, lambda run: run["status"] in states, RUN)


async def test_an_agent_works_in_its_workspace_and_says_what_it_found(served: Served) -> None:
    thread, run_id = await started(served, "work", "Do it")
    run = await reached(served, run_id, "completed", "failed")
    events = await ok(served.admin.get(f"/v1/runs/{run_id}/events"))
    results = [event["data"] for event in events if event["type"] == "tool.result"]
    assert [each.get("error") for each in results] == [None, None], results
    assert "kept" in str(results[1]["result"])
    assert results[0]["snapshot"]["files"] == 1
    assert run["status"] == "completed"
    assert run["total_cost_usd"] > 0
    messages = await ok(served.admin.get(f"/v1/threads/{thread}/messages"))
    assert [message["role"] for message in messages] == ["user", "assistant"]


async def test_a_question_is_answered_over_the_wire(served: Served) -> None:
    _, run_id = await started(served, "asks", "Choose")
    await reached(served, run_id, "waiting_for_input", "waiting", "failed")
    await ok(served.admin.post(f"/v1/runs/{run_id}/input", json={"content": "red"}))
    run = await reached(served, run_id, "completed", "failed")
    assert run["status"] == "completed"
