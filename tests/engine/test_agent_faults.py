"""Providers that fail in the middle of an agent run, over the three wire formats: none hangs it, none is paid twice.

All runs of one wire format go on at once, each with a server of models of its own. `Ending` says what is documented:
how often the model is asked, what each call is settled by, and how the run ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import pytest

from runwright.agents.providers.port import Bounds
from runwright.clock import FrozenClock, SystemClock
from runwright.domain.persona import PersonaDefinition
from runwright.domain.route import RouteDefinition
from runwright.domain.run import Run
from tests.agents.model_server import Fault, serving
from tests.agents.model_wire import Call, Reply
from tests.engine.acting import Acting, acting
from tests.engine.databases import Database
from tests.engine.world import ADMIN, PROJECT, settled

"""What a provider says in the middle of an answer is far from the store."""


KEY = "sk-Zy8qkXw3Lr5vTn2mPc7d"
GOOD = Reply(text=("It ", "is ", "done."))
COST = 12 + 8 + 4 * 5
"""Of `GOOD` at the prices of the test's routes."""
LIMIT = 1_000_000
SHORT = Bounds(first_s=2.0, idle_s=1.0)
"""For all runs at once, most of which are answered: a machine that is slow must not make more of them silent."""

Settled = Literal["reported", "reserved", "nothing"]


class Ending(NamedTuple):
    """How a run ends: what each call of the model was settled by, the state, the code of its failure."""

    calls: tuple[Settled, ...]
    state: str = "completed"
    code: str | None = None


AGAIN = Ending(("reserved", "reported"))
FREE = Ending(("nothing", "reported"))
GONE = "providers.unavailable"
REJECTED = "providers.rejected"
FAULTS: dict[str, tuple[tuple[Reply | Fault, ...], Ending]] = {
    "stall": (("stall", GOOD), AGAIN),
    "reset": (("reset", GOOD), AGAIN),
    "cut": (("cut", GOOD), AGAIN),
    "malformed": (("malformed", GOOD), AGAIN),
    "wrong-shape": (("wrong_shape", GOOD), AGAIN),
    "silent": (("silent", GOOD), AGAIN),
    "only-pings": (("pings", GOOD), AGAIN),
    "rate-limited": (("rate_limited", GOOD), FREE),
    "overloaded": (("overloaded", GOOD), FREE),
    "told-overloaded": (("told_overloaded", GOOD), AGAIN),
    "slow": ((Reply(text=GOOD.text, delay_s=0.05),), Ending(("reported",))),
    "usage-of-zero": ((Reply(text=GOOD.text, usage=(0, 0, 0, 0)),), Ending(("reserved",))),
    "no-usage": ((Reply(text=GOOD.text, usage=None),), Ending(("reserved",))),
    "never": (("reset",), Ending(("reserved",) * 5, "failed", GONE)),
    "always-busy": (("rate_limited",), Ending(("nothing",) * 5, "failed", GONE)),
    "no-money": (("no_money",), Ending(("nothing",), "failed", REJECTED)),
    "told-wrong": (("told_wrong",), Ending(("reserved",), "failed", REJECTED)),
    "echo-key": (("echo_key",), Ending(("nothing",), "failed", REJECTED)),
    "in-the-second-turn": (
        (Reply(text=("I look. ",), calls=(Call("c1", "http", '{"name": "a"}'),)), "reset", "rate_limited", GOOD),
        Ending(("reported", "reserved", "nothing", "reported")),
    ),
}


@pytest.fixture
async def act(database: Database, tmp_path: Path) -> AsyncIterator[Acting]:
    """Yield a world whose providers read the time of this machine: they wait for sockets."""
    made = await acting(tmp_path / "data", FrozenClock(), database, {}, bounds=SHORT, patience=SystemClock())
    made.world.engine.start()
    yield made
    await made.world.crash()
    await made.close()


