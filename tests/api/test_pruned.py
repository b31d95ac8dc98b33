"""A run that retention has thinned: its summary stays, its stream says what is missing, the rest that it is gone."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.api.served import Served, ok, refused, serving

SHORT_DAYS = 0.1 / 86_400


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    short = {"retention_days": SHORT_DAYS, "prune_s": 86_400.0}  # it prunes when it is told to
    async with serving(tmp_path_factory.mktemp("pruned"), worker=("tests.acceptance.handlers:app",), **short) as served:
        yield served


@pytest.fixture(scope="module")
async def both(server: Served) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return one run as it was shown when it had ended, and as retention has left it."""
    body = {"payload": {"a": 1}, "tags": {"t": "x"}}
    run = await ok(server.admin.post("/v1/jobs/works/trigger", json=body), 201)
    path = f"/v1/runs/{run['id']}"
    ended = await server.ended(run["id"])
    while (pruned := await ok(server.admin.get(path)))["pruned_at"] is None:
        await server.house.services.engine.pruner.loop._once()
    return ended, pruned


async def frames(response: httpx2.Response) -> list[tuple[str, str, Any]]:
    """Return (event, id, data) of each frame of a stream that has ended."""
    found = []
    for block in response.text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.split("\n") if line and line[0] != ":")
        if fields.keys() - {"retry"}:
            data = fields.get("data")
            found.append((fields.get("event", ""), fields.get("id", ""), data and json.loads(data)))
    return found


async def test_the_summary_stays_and_says_since_when_it_is_all(server: Served, both: Any) -> None:
    ended, pruned = both
    assert ended["pruned_at"] is None
    assert pruned == {**ended, "payload": {}, "result": None, "pruned_at": pruned["pruned_at"]}
    assert pruned["tags"] == {"t": "x"}
    assert [run["id"] for run in await ok(server.admin.get("/v1/runs"))] == [ended["id"]]
    assert [run["id"] for run in await ok(server.admin.get("/v1/runs?status=completed&tags[t]=x"))] == [ended["id"]]


@pytest.mark.parametrize("path", ["stream", "events"])
async def test_its_stream_tells_the_gap_and_the_end(server: Served, both: Any, path: str) -> None:
    ended, _ = both
    last, accept = ended["last_seq"], {"accept": "text/event-stream"}
    response = await server.admin.get(f"/v1/runs/{ended['id']}/{path}", headers=accept)
    gap, end = await frames(response)
    assert gap == ("gap", "", {"from_seq": 1, "to_seq": last - 1})
    assert end[:2] == ("", str(last))
    told = {name: end[2][name] for name in ("seq", "type", "data", "created_at", "erased")}
    at = ended["finished_at"]
    assert told == {"seq": last, "type": "run.completed", "data": None, "created_at": at, "erased": True}
    # Whoever was cut off hears of what it has not seen, and behind the end there is nothing.
    again = await server.admin.get(f"/v1/runs/{ended['id']}/{path}?after_seq=2", headers=accept)
    assert (await frames(again))[0][2] == {"from_seq": 3, "to_seq": last - 1}
    again = await server.admin.get(f"/v1/runs/{ended['id']}/{path}?after_seq={last - 1}", headers=accept)
    assert [frame[:2] for frame in await frames(again)] == [("", str(last))]
    again = await server.admin.get(f"/v1/runs/{ended['id']}/{path}", headers={**accept, "last-event-id": str(last)})
    assert again.status_code == 204


@pytest.mark.parametrize("path", ["stream?types=log", "stream/chunks"])
async def test_a_reader_of_some_events_hears_of_the_gap_and_does_not_come_back_for_ever(
    server: Served, both: Any, path: str
) -> None:
    ended, _ = both
    response = await server.admin.get(f"/v1/runs/{ended['id']}/{path}")
    last = ended["last_seq"]
    assert await frames(response) == [("gap", "", {"from_seq": 1, "to_seq": last - 1}), ("", str(last), None)]
    again = await server.admin.get(f"/v1/runs/{ended['id']}/{path}", headers={"last-event-id": str(last)})
    assert again.status_code == 204


async def test_what_lived_in_the_log_and_the_values_is_gone_and_says_why(server: Served, both: Any) -> None:
    ended, _ = both
    run = f"/v1/runs/{ended['id']}"
    for path in ("events", "attempts", "timeline", "debug-bundle", "checkpoints", "outputs", "state", "usage"):
        await refused(server.admin.get(f"{run}/{path}"), 410, "runs.pruned")
    for path in ("tool-calls", "artifacts", "effects"):
        await refused(server.admin.get(f"{run}/{path}"), 410, "runs.pruned")
    await refused(server.admin.post(f"{run}/replay", json={"force": True}), 410, "runs.pruned")
    asked = {"run_ids": [ended["id"]], "force": True}
    made = await server.admin.post("/v1/runs/bulk-replay", json=asked)
    kept = await ok(server.admin.get(f"/v1/batch-operations/{made.headers['x-batch-id']}"))
    assert (made.json(), kept["results"][0]["code"]) == ([], "runs.pruned")
    assert (await ok(server.admin.get(f"{run}/why")))["code"] == "ended"
    assert await ok(server.admin.get(f"{run}/children")) == []
    await refused(server.admin.delete(run), 409, "runs.invalid_transition")


async def test_its_proof_is_in_the_audit_log(server: Served, both: Any) -> None:
    ended, _ = both
    (entry,) = await ok(server.admin.get("/v1/audit", params={"action": "runs.pruned"}))
    assert entry["actor"] == "system:retention"
    assert {name: entry["data"][name] for name in ("runs", "first", "last")} == {
        "runs": 1, "first": ended["id"], "last": ended["id"],
    }  # fmt: skip
    assert (await ok(server.admin.get("/v1/audit/verify")))["whole"]


async def test_it_can_be_erased_and_is_still_both(server: Served, both: Any) -> None:
    _, pruned = both
    erased = await ok(server.admin.post(f"/v1/runs/{pruned['id']}/erase"))
    gone: dict[str, object] = {"tags": {}, "created_by_user_name": None}
    assert erased == {**pruned, **gone, "erased_at": erased["erased_at"]}
