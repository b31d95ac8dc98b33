"""A secret of the tenant that comes in pieces reaches nobody: no stream, event, message, report, log line or span."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runwright import telemetry
from runwright.agents.providers.scripted import Script, Turn
from runwright.agents.tools.port import Result, Said, Scene
from runwright.clock import FrozenClock
from runwright.domain.tools import Ready
from runwright.errors import ProviderRejected, ProviderUnavailable
from runwright.observability.spans import Spans, TraceIds
from tests.engine.acting import Acting, Doing, acting, calling, says
from tests.engine.databases import Database
from tests.engine.test_agent_loop import ended
from tests.engine.world import World, lines, settled
from tests.waiting import until

"""What is said is redacted before it is stored; `tests/acceptance` looks into both."""


SECRET = "hunter2-the-secret"
PLACES = range(1, len(SECRET))
"""Wherever it can be cut in two."""


def turn(at: int) -> Turn:
    """Return an answer that says the secret in two pieces and as an argument, and asks for it in two outputs."""
    halves = (calling("http", f"a{at}", name=f"{at} first"), calling("http", f"b{at}", name=f"{at} second"))
    whole = calling("http", f"c{at}", name=f"it-is-{SECRET}")
    return says(
        "I say ", SECRET[:at], SECRET[at:], " once. ", calls=(*halves, whole), thinking=(SECRET[:at], SECRET[at:])
    )


SCRIPTS = {
    "tells": Script(turns=(*map(turn, PLACES), says("That was ", SECRET[:9], SECRET[9:]))),
    "is cut off": Script(turns=(says("It is ", SECRET[:12], SECRET[12:15]),)),
    "rests": Script(turns=(Turn(text=("Good ", "morning, hunter", "2-the-sec", "ret", " indeed", "."), delay_s=1.0),)),
    "hi": Script(turns=(says("Hi."),)),
}
Opener = Callable[..., Awaitable[Acting]]


class Halves(Doing):
    """Says the beginning of the secret, or its end, as its calls ask for; some as a text, some as an object."""

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Say it."""
        self.made.append(call.arguments)
        at, _, half = call.arguments["name"].partition(" ")
        if not half:
            return Said("nothing")
        said = f"Once {SECRET[: int(at)]}" if half == "first" else f"{SECRET[int(at) :]} more"
        return Said(said if int(at) % 2 else {"output": said, "exit_code": 0})


