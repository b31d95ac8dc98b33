"""What attempts write reaches the log: batched by time and bytes, redacted first, merged without loss, in order."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run
from runwright.engine.emitter import Buffer, Emitter, Packed
from runwright.engine.requests import Committed
from runwright.errors import Error, InvalidRequest, StaleLease, StoreUnavailable, TooLarge
from tests.engine.world import World, settled
from tests.waiting import until

SECRET = "hunter2-the-secret"


class Note(msgspec.Struct):
    """What a job writes."""

    type: str
    data: dict[str, Any] = {}
    level: Any = "info"
    message: str = ""


def line(said: str) -> Note:
    return Note("log", {}, "info", said)


def chunk(text: str, stream_id: str = "default", done: bool = False) -> Note:
    return Note("stream.chunk", {"chunk": text, "stream_id": stream_id, "done": done})


def words(text: str) -> Note:
    return Note("message.delta", {"content": text, "channel": "final", "segment_id": "s"})


class Pen:
    """An attempt's end of an emitter: a leased run, its buffer, and what it was told of losses."""

    def __init__(self, world: World, run: Run, emitter: Emitter) -> None:
        self.world = world
        self.run = run
        self.emitter = emitter
        self.losses: list[Error] = []
        self.buffer = Buffer(run.run_id, run.spec.project_id, run.lease_epoch, self.losses.append)

    def write(self, *notes: Note) -> None:
        for note in notes:
            self.emitter.emit(self.buffer, note)

    async def lines(self) -> list[str]:
        return [event.message for event in await self.world.events(self.run.run_id) if event.type == "log"]

    async def chunks(self) -> list[dict[str, Any]]:
        events = await self.world.events(self.run.run_id)
        return [msgspec.json.decode(event.data or b"") for event in events if event.type == "stream.chunk"]

    async def said(self) -> list[str]:
        events = await self.world.events(self.run.run_id)
        told = [msgspec.json.decode(event.data or b"") for event in events if event.type == "message.delta"]
        return [each["content"] for each in told]

    async def flushed(self) -> None:
        """Let the flush time pass, and the flush take place."""
        await settled(self.world)
        self.world.clock.advance(0.025)
        await settled(self.world)


async def pen_of(world: World, **options: Any) -> Pen:
    await world.submit(world.job())
    emitter = Emitter(world.engine.commit, world.engine.vault.redactors, world.clock, **options)
    return Pen(world, (await world.take())[0], emitter)


@pytest.fixture
async def pen(world: World) -> Pen:
    return await pen_of(world)


# --- terminals --------------------------------------------------------------------------------------------------------


async def test_the_output_of_a_process_is_redacted_by_stream_as_one_text(pen: Pen):
    pieces = [("stdout", f"a {SECRET[:5]}"), ("stderr", "b"), ("stdout", f"{SECRET[5:]} c"), ("stderr", "d")]
    for stream, text in pieces:
        pen.write(Note("terminal.output", {"stream": stream, "chunk": text}))
    pen.write(chunk("a stream of that name", "stdout"))
    await pen.world.engine.commit.apply(
        c.Finish(pen.run.run_id, pen.run.lease_epoch, o.Completed(), 0.5, pen.emitter.close(pen.buffer))
    )
    events = await pen.world.events(pen.run.run_id)
    told = [msgspec.json.decode(event.data or b"") for event in events if event.type == "terminal.output"]
    assert "".join(each["chunk"] for each in told if each["stream"] == "stdout") == "a [redacted:known] c"
    assert "".join(each["chunk"] for each in told if each["stream"] == "stderr") == "bd"
    assert [each["chunk"] for each in await pen.chunks()] == ["a stream of that name"]


# --- batching ---------------------------------------------------------------------------------------------------------


async def test_records_wait_for_others_until_the_flush_time(pen: Pen):
    pen.write(line("one"))
    await settled(pen.world)
    pen.world.clock.advance(0.024)
    pen.write(line("two"))
    await settled(pen.world)
    assert await pen.lines() == []
    pen.world.clock.advance(0.001)
    await until(lambda: pen.world.rows("SELECT * FROM run_events WHERE type = 'log'"))
    assert await pen.lines() == ["one", "two"]
    assert len({event.created_at for event in (await pen.world.events(pen.run.run_id))[-2:]}) == 1


async def test_many_bytes_do_not_wait(world: World):
    pen = await pen_of(world, flush_bytes=1000)
    pen.write(line("x" * 900))
    await settled(world)
    assert await pen.lines() == []
    pen.write(line("y" * 100))
    await settled(world)
    assert [len(text) for text in await pen.lines()] == [900, 100]


async def test_words_of_a_model_wait_for_others_only_where_some_were_just_written(world: World):
    pen = await pen_of(world)
    pen.buffer = Buffer(pen.run.run_id, pen.run.spec.project_id, pen.run.lease_epoch, pen.losses.append, "agent")
    pen.write(words("Once upon "))
    await settled(world)
    assert await pen.said() == ["Once upon "]
    pen.write(words("a time "))
    await settled(world)
    pen.write(words("there was "))
    world.clock.advance(0.024)
    await settled(world)
    assert await pen.said() == ["Once upon "]
    world.clock.advance(0.001)
    await settled(world)
    assert await pen.said() == ["Once upon ", "a time there was "]
    world.clock.advance(0.025)
    pen.write(words("a king "))
    await settled(world)
    assert await pen.said() == ["Once upon ", "a time there was ", "a king "]


