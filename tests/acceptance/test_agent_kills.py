"""A server is killed again and again in the middle of one agent run of ten turns, with real tools in a workspace.

`RUNWRIGHT_TEST_SOAK` kills it five times, as often as such a run can be taken up again; without it, three times.

Where it is killed is said by what a client sees of the run, and once by the request of a tool that has arrived. The
client comes back with the last seq that it saw. Everything else about such deaths: `tests/engine/test_agent_deaths.py`.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.agent_runs import calling, scripts, started
from tests.acceptance.live_server import MORTAL, LiveServer
from tests.acceptance.speech import Json, Speech, said
from tests.engine.databases import Database
from tests.executors.endpoint import Endpoint, Received, answer, serving

pytestmark = [pytest.mark.xdist_group("acceptance-agent-kills"), pytest.mark.slow]

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
Kill = Callable[[list[Json]], bool]


class Till:
    """An endpoint whose every POST is a deed that must be done once; the answer to the first one never comes."""

    def __init__(self) -> None:
        self.deeds: Counter[str] = Counter()
        self.first = asyncio.Event()

    async def respond(self, received: Received, writer: asyncio.StreamWriter) -> None:
        """Do the deed."""
        method, path, _ = received.line.split(" ")
        if method == "POST":
            self.deeds[path] += 1
            if path == "/killed/1" and not self.first.is_set():
                self.first.set()
                await asyncio.Event().wait()
        writer.write(answer(f"{method} {path.rpartition('/')[2]}".encode(), content_type="text/plain"))


def turns(url: str) -> list[Json]:
    """Return ten answers, of which nine call tools."""

    def http(ident: str, method: str, path: str) -> Json:
        return calling(ident, "http", method=method, url=f"{url}/{path}")

    return [
        {"text": ["I ", "write. "], "tool_calls": [calling("c1", "files", action="write", path="a", content="one\n")]},
        {"text": ["I ", "do. ", "So "], "tool_calls": [http("c2", "POST", "1")], "delay_s": 0.1},
        {"text": ["I look. "], "tool_calls": [http("c3", "GET", "x"), http("c4", "GET", "y")]},
        {"text": ["I add. "], "tool_calls": [calling("c5", "shell", command="echo two >> a; cat a")]},
        {"text": ["I do. "], "tool_calls": [http("c6", "POST", "2"), http("c7", "POST", "3")]},
        {"text": ["I add. "], "tool_calls": [calling("c8", "shell", command="echo three >> a; cat a")]},
        {"text": ["I do. "], "tool_calls": [http("c9", "POST", "4")], "delay_s": 0.1},
        {"text": ["I read. "], "tool_calls": [calling("c10", "files", action="read", path="a")]},
        {"text": ["I look. "], "tool_calls": [http("c11", "GET", "z")]},
        {"text": ["The ", "end."]},
    ]


@pytest.fixture
async def till() -> AsyncIterator[tuple[Till, Endpoint]]:
    made = Till()
    async with serving(made.respond) as endpoint:
        yield made, endpoint


def at(kind: str, count: int = 1) -> Kill:
    """Return what says to kill at the so-manieth event of a type."""
    return lambda seen: seen[-1]["type"] == kind and sum(event["type"] == kind for event in seen) == count


def at_result(ident: str) -> Kill:
    """Return what says to kill at the result of a call."""
    return lambda seen: seen[-1]["type"] == "tool.result" and seen[-1]["data"]["tool_call_id"] == ident


def at_call(ident: str) -> Kill:
    """Return what says to kill when a call has begun."""
    return lambda seen: seen[-1]["type"] == "tool.call" and seen[-1]["data"]["tool_call_id"] == ident


async def killed_at(server: LiveServer, run_id: str, till: Till, kills: list[Kill]) -> list[Json]:
    """Follow a run to its end, kill its server at these moments, and return all that was shown."""
    seen: list[Json] = []
    for kill in [*kills, None]:
        api = Speech(server.client())
        last = {"after_seq": seen[-1]["seq"]} if seen else {}
        async with api.following(run_id, **last) as events:
            async for event in events:
                seen.append(event)
                if kill is not None and kill(seen):
                    break
        if kill is None:
            return seen
        if seen[-1]["type"] == "tool.call" and seen[-1]["data"]["tool_call_id"] == "c2":
            await till.first.wait()
        await server.kill()
        await server.start()
    raise AssertionError("unreachable")


def transcript(events: list[Json], script: str) -> str:
    """Return what the model said and was told, but for what nobody knows, and for the name of the script.

    Results come in any order: calls that change nothing are made side by side.
    """
    found: list[Any] = []
    results: dict[str, Any] = {}
    for event in events:
        data = event["data"]
        if event["type"] == "llm.response":
            found.append(
                (data["text"], [(call["tool_call_id"], call["arguments"]) for call in data.get("tool_calls", [])])
            )
        if event["type"] == "tool.result" and data["tool_call_id"] != "c2":
            results[data["tool_call_id"]] = data.get("result"), data.get("error")
    return repr((found, sorted(results.items()))).replace(f"/{script}/", "/")


async def test_a_run_whose_server_is_killed_again_and_again_reads_as_if_it_had_not_been(
    tmp_path: Path, database: Database, till: tuple[Till, Endpoint]
):
    deeds, endpoint = till
    told = {name: turns(f"{endpoint.url}/{name}") for name in ("killed", "undisturbed")}
    server = LiveServer(tmp_path, database, **{**MORTAL, "lease_s": 2, **scripts(tmp_path, **told)})
    await server.start()
    thread, run_id = await started(Speech(server.client()), "killed")
    kills = [at("message.delta", 2), at_call("c2"), at_result("c5")]
    kills += [at("llm.request", 8), at_call("c10")] if SOAK else []
    seen = await killed_at(server, run_id, deeds, kills)
    api = Speech(server.client())
    run, events = await api.run(run_id), await api.events(run_id)
    assert run["state"] == "completed", seen[-1]
    assert [(event["seq"], event["type"]) for event in seen] == [(e["seq"], e["type"]) for e in events]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert sum(event["type"] == "run.recovered" for event in seen) == len(kills)
    assert deeds.deeds == Counter({f"/killed/{number}": 1 for number in range(1, 5)}), "what has effects is done once"
    (unknown,) = [e["data"] for e in seen if e["type"] == "tool.result" and e["data"]["tool_call_id"] == "c2"]
    assert unknown["error"]["code"] == "tool.outcome_unknown"
    asked, paid = (
        [event["data"]["llm_call_id"] for event in seen if event["type"] == kind]
        for kind in ("llm.request", "usage.recorded")
    )
    assert sorted(asked) == sorted(paid), "each call of the model is settled once"

    other_thread, other_run = await started(api, "undisturbed")
    await api.ended(other_run)
    assert transcript(seen, "killed") == transcript(await api.events(other_run), "undisturbed")
    messages = [await said(api.client.get(f"/v1/threads/{each}/messages")) for each in (thread, other_thread)]
    first, second = ([(message["role"], message["parts"]) for message in found] for found in messages)
    assert first == second
    await server.close()
