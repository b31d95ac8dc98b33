"""What the tests of agent runs share: scripts in place of a model, and short sentences for threads and their runs."""

from pathlib import Path
from typing import Any

import msgspec

from tests.acceptance.speech import Json, Speech, said, unique


def scripts(directory: Path, **turns: list[Json]) -> dict[str, Any]:
    """Return the settings of a server that executes agent runs by these scripts."""
    file = directory / "scripts.json"
    file.write_bytes(msgspec.json.encode({name: {"turns": said} for name, said in turns.items()}))
    return {"agent_slots": 8, "model_scripts": file, "agent_http_private": "true", "worker": None}


def calling(ident: str, name: str, /, **arguments: Any) -> Json:
    """Return a call of a tool, as a model writes it."""
    return {"id": ident, "name": name, "arguments": msgspec.json.encode(arguments).decode()}


async def started(api: Speech, script: str, content: str = "Do it", **fields: Any) -> tuple[str, str]:
    """Start a run that a script answers, in a thread of its own; return the ids of both."""
    route = {"name": unique("route"), "kind": "scripted", "model": script}
    await said(api.client.post("/v1/routes", json=route), 201)
    thread = (await said(api.client.post("/v1/threads", json={}), 201))["id"]
    body = {"route_id": route["name"], "input": content, **fields}
    return thread, (await said(api.client.post(f"/v1/threads/{thread}/runs", json=body), 201))["run_id"]
