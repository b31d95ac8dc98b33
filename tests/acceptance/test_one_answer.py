"""Of any number of answers to one question exactly one is taken, whichever servers they come to."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.agent_runs import calling, scripts, started
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Json, Speech, said
from tests.engine.databases import Database, SqliteDatabase

MANY = 200
ASKS: list[Json] = [
    {"tool_calls": [calling("q", "ask_user", question="Which colour?")]},
    {"tool_calls": [calling("sure", "ask_user", question="Are you sure?")]},
    {"text": ["Thank you."]},
]


@pytest.fixture(scope="module")
async def servers(
    module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[LiveServer]]:
    """Start a server on SQLite, and two on one PostgreSQL."""
    started: list[LiveServer] = []
    for _ in range(1 if isinstance(module_database, SqliteDatabase) else 2):
        directory = tmp_path_factory.mktemp("asking")
        started.append(LiveServer(directory, module_database, **scripts(directory, asks=ASKS)))
        await started[-1].start()
    yield started
    for server in started:
        await server.close()


async def test_of_200_answers_at_once_one_is_taken_and_the_others_hear_so(servers: list[LiveServer]):
    for count in range(1, len(servers) + 1):
        doors = [server.client() for server in servers[:count]]
        api = Speech(doors[0])
        _, run_id = await started(api, "asks")
        await api.until(run_id, "run.waiting_for_input")
        path, about = f"/v1/runs/{run_id}/input", {"request_id": "rq_q"}
        answers = await asyncio.gather(
            *(doors[number % count].post(path, json={"content": f"colour {number}", **about}) for number in range(MANY))
        )
        (taken,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
        assert answers[taken].json() == {"ok": True}
        refused = [answer for number, answer in enumerate(answers) if number != taken]
        assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(409, "runs.not_waiting")}
        await api.until(run_id, "run.waiting_for_input", count=2)
        await said(doors[-1].post(path, json={"content": "yes"}))
        assert (await api.ended(run_id))["state"] == "completed"
        heard = [event["data"] for event in await api.events(run_id) if event["type"] == "run.input_received"]
        assert [each["content"] for each in heard] == [f"colour {taken}", "yes"]
        results = [event["data"] for event in await api.events(run_id) if event["type"] == "tool.result"]
        assert [each["result"] for each in results] == [f"colour {taken}", "yes"], "the model hears what was taken"
