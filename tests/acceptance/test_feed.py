"""The feed over a real server: one connection for all runs that the caller may see, and none of others."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import PATIENCE_S, SSE, Json, Speech, refused, said, unique


@asynccontextmanager
async def feed(client: ContractClient, **params: Any) -> AsyncIterator[AsyncIterator[tuple[str, Json]]]:
    """Follow the feed: the name of each frame (nothing for a change) and its data."""
    async with asyncio.timeout(PATIENCE_S), client.stream("GET", "/v1/feed", params=params, headers=SSE) as response:
        assert response.status_code == 200, response.text

        async def found() -> AsyncIterator[tuple[str, Json]]:
            name = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield name, json.loads(line.removeprefix("data: "))
                    name = ""

        frames = found()
        assert await anext(frames) == ("resync", {"reason": "connected", "missed": 0})
        yield frames


async def test_every_state_change_of_a_run_is_told(api: Speech):
    job = await api.job("stumble", max_attempts=2)
    async with feed(api.client) as frames:
        run = await api.trigger(job, {"how": "error", "times": 2})
        seen = []
        async for name, change in frames:
            if change["run_id"] == run["id"]:
                assert name == ""
                seen.append(change)
                if change["state"] == "failed":
                    break
    assert (seen[-1]["status"], seen[-1]["reason"], seen[-1]["attempt"]) == ("dead_letter", "error", 2)
    assert {"executing", "scheduled"} <= {change["state"] for change in seen}
    assert set(seen[0]) >= {"run_id", "project_id", "job_id", "kind", "status", "state", "reason", "attempt", "at"}
    seqs = [change["last_seq"] for change in seen]
    assert seqs == sorted(seqs)


async def test_nobody_hears_of_the_runs_of_others(server: LiveServer, admin: ContractClient, api: Speech):
    made = await said(admin.post("/v1/organizations", json={"slug": unique("deaf")}), 201)
    theirs = Speech(server.client(made["token"]))
    project = await api.project()
    bound = server.client((await api.key("runs:read", project_id=project))["token"])
    own = await api.job("echo", project_id=project)
    job, other = await api.job("echo"), await theirs.job("echo")
    async with feed(theirs.client) as far, feed(bound) as narrow, feed(admin, project_id=project) as named:
        await api.done(job)
        mine = await api.done(own)
        foreign = await theirs.done(other)
        assert (await anext(far))[1]["run_id"] == foreign["id"]
        for frames in (narrow, named):
            assert (await anext(frames))[1]["run_id"] == mine["id"]
    await refused(theirs.client.get("/v1/feed", params={"project_id": project}), 404, "projects.not_found")


async def test_a_key_that_is_revoked_hears_nothing_more(server: LiveServer, api: Speech):
    key = await api.key("runs:read")
    async with feed(server.client(key["token"])) as frames:
        await said(api.client.delete(f"/v1/keys/{key['id']}"))
        async with asyncio.timeout(PATIENCE_S):
            async for _ in frames:
                pass


async def test_the_sdk_follows_the_feed_over_a_restart(own_server: LiveServer):
    async with own_server.sdk() as sdk:
        job = await sdk.jobs.create(slug="followed", handler="echo")
        changes = aiter(sdk.feed())
        assert await anext(changes) is None
        first = await sdk.jobs.trigger(job.id, {})
        assert (change := await anext(changes)) is not None
        assert change.run_id == first.id
        await own_server.stop()
        await own_server.start()
        while await anext(changes) is not None:
            pass
        second = await sdk.jobs.trigger(job.id, {})
        while (change := await anext(changes)) is None or change.run_id != second.id:
            pass
        await changes.aclose()  # type: ignore[attr-defined]