async def test_words_that_come_while_others_are_being_written_wait_for_the_flush_time_however_long(world: World):
    pen = await pen_of(world)
    pen.buffer = Buffer(pen.run.run_id, pen.run.spec.project_id, pen.run.lease_epoch, pen.losses.append, "agent")
    more = [words("a time ")]

    def slowly(done: Committed) -> None:
        world.clock.advance(0.03)
        pen.write(*(more.pop() for _ in more[:1]))

    world.engine.commit.listeners.append(slowly)
    pen.write(words("Once upon "))
    await settled(world)
    assert (await pen.said(), more) == (["Once upon "], [])
    world.clock.advance(0.025)
    await settled(world)
    assert await pen.said() == ["Once upon ", "a time "]


async def test_the_records_of_many_attempts_share_a_transaction(world: World):
    pens = [await pen_of(world)]
    for _ in range(9):
        pens.append(await pen_of(world))
        pens[-1].emitter = pens[0].emitter
    transactions: list[object] = []
    world.engine.commit.listeners.append(transactions.append)
    for number, pen in enumerate(pens):
        pen.write(line(f"line {number}"))
    await pens[0].flushed()
    assert [await pen.lines() for pen in pens] == [[f"line {number}"] for number in range(10)]
    assert len(transactions) == 1


async def test_a_save_takes_along_what_waited_before_it_and_is_durable(pen: Pen):
    pen.write(line("before"))
    value = c.Value("output", "k", b"sealed")
    await pen.emitter.save(pen.buffer, Packed([pen.emitter.draft("proj_1", line("saved"))], [value], [], {}))
    assert await pen.lines() == ["before", "saved"]
    assert [stored.sealed for stored in await pen.world.store.values(pen.run.run_id, "output")] == [b"sealed"]
    await pen.flushed()
    assert await pen.lines() == ["before", "saved"]


async def test_the_last_records_go_with_the_finish(pen: Pen):
    pen.write(line("last"), chunk("tail"))
    drafts = pen.emitter.close(pen.buffer)
    await pen.world.finish(pen.run, o.Completed(), drafts=drafts)
    assert (await pen.world.types(pen.run.run_id))[2:] == ["log", "stream.chunk", "run.completed"]
    await pen.flushed()
    assert pen.losses == []
    await pen.world.check()


async def test_too_much_that_waits_is_refused_and_what_was_taken_is_kept(world: World):
    pen = await pen_of(world, buffer_max_bytes=500)
    pen.write(line("x" * 600))
    with pytest.raises(TooLarge):
        pen.write(line("more"))
    await pen.flushed()
    pen.write(line("room again"))
    await pen.flushed()
    assert [text[:4] for text in await pen.lines()] == ["xxxx", "room"]


@pytest.mark.parametrize(
    ("note", "code"),
    [
        (Note("run.completed"), "events.type"),
        (Note("run.created"), "events.type"),
        (Note("no.such.type"), "events.type"),
        (Note("log", {}, "shout"), "events.level"),
        (Note("stream.chunk", {"chunk": "x", "stream_id": "\0message\0final"}), "events.data"),
    ],
)
async def test_a_job_cannot_write_what_is_not_its_own(pen: Pen, note: Note, code: str):
    with pytest.raises(InvalidRequest) as caught:
        pen.write(note)
    assert caught.value.code == code


# --- losses and outages -----------------------------------------------------------------------------------------------
async def test_an_attempt_without_a_lease_is_told_and_its_neighbours_are_not(world: World):
    lost, well = await pen_of(world), await pen_of(world)
    well.emitter = lost.emitter
    await world.finish(lost.run, o.Released())
    lost.write(line("late"))
    well.write(line("fine"))
    await well.flushed()
    assert [type(loss) for loss in lost.losses] == [StaleLease]
    assert (well.losses, await well.lines(), await lost.lines()) == ([], ["fine"], [])


async def test_records_that_break_a_transaction_hurt_no_other_attempt(world: World):
    broken, well = await pen_of(world), await pen_of(world)
    well.emitter = broken.emitter
    poison = msgspec.structs.replace(broken.emitter.draft("proj_1", line("fine")), message="\ud800")
    broken.write(line("with it"))
    broken.buffer.add(poison)
    well.write(line("fine"))
    await well.flushed()
    assert len(broken.losses) == 1
    assert (well.losses, await well.lines(), await broken.lines()) == ([], ["fine"], [])


async def test_records_outlive_an_outage_of_the_store_in_their_order(pen: Pen):
    pen.write(line("one"))
    with pen.world.database.unwritable():
        await pen.flushed()
        assert pen.losses == []
        pen.write(line("two"))
    await pen.emitter.save(pen.buffer, Packed([pen.emitter.draft("proj_1", line("three"))], [], [], {}))
    assert await pen.lines() == ["one", "two", "three"]
    pen.world.clock.advance(1)
    await settled(pen.world)
    await pen.flushed()
    assert await pen.lines() == ["one", "two", "three"]


