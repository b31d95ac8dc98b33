"""A worker dies at every point at which the run of an agent waits: the run reads as if none had.

The run has ten turns, with tools of every kind and a question. Other workers take it over from the log. It completes,
its transcript is that of a run that nobody disturbed, no tool with side effects works twice, each call of the model is
settled once, and whoever follows the stream through all deaths is shown each event once. With `RUNWRIGHT_TEST_SOAK`
one dies at every point, without it at some.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.agents.providers.scripted import Script, Turn
from runwright.clock import FrozenClock
from runwright.domain.conversation import fold
from runwright.domain.events import TERMINAL_TYPES, Event
from runwright.domain.model_call import ToolResult
from runwright.domain.next_step import OUTCOME_UNKNOWN
from runwright.domain.run import AGENT
from runwright.domain.thread import Thread
from runwright.engine.stream import Hub
from tests.engine.acting import Acting, Doing, acting, calling
from tests.engine.databases import Database
from tests.engine.dying import Mortal
from tests.engine.world import ADMIN, lines, settled

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
POINTS = 6
"""At so many points of all a worker dies, if not at every one."""
LIVES = [(17, 60, 5, 41, 90), (150, 8, 8, 8, 8)]
"""Of runs whose workers die again and again: at which wait each of them does."""
STUCK = 20_000


def turn(*text: str, calls: Iterable[Any] = (), thinking: tuple[str, ...] = ()) -> Turn:
    return Turn(text=text, tool_calls=tuple(calls), thinking=thinking, delay_s=0.02)


def step(number: int, *names: str) -> Turn:
    """Return an answer that calls tools, each once; no two calls of the script have one id."""
    calls = [calling(name, f"c{number}{place}", name=f"{name}-{number}{place}") for place, name in enumerate(names)]
    return turn(f"Step {number}, ", "then. ", calls=calls)


STORY = Script(
    turns=(
        step(1, "http", "http", "http"),
        step(2, "shell"),
        turn("Which? ", calls=[calling("ask_user", "c30", question="Which?")], thinking=("Hm, ", "I ask.")),
        step(4, "python", "shell"),
        step(5, "shell", "http", "http"),
        step(6, "python"),
        step(7, "nothing", "shell"),
        step(8, "http", "python", "shell"),
        step(9, "shell", "shell"),
        turn("The ", "very ", "end."),
    )
)


class Witness:
    """Follows a run as a client does: to its end, whoever serves it, from where it was cut off."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.raw = b""
        self.seq = 0
        self.last = ""

    async def follow(self, hub: Hub) -> None:
        """Take in what comes."""
        async for frames in hub.follow(self.run_id, self.seq, lines):
            self.raw += frames
            seq, self.last, _ = frames.decode().splitlines()[-1].split(" ", 2)
            self.seq = int(seq)

    @property
    def over(self) -> bool:
        """Tell whether the end was seen."""
        return self.last in TERMINAL_TYPES


class Story:
    """One server after the other over one database, and one run after the other of the same persona."""

    def __init__(self, directory: Path, database: Database) -> None:
        self.tools = {
            "http": Doing("http", "read_only"),
            "python": Doing("python", "idempotent"),
            "shell": Doing("shell", "unsafe", "high"),
        }
        self.mortal = Mortal()
        self._directory = directory
        self._database = database
        self._clock = FrozenClock()
        self._act: Acting | None = None

    @property
    def act(self) -> Acting:
        """Return the server that lives."""
        assert self._act is not None
        return self._act

    async def open(self) -> None:
        """Start a server."""
        scripts = {"story": STORY}
        tools: dict[str, Any] = {**self.tools}
        self._act = await acting(self._directory, self._clock, self._database, scripts, **tools)
        self.act.world.engine.start()

    async def close(self) -> None:
        """Let go of the server."""
        if self._act is not None:
            if self._act.world.opened:
                await self._act.world.crash()
            await self._act.close()

    async def told(self, *deaths: int) -> tuple[Witness, Thread, int]:
        """Tell the story in a run whose workers die at these waits; return who saw it, and how often it was lost.

        It is not where the worker had written that it parks, or its end, and died before it heard so.
        """
        named = {"persona_id": "teller"}
        known = self.act.world.rows("SELECT key FROM personas WHERE key = 'teller'")
        thread = await (self.act.thread(**named) if known else self.act.thread_for("story"))
        died, lost = 0, 0
        self.mortal.arm(next(iter(deaths), None), self._database.unwritable)
        witness = Witness((await self.act.start(thread, "Tell me a story")).run_id)
        while not await self._lived(witness):
            died += 1
            lost += await self._next(*deaths[died : died + 1])
        return witness, thread, lost

    async def _lived(self, witness: Witness) -> bool:
        """Let time pass until the run ends, or its worker dies."""
        following = asyncio.create_task(witness.follow(self.act.world.engine.hub))
        try:
            for _ in range(STUCK):
                if witness.over:
                    await settled(self.act.world)
                    return True
                await self._breathe()
                if self.mortal.dead.is_set():
                    return False
                self._clock.advance(0.02)
                if witness.last == "run.waiting_for_input":
                    about: dict[str, Any] = {
                        "mode": "answer",
                        "request_id": None,
                        "idempotency_key": None,
                        "asked_by": None,
                    }
                    reader = self.act.world.reader()
                    await self.act.agents.inputs.say(reader, ADMIN, witness.run_id, "The red one", **about)
            raise AssertionError(await self.act.world.types(witness.run_id))
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _breathe(self) -> None:
        """Return when the living have done what there is to do now; the dead are not waited for."""
        both = [asyncio.create_task(settled(self.act.world)), asyncio.create_task(self.mortal.dead.wait())]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in both:
            each.cancel()
        await asyncio.wait(both)

    async def _next(self, *death: int) -> int:
        """Bury the dead, and let another server take over what it had; return how many runs those were."""
        self._database.sever()
        await asyncio.sleep(0)
        self.mortal.let_go()
        await self.act.world.abandon()
        self.mortal.bury()
        await self.close()
        await self.open()
        self.mortal.arm(next(iter(death), None), self._database.unwritable)
        lost = len(self.act.world.rows("SELECT run_id FROM leases"))
        await self.act.world.reap(120)
        return lost


