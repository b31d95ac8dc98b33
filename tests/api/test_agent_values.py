"""What agent runs keep by digest: prompts, long outputs and the last workspace, behind a scope of their own."""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.api.served import Served, ok, refused, serving
from tests.api.test_agent_runs import calling, reached, started

SECRET = "correct-horse-battery"
LONG = "for n in $(seq 4000); do echo line $n; done"
SPLIT = "printf correct-horse > kept; printf -- '-battery, they said' >> kept; printf '\\0' > binary; ln -s kept link"
SCRIPTS = {
    "work": {
        "turns": [
            {"tool_calls": [calling("shell", command=SPLIT)]},
            {"tool_calls": [calling("shell", command=LONG)]},
            {"text": ["Done."]},
        ]
    },
}
_canonical = msgspec.json.Encoder(order="deterministic").encode


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    scripts = tmp_path / "scripts.json"
    scripts.write_bytes(msgspec.json.encode(SCRIPTS))
    async with serving(tmp_path / "data", model_scripts=str(scripts)) as server:
        yield server


async def worked(served: Served) -> tuple[str, dict[str, list[Any]]]:
    """Return a run that has ended, and the data of its events by type."""
    await ok(served.admin.post("/v1/secrets", json={"name": "WORD", "value": SECRET}), 201)
    prompt = f"Never say {SECRET}."
    await ok(served.admin.post("/v1/personas", json={"key": "default", "prompt": prompt}), 201)
    _, run_id = await started(served, "work", f"The word is {SECRET}.")
    assert (await reached(served, run_id, "completed", "failed"))["status"] == "completed"
    told: dict[str, list[Any]] = {}
    for event in await ok(served.admin.get(f"/v1/runs/{run_id}/events", params={"limit": 500})):
        told.setdefault(event["type"], []).append(event["data"])
    return run_id, told


async def test_prompts_are_what_the_model_was_told_and_their_digests_are_of_what_is_shown(served: Served) -> None:
    run_id, told = await worked(served)
    reader = await served.key("prompts:read")
    asked = told["llm.request"][-1]["prompt"]
    values = [(await ok(reader.get(f"/v1/runs/{run_id}/values/{digest}")))["value"] for digest in asked]
    assert [sha256(_canonical(value)).hexdigest() for value in values] == asked
    assert values[0].keys() == {"system", "tools"}
    assert values[0]["system"] == "Never say [redacted:known]."
    assert values[1] == {"role": "user", "parts": [{"type": "text", "text": "The word is [redacted:known]."}]}
    assert [value["role"] for value in values[1:]] == ["user", "assistant", "tool", "assistant", "tool"]


async def test_a_long_output_is_read_whole_and_the_workspace_file_by_file(served: Served) -> None:
    run_id, told = await worked(served)
    reader = await served.key("prompts:read")
    first, second = told["tool.result"]
    whole = await ok(reader.get(f"/v1/runs/{run_id}/values/{second['artifact']}"))
    assert (whole["kind"], whole["truncated"]) == ("tool_output", False)
    assert msgspec.json.decode(whole["value"])["output"].splitlines()[-1] == "line 4000"
    left = await ok(reader.get(f"/v1/runs/{run_id}/values/{first['snapshot']['archive_sha256']}"))
    assert (left["kind"], left["truncated"]) == ("snapshot", False)
    assert [{name: each[name] for name in ("path", "kind", "text", "to")} for each in left["value"]["files"]] == [
        {"path": "binary", "kind": "file", "text": None, "to": None},
        {"path": "kept", "kind": "file", "text": "[redacted:known], they said", "to": None},
        {"path": "link", "kind": "link", "text": None, "to": "kept"},
    ]


async def test_they_are_nobodys_who_lacks_the_scope_and_gone_with_the_run(served: Served) -> None:
    run_id, told = await worked(served)
    path = f"/v1/runs/{run_id}/values/{told['llm.request'][0]['prompt'][0]}"
    for scopes in (("runs:read", "threads:read", "models:read"), ("agents:manage", "runs:write")):
        other = await served.key(*scopes)
        assert await refused(other.get(path), 403, "auth.missing_scope") == {"scope": "prompts:read"}
    stranger = await served.neighbour()
    await refused(stranger.get(path), 404, "runs.not_found")
    for unknown in ("0" * 64, "last", told["tool.call"][0]["args_sha256"]):
        await refused(served.admin.get(f"/v1/runs/{run_id}/values/{unknown}"), 404, "values.not_found")
    await ok(served.admin.post(f"/v1/runs/{run_id}/erase"))
    await refused(served.admin.get(path), 410, "runs.erased")