class Overheard:
    """Everything that this process tells about itself: reports, measurements, log lines, spans."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        self._log = caplog
        self._told: list[str] = []
        self._spans = InMemorySpanExporter()
        provider = TracerProvider(id_generator=TraceIds(), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self._traced = Spans(provider)
        self._detach = telemetry.attach(lambda name, fields: self._told.append(f"{name} {dict(fields)!r}"))

    def close(self) -> None:
        self._detach()
        self._traced.close()

    @property
    def all(self) -> Iterable[str]:
        spans = [
            f"{span.name} {dict(span.attributes or {})} {span.events}" for span in self._spans.get_finished_spans()
        ]
        assert spans, "an attempt is a span"
        return [*self._told, *spans, self._log.text]


@pytest.fixture
def overheard(caplog: pytest.LogCaptureFixture) -> Any:
    made = Overheard(caplog)
    yield made
    made.close()


@pytest.fixture
async def opened(database: Database, tmp_path: Path) -> AsyncIterator[Opener]:
    """Return what opens a world that executes agent runs by these scripts."""
    made: list[Acting] = []

    async def opening(trouble: Iterable[Any] = ()) -> Acting:
        http = Halves("http", "read_only")
        act = await acting(tmp_path / "data", FrozenClock(), database, SCRIPTS, http, trouble=[*trouble])
        made.append(act)
        act.world.engine.start()
        return act

    yield opening
    for act in made:
        await act.world.crash()
        await act.close()


async def streamed(world: World, run_id: str) -> bytes:
    """Return what a follower of a run is sent, to its end."""
    return b"".join([chunk async for chunk in world.engine.hub.follow(run_id, 0, lines)])


async def data(act: Acting, run_id: str, type: str) -> list[dict[str, Any]]:
    return [msgspec.json.decode(e.data or b"") for e in await act.world.events(run_id) if e.type == type]


async def test_cut_anywhere_over_two_chunks_or_two_outputs_it_reaches_nobody(opened: Opener, overheard: Overheard):
    act = await opened()
    thread = await act.thread_for("tells")
    made = await act.start(thread, "What is it?")
    following = asyncio.create_task(streamed(act.world, made.run_id))
    run = await ended(act, made.run_id)
    assert run.state == "completed"
    assert len(act.http.made) == 3 * len(PLACES), "each cut was played"
    spoken: dict[str, str] = {}
    for delta in await data(act, made.run_id, "message.delta"):
        spoken[delta["segment_id"]] = spoken.get(delta["segment_id"], "") + delta["content"]
    assert len(spoken) == 2 * len(PLACES) + 1
    outputs = [each["result"] for each in await data(act, made.run_id, "tool.result")]
    texts = [each["output"] if isinstance(each, dict) else each for each in outputs]
    nobody = [
        (await following).decode(),
        *spoken.values(),
        *("".join(pair) for pair in pairwise(texts)),
        *(words for _, _, words in await act.said(thread)),
        *overheard.all,
        *(f"{event.message} {event.data!r}" for event in await act.world.events(made.run_id)),
        *(f"{each.value!r}" for each in await act.world.reader().values(await act.world.record(made.run_id), "prompt")),
    ]
    assert [text for text in nobody if SECRET in text] == []
    assert [each["arguments"] for each in await data(act, made.run_id, "tool.call")][2] == {
        "name": "it-is-[redacted:known]"
    }
    assert SECRET.encode() not in act.world.database.content()
    completed = await act.world.data(made.run_id, "run.completed")
    assert completed["output"] == "That was [redacted:known]"


async def test_an_answer_that_is_cut_off_within_it_says_no_larger_part_of_it(opened: Opener):
    act = await opened()
    thread = await act.thread_for("is cut off")
    made = await act.start(thread, "What is it?")
    await ended(act, made.run_id)
    (whole,) = await data(act, made.run_id, "message.completed")
    shown = "".join(each["content"] for each in await data(act, made.run_id, "message.delta"))
    assert shown == whole["content"] == (await act.said(thread))[-1][2] == "It is [redacted:known]"
    assert SECRET[:12].encode() not in act.world.database.content()


@pytest.mark.parametrize(
    "trouble",
    [
        [ProviderUnavailable(f"The key {SECRET} is busy.", reason="overloaded")] * 5,
        [ProviderRejected(f"Nobody knows {SECRET}.", reason="request")],
    ],
)
async def test_what_a_provider_says_of_its_troubles_is_told_without_it(opened: Opener, overheard: Overheard, trouble):
    act = await opened(trouble)
    made = await act.start(await act.thread_for("hi"), "Hello")
    assert (await ended(act, made.run_id)).state == "failed"
    failed = await act.world.data(made.run_id, "run.failed")
    assert "[redacted:known]" in failed["message"]
    log = b"".join(event.data or b"" for event in await act.world.events(made.run_id))
    assert SECRET not in (await streamed(act.world, made.run_id) + log).decode()
    assert [text for text in overheard.all if SECRET in text] == []
    assert SECRET.encode() not in act.world.database.content()


async def test_words_are_shown_as_they_come_and_only_the_beginning_of_a_secret_is_held_back(opened: Opener):
    act = await opened()
    made = await act.start(await act.thread_for("rests"), "Hello")
    await until(lambda: act.world.rows("SELECT seq FROM run_events WHERE type = 'llm.request'"))
    await settled(act.world)
    seen = []
    for _ in range(6):
        for seconds in (1.0, 0.025):  # the model's next piece, and a flush
            act.world.clock.advance(seconds)
            await settled(act.world)
        seen.append("".join(each["content"] for each in await data(act, made.run_id, "message.delta")))
    marked = "Good morning, [redacted:known]"
    assert seen == ["Good ", "Good morning, ", "Good morning, ", marked, f"{marked} indeed", f"{marked} indeed."]