async def begun(act: Acting, wire: str, name: str, url: str) -> str:
    """Begin a run that a server of models answers; return its id."""
    await act.agents.credentials.create(ADMIN, PROJECT, name, wire, url, KEY)
    price = {"input": 1_000_000, "output": 4_000_000}
    route = {"kind": wire, "model": "some-model", "provider": name, "price": price, "max_output_tokens": 50}
    await act.agents.routes.create(ADMIN, PROJECT, name, msgspec.convert(route, RouteDefinition))
    persona = {"prompt": "Be brief.", "route": name, "budget": {"cost_microusd": LIMIT}}
    await act.agents.personas.create(ADMIN, PROJECT, name, msgspec.convert(persona, PersonaDefinition))
    thread = await act.thread(persona_id=name)
    return (await act.start(thread, "Do it")).run_id


async def all_over(act: Acting, run_ids: list[str]) -> dict[str, Run]:
    """Let time pass until all runs have ended, and return them."""
    left, found = list(run_ids), {}
    async with asyncio.timeout(60):
        while left:
            act.world.clock.advance(0.1)
            await settled(act.world)
            for run_id in left[:]:
                run = await act.world.run(run_id)
                if run.terminal:
                    left.remove(run_id)
                    found[run_id] = run
    return found


@pytest.mark.parametrize("wire", ["openai-compatible", "openai", "anthropic"])
async def test_each_fault_ends_as_documented_and_is_paid_once(act: Acting, wire: str):
    async with AsyncExitStack() as servers:
        asked = {name: await servers.enter_async_context(serving(*script)) for name, (script, _) in FAULTS.items()}
        runs = {name: await begun(act, wire, name, server.url) for name, server in asked.items()}
        ends = await all_over(act, list(runs.values()))
        found = {name: await ending(act, ends[run_id]) for name, run_id in runs.items()}
        assert found == {name: wanted for name, (_, wanted) in FAULTS.items()}
        assert {name: len(server.asked) for name, server in asked.items()} == {
            name: len(wanted.calls) for name, (_, wanted) in FAULTS.items()
        }
    assert await act.world.data_of(runs["rate-limited"], "llm.retry", "delay_ms") == [7000], "as the provider asked"
    assert await act.world.data_of(runs["overloaded"], "llm.retry", "delay_ms") == [1500]
    await act.world.check()


async def ending(act: Acting, run: Run) -> Ending:
    """Return how a run ended, after what must hold of any: the log, the run and its budget agree."""
    events = [(event.type, msgspec.json.decode(event.data or b"{}")) for event in await act.world.events(run.run_id)]
    assert KEY not in repr(events)
    settled_ = 0
    reserved: dict[str, int] = {}
    calls: list[Settled] = []
    for kind, data in events:
        if kind == "llm.request":
            assert reserved == {}, "there is one call at a time"
            reserved[data["llm_call_id"]] = data["reserved_microusd"]
        elif kind == "usage.recorded":
            most = reserved.pop(data["llm_call_id"])
            settled_ += data["cost_microusd"]
            calls.append(_settled(data, most))
        assert settled_ + sum(reserved.values()) <= LIMIT
    assert reserved == {}
    assert (run.usage.cost_microusd, run.usage.unpriced) == (settled_, 0)
    shown = [data["content"] for kind, data in events if kind == "message.completed"]
    failed = [data for kind, data in events if kind == "run.failed"]
    if run.state == "completed":
        assert shown[-1] == "".join(GOOD.text) == events[-1][1]["output"]
        assert events[-1][1]["total_cost_usd"] == settled_ / 1e6
    return Ending(tuple(calls), run.state, failed[0]["code"] if failed else None)


def _settled(paid: dict[str, Any], reserved: int) -> Settled:
    if paid["estimated"]:
        assert paid["cost_microusd"] == reserved > 0
        return "reserved"
    assert paid["cost_microusd"] <= reserved
    return "reported" if paid["cost_microusd"] else "nothing"
