"""A server that is killed between the calls of an endpoint: the token lasts, the numbers go on, nothing is lost."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Speech, said, unique
from tests.engine.databases import Database
from tests.executors import endpoint as e
from tests.executors.endpoint import always, answer


@pytest.fixture
async def live(tmp_path: Path, database: Database) -> AsyncIterator[LiveServer]:
    server = LiveServer(tmp_path, database, worker=None, allow_private_endpoints="true")
    await server.start()
    yield server
    await server.close()


async def test_numbers_go_on_after_the_server_was_killed_between_two_calls(live: LiveServer):
    async with e.serving(always(answer(status="202 Accepted"))) as endpoint:
        api = Speech(live.client())
        job = {"slug": unique("hook"), "execution_mode": "http", "endpoint_url": endpoint.url}
        made = await said(api.client.post("/v1/jobs", json=job), 201)
        run_id = (await api.trigger(made["id"]))["id"]
        async for event in live.sdk().runs.stream(run_id):
            if event.type == "run.accepted":
                break
        token = endpoint.received[0].headers["runwright-run-token"]
        path = f"/sdk/v1/runs/{run_id}"
        sequences, seqs = [], []
        for n in range(3):
            run = live.client(token)
            for _ in range(2):
                saved = await said(run.post(f"{path}/checkpoint", json={"state": {"n": n}}), 201)
                sequences.append(saved["sequence"])
                seqs.append((await said(run.post(f"{path}/log", json={"message": "saved"}), 201))["seq"])
            await said(run.post(f"{path}/state", json={"key": "n", "value": n}), 201)
            await live.kill()
            await live.start()
            assert (await said(live.client(token).get(f"{path}/state/n")))["value"] == n
        assert sequences == [1, 2, 3, 4, 5, 6]
        assert seqs == sorted(set(seqs))
        ended = await said(live.client(token).post(f"{path}/complete"))
        assert (ended["status"], ended["attempt"]) == ("completed", 1)
        events = await Speech(live.client()).events(run_id)
        assert [each["seq"] for each in events] == list(range(1, ended["last_seq"] + 1))
        assert len(endpoint.received) == 1, "an endpoint that has a run is not posted to again"