async def test_records_that_come_while_a_flush_fails_come_after_it(pen: Pen):
    pen.write(line("one"))
    await settled(pen.world)
    with pen.world.database.unwritable():
        pen.world.clock.advance(0.025)
        await until(lambda: not pen.buffer.drafts)  # the flush has taken it, and does not know yet that it fails
        pen.write(line("two"))
        await settled(pen.world)
    await pen.emitter.save(pen.buffer, Packed([pen.emitter.draft("proj_1", line("three"))], [], [], {}))
    assert await pen.lines() == ["one", "two", "three"]


async def test_a_flush_is_tried_again_when_the_store_is_back(pen: Pen):
    pen.write(line("one"))
    with pen.world.database.unwritable():
        await pen.flushed()
    pen.world.clock.advance(0.2)
    await settled(pen.world)
    await pen.flushed()
    assert (await pen.lines(), pen.losses) == (["one"], [])


async def test_a_save_waits_for_the_store_as_long_as_a_lease_may_live(world: World):
    pen = await pen_of(world, patience_s=30)
    with world.database.unwritable():
        saving = asyncio.create_task(
            pen.emitter.save(pen.buffer, Packed([pen.emitter.draft("proj_1", line("one"))], [], [], {}))
        )
        await until(lambda: world.clock.sleepers)
    world.clock.advance(0.2)
    await saving
    assert await pen.lines() == ["one"]
    with world.database.unwritable():
        saving = asyncio.create_task(
            pen.emitter.save(pen.buffer, Packed([pen.emitter.draft("proj_1", line("two"))], [], [], {}))
        )
        await until(lambda: world.clock.sleepers)
        world.clock.advance(31)
        with pytest.raises(StoreUnavailable):
            await saving
    assert await pen.lines() == ["one"]


# --- redaction --------------------------------------------------------------------------------------------------------


async def test_nothing_secret_reaches_the_log(pen: Pen):
    pen.write(
        line(f"the password is {SECRET}"),
        Note("log", {"nested": [{"deep": SECRET}], SECRET: 1}, "info", "data"),
        Note("run.progress", {"percent": 5, "message": SECRET}, "info", SECRET),
        chunk(f"streamed {SECRET} text", stream_id=SECRET),
        chunk("", stream_id=SECRET, done=True),
    )
    await pen.flushed()
    events = await pen.world.events(pen.run.run_id)
    assert all(SECRET not in event.message and SECRET.encode() not in (event.data or b"") for event in events)
    assert sum(b"[redacted:" in (event.data or b"") or "[redacted:" in event.message for event in events) == 4
    await pen.world.check()


async def test_a_secret_cut_between_two_flushes_is_found(pen: Pen):
    for piece in (f"before {SECRET[:7]}", f"{SECRET[7:]} after"):
        pen.write(chunk(piece))
        await pen.flushed()
    pen.write(chunk("", done=True))
    await pen.flushed()
    assert "".join(each["chunk"] for each in await pen.chunks()) == "before [redacted:known] after"


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_neighbouring_pieces_of_a_stream_become_one_event(pen: Pen):
    pen.write(*(chunk(text) for text in ("1 ", "2 ", "3 ")), chunk("4 ", "other"), chunk("5 ", "\1"))
    await pen.flushed()
    assert await pen.chunks() == [
        {"chunk": "1 2 3 ", "stream_id": "default", "done": False},
        {"chunk": "4 ", "stream_id": "other", "done": False},
        {"chunk": "5 ", "stream_id": "\1", "done": False},
    ]


async def test_the_end_of_a_stream_is_told_once_and_a_new_one_may_begin(pen: Pen):
    pen.write(chunk("1 "), chunk("2 ", done=True), chunk("3 "))
    await pen.flushed()
    assert [(each["chunk"], each["done"]) for each in await pen.chunks()] == [("1 2 ", True), ("3 ", False)]


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["default", "err"]),
        st.text(st.sampled_from("rw_aA1b2 -hunter\nöé😀"), max_size=30)
        | st.sampled_from([SECRET, SECRET[:8], SECRET[8:]]),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=30, suppress_health_check=list(HealthCheck))
@given(PIECES)
def test_merged_streams_lose_nothing_and_add_nothing_wherever_they_are_cut(database, tmp_path, pieces):
    async def scenario() -> None:
        world = await World(tmp_path, FrozenClock(), (), database).open()
        pen = await pen_of(world)
        for stream_id, text, flush in pieces:
            pen.write(chunk(text, stream_id))
            if flush:
                await pen.flushed()
        await world.finish(pen.run, o.Completed(), drafts=pen.emitter.close(pen.buffer))
        told = await pen.chunks()
        for stream_id in ("default", "err"):
            whole = "".join(text for stream, text, _ in pieces if stream == stream_id)
            got = "".join(each["chunk"] for each in told if each["stream_id"] == stream_id)
            assert got == Redactor([SECRET]).text(whole)
        await world.check()
        await world.close()

    asyncio.run(scenario())