@pytest.fixture
async def story(database: Database, tmp_path: Path) -> AsyncIterator[Story]:
    made = Story(tmp_path / "data", database)
    with made.mortal:
        await made.open()
        yield made
        await made.close()


class Reading:
    """What is left of a run: how it reads, and what it did."""

    def __init__(self, events: list[Event], said: list[tuple[int, str, str]]) -> None:
        self.events = events
        self.said = said
        self.messages = fold(events).messages

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the data of all events of a type."""
        return [msgspec.json.decode(event.data or b"") for event in self.events if event.type == kind]

    @property
    def unknown(self) -> set[str]:
        """Return the calls of whose outcome the model was told that nobody knows it."""
        failed = [result for result in self.of("tool.result") if result.get("error")]
        return {result["tool_call_id"] for result in failed if result["error"]["code"] == OUTCOME_UNKNOWN}

    def transcript(self, unknown: set[str]) -> list[Any]:
        """Return what the model was told and said, but for the results of calls of unknown outcome."""
        return [(message.role, [_but(part, unknown) for part in message.parts]) for message in self.messages]

    @property
    def shown(self) -> list[tuple[str, str]]:
        """Return what a reader sees in the end: what was taken back is gone."""
        segments: dict[str, tuple[str, str]] = {}
        for event in self.events:
            data = msgspec.json.decode(event.data or b"{}")
            if event.type == "message.delta":
                channel, text = segments.get(data["segment_id"], (data["channel"], ""))
                segments[data["segment_id"]] = channel, text + data["content"]
            elif event.type == "message.reset":
                segments.pop(data["segment_id"], None)
        return list(segments.values())


def _but(part: Any, unknown: set[str]) -> Any:
    return part.tool_call_id if isinstance(part, ToolResult) and part.tool_call_id in unknown else part


async def read(story: Story, witness: Witness, thread: Thread) -> Reading:
    """Return what is left of a run, after what must hold of any."""
    world = story.act.world
    run = await world.run(witness.run_id)
    events = await world.events(witness.run_id)
    assert (run.state, run.spec.kind) == ("completed", AGENT), [event.type for event in events]
    await world.check_run(run)
    assert witness.raw == b"".join(map(lines, events)), "each event was shown once, in order, and none was missed"
    reading = Reading(events, await story.act.said(thread))
    asked = [each["llm_call_id"] for each in reading.of("llm.request")]
    paid = reading.of("usage.recorded")
    assert Counter(asked) == Counter(each["llm_call_id"] for each in paid), "each call of the model is settled once"
    assert run.usage.cost_microusd == sum(each["cost_microusd"] for each in paid)
    return reading


def compare(story: Story, run_id: str, reading: Reading, undisturbed: Reading, lost: int) -> None:
    """Check that a disturbed run reads as an undisturbed one."""
    assert len(reading.of("run.recovered")) == lost
    done = {name: Counter(key for key in tool.done if key.startswith(run_id)) for name, tool in story.tools.items()}
    assert set(done["shell"].values()) <= {1}, "what has side effects is done once"
    unsafe = {call["tool_call_id"] for call in undisturbed.of("tool.call") if call["tool_name"] == "shell"}
    assert reading.unknown <= unsafe, "only of what may not be done twice is the outcome unknown"
    assert len(reading.unknown) <= lost
    sure = {f"{run_id}:{ident}" for ident in unsafe - reading.unknown}
    assert sure <= set(done["shell"]), "what the model was told to be done was done"
    assert reading.transcript(reading.unknown) == undisturbed.transcript(reading.unknown)
    assert reading.shown == undisturbed.shown
    assert reading.said == undisturbed.said
    if not reading.unknown:
        assert reading.of("llm.request")[-1]["prompt"] == undisturbed.of("llm.request")[-1]["prompt"]


async def test_wherever_a_worker_dies_the_run_reads_as_if_it_had_not(story: Story):
    witness, thread, _ = await story.told()
    undisturbed = await read(story, witness, thread)
    assert len(undisturbed.of("llm.response")) == len(STORY.turns) == 10
    assert undisturbed.unknown == set()
    points = story.mortal.awaits
    assert points > 200, "a run waits often"
    unsure = 0
    for at in range(1, points, 1 if SOAK else points // POINTS):
        witness, thread, lost = await story.told(at)
        reading = await read(story, witness, thread)
        compare(story, witness.run_id, reading, undisturbed, lost)
        unsure += len(reading.unknown)
    assert unsure or not SOAK, "some die between the work and its result"
    await story.act.world.check()


@pytest.mark.parametrize("deaths", LIVES)
async def test_a_run_outlives_one_worker_after_the_other(story: Story, deaths: tuple[int, ...]):
    witness, thread, _ = await story.told()
    undisturbed = await read(story, witness, thread)
    witness, thread, lost = await story.told(*deaths)
    assert story.mortal.deaths == len(deaths)
    compare(story, witness.run_id, await read(story, witness, thread), undisturbed, lost)
    await story.act.world.check()
