"""The handle of a run in Python, as code behind an endpoint uses it: async, and the blocking twin."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright import ApiError, AsyncRunHandle, RunHandle
from runwright.client.api import AsyncClient
from runwright.config import load
from runwright.serving import running
from tests.api.accepted import ACCEPTED
from tests.executors import endpoint as e
from tests.executors.endpoint import Endpoint, always


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[tuple[AsyncClient, Endpoint]]:
    settings = load({}, overrides={"data_dir": tmp_path, "port": 0, "allow_private_endpoints": True, "drain_s": 1})
    async with (
        e.serving(always(ACCEPTED)) as endpoint,
        running(settings) as server,
        AsyncClient(server.url, server.api_key) as client,
    ):
        await client.jobs.create(slug="hook", execution_mode="http", endpoint_url=endpoint.url)
        yield client, endpoint


async def dispatched(client: AsyncClient, endpoint: Endpoint) -> dict[str, str]:
    """Start a run and return the headers of its dispatch, once it is accepted."""
    run = await client.jobs.trigger("hook", {"n": 7})
    async for event in client.runs.stream(run.id):
        if event.type == "run.accepted":
            break
    headers: dict[str, str] = endpoint.received[-1].headers
    return headers


async def test_a_handle_does_all_that_a_run_may(scene: tuple[AsyncClient, Endpoint]):
    client, endpoint = scene
    async with AsyncRunHandle.of(await dispatched(client, endpoint), client.url) as run:
        assert await run.payload() == {"n": 7}
        assert (await run.log("hello", "warning", a=1)).data == {"a": 1}
        assert (await run.progress(50, "half", step="one", eta_seconds=3)).data["step"] == "one"
        assert (await run.annotate({"who": "me"})).metadata == {"who": "me"}
        assert (await run.heartbeat()).lease_epoch == 1
        assert (await run.checkpoint({"at": 1})).sequence == 1
        assert (await run.output("report", [1], {"type": "array"})).value == {"value": [1]}
        assert (await run.usage("p", "m", prompt_tokens=1, completion_tokens=2)).total_tokens == 3
        assert (await run.tool_call("search", {"q": 1}, None, duration_ms=5)).duration_ms == 5
        await run.stream("one. ")
        await run.stream("two. ", done=True)
        assert await run.state("seen") is None
        await run.set_state("seen", None)
        await run.set_state("a b", {"x": 1})
        assert await run.state("seen", default="nothing") is None
        assert await run.all_state() == {"seen": None, "a b": {"x": 1}}
        await run.delete_state("seen")
        assert await run.state("seen", default="nothing") == "nothing"
        assert run.stop is None
        assert (await run.complete({"ok": True})).status == "completed"
        with pytest.raises(ApiError) as refused:
            await run.heartbeat()
        assert (refused.value.status, refused.value.code) == (410, "runs.ended")
    assert [each.total_tokens for each in await client.runs.usage(run.run_id).all()] == [3]
    assert [each.tool_name for each in await client.runs.tool_calls(run.run_id).all()] == ["search"]
    assert [each.state_key for each in await client.runs.state(run.run_id).all()] == ["a b"]
    assert "".join([event.data["chunk"] async for event in client.runs.chunks(run.run_id)]) == "one. two. "


async def test_a_handle_hears_of_a_stop_and_of_a_lease_that_is_over(scene: tuple[AsyncClient, Endpoint]):
    client, endpoint = scene
    async with AsyncRunHandle.of(await dispatched(client, endpoint), client.url) as run:
        pausing = asyncio.create_task(client.runs.pause(run.run_id))
        async for event in client.runs.stream(run.run_id):
            if event.type == "run.pause_requested":
                break
        await run.log("what is there to do?")
        assert run.stop == "pause"
        assert (await run.fail("stopped as asked")).state == "paused"
        with pytest.raises(ApiError) as refused:
            await run.log("too late")
        assert (refused.value.status, refused.value.code) == (401, "auth.stale_token")
        await pausing


async def test_the_blocking_handle_does_the_same(scene: tuple[AsyncClient, Endpoint]):
    client, endpoint = scene
    headers = await dispatched(client, endpoint)

    def work() -> str:
        with RunHandle.of(headers, client.url) as run:
            run.log(f"{run.payload()['n']} things")
            run.set_state("at", run.checkpoint({"at": 1}).sequence)
            return run.fail("no", error_class="Broken", retryable=False).status

    assert await asyncio.to_thread(work) == "dead_letter"


def test_only_a_dispatch_has_a_handle():
    with pytest.raises(ValueError, match="runwright-run-token"):
        RunHandle.of({"Runwright-Run-Id": "run_1"})
