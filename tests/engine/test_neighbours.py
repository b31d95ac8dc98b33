"""Several processes on one PostgreSQL are one: by hints within milliseconds, and without a single hint, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.auth.tickets import Tickets
from runwright.client.handlers import Handler, job
from runwright.domain import outcome as o
from runwright.domain.commands import Append, Finish, Stop
from runwright.domain.job import Job, JobDefinition
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor, Cause
from runwright.engine import fleet, worker
from runwright.engine.calls import Said
from runwright.engine.packing import Saving
from runwright.errors import Conflict, Unauthenticated
from runwright.store.postgres import bus as bus_module
from runwright.telemetry import attach
from tests.domain.specimens import log_line
from tests.engine.nodes import OFTEN, SELDOM, Node, admin_of, introduced, opened
from tests.engine.world import ADMIN, PATIENCE_S, PROJECT, lines
from tests.postgres import empty_database, execute, new_database
from tests.store.observers import END_BUS
from tests.waiting import until

Cluster = Callable[..., AbstractAsyncContextManager[tuple[Node, ...]]]


@pytest.fixture
def url() -> Iterator[str]:
    """Return an empty database with the newest schema."""
    with new_database() as made:
        yield made


@pytest.fixture(params=["hints", "no hints"])
def cluster(request: pytest.FixtureRequest, url: str, tmp_path: Path, monkeypatch: Any) -> Iterator[Cluster]:
    """Return what opens nodes: they hear each other and hardly look, or hear nothing of each other and look often."""
    with ExitStack() as stack:
        if request.param == "hints":
            yield hinted(url, tmp_path, monkeypatch)
            return

        def deaf(*handlers: tuple[Handler[..., Any], ...], **settings: Any) -> AbstractAsyncContextManager[Any]:
            # NOTIFY stays in its database: a bus in one of its own hears itself and nobody else.
            return opened(
                *(
                    Node(url, tmp_path, each, listen=stack.enter_context(empty_database()), **OFTEN, **settings)
                    for each in handlers
                )
            )

        yield deaf


def hinted(url: str, directory: Path, monkeypatch: Any) -> Cluster:
    """Return what opens nodes where nothing but a hint leads anywhere within the patience of a test."""
    monkeypatch.setattr(bus_module, "HELLO_S", 0.05)  # so that they know each other soon
    monkeypatch.setattr(fleet, "LOOK_AGAIN_S", 600.0)
    monkeypatch.setattr(worker, "CLAIM_POLL_S", 600.0)
    return lambda *handlers, **settings: opened(
        *(Node(url, directory, each, listen=url, **SELDOM, **settings) for each in handlers)
    )


@pytest.fixture
def quick(url: str, tmp_path: Path, monkeypatch: Any) -> Cluster:
    """Return what opens nodes that hear each other."""
    return hinted(url, tmp_path, monkeypatch)


@pytest.fixture(autouse=True)
async def patience() -> AsyncIterator[None]:
    """Let no test wait for ever."""
    async with asyncio.timeout(3 * PATIENCE_S):
        yield


def a_job(slug: str = "greet", project: Any = PROJECT, **definition: Any) -> Job:
    """Return a job of the project that every node has the key of."""
    made = JobDefinition(name=slug, slug=slug, **definition)
    return Job(
        job_id=f"job_{slug}",
        org_id=project.org_id,
        project_id=project.project_id,
        version=1,
        job_version_id="jobv_1",
        definition=made,
        created_at=0,
        updated_at=0,
    )


@job(slug="greet")
async def greet(ctx: Any, payload: Any) -> dict[str, Any]:
    """Say something, and end."""
    for number in range(5):
        ctx.log(f"line {number}")
        await asyncio.sleep(0)
    return {"hello": payload.get("name")}


@job(slug="greet")
async def linger(ctx: Any, payload: Any) -> None:
    """Work until told to stop."""
    await asyncio.Event().wait()


async def say(node: Node, run: Run, text: str) -> None:
    """Append to the log of an executing run, by way of one node."""
    await node.engine.commit.apply(Append(run.run_id, run.lease_epoch, (log_line(text),)))


async def end(node: Node, run: Run) -> None:
    """End an executing run, by way of one node."""
    await node.engine.commit.apply(Finish(run.run_id, run.lease_epoch, o.Completed(), 0.5))


# --- streams ----------------------------------------------------------------------------------------------------------


async def test_a_run_made_on_one_node_and_executed_on_another_is_streamed_by_a_third(cluster: Cluster):
    async with cluster((), (), (greet,)) as (a, b, c):
        del c
        for number in range(3):
            run_id = await b.submit(a_job(), payload={"name": f"n{number}"})
            streamed = await a.follow(run_id)
            assert streamed == await a.whole(run_id)
            assert (await a.record(run_id)).run.state == "completed"


async def test_a_stream_has_no_gap_and_no_repeat_where_nodes_write_in_turn(cluster: Cluster):
    async with cluster((), (), ()) as nodes:
        run_id = await nodes[0].submit(a_job())
        run = await nodes[1].taken()
        followers = [node.follow(run_id, after) for node in nodes for after in (0, 2, 5)]
        for number in range(40):
            writers = [nodes[number % 3]] if number % 5 else list(nodes)
            await asyncio.gather(*(say(node, run, f"line {number}") for node in writers))
            if number % 7 == 0:
                followers.append(nodes[number % 2].follow(run_id))
                await nodes[number % 2].following(run_id)
        await end(nodes[2], run)
        events = [lines(event) for event in await nodes[0].store.events(run_id, 0, 1000)]
        for place, follower in enumerate(followers):
            after = (0, 2, 5)[place % 3] if place < 9 else 0
            assert await follower == b"".join(events[after:])
        assert all(node.engine.hub.channels == 0 for node in nodes)


async def test_a_stream_goes_on_after_the_connections_of_the_bus_were_killed(quick: Cluster, url: str):
    lost: list[str] = []
    detach = attach(lambda name, fields: lost.append(name), "bus.lost")
    try:
        async with quick((), ()) as (a, b):
            run_id = await b.submit(a_job())
            run = await b.taken()
            follower = a.follow(run_id)
            await a.following(run_id)
            execute(url, END_BUS)
            await say(b, run, "nobody is told of this")
            await until(lambda: len(lost) >= 2)
            await until(lambda: a.bus.connected and b.bus.connected)
            await until(lambda: a.engine.hub._channels[run_id].end == 3)
            await until(lambda: a.bus.peers and b.bus.peers)
            await end(b, run)
            assert await follower == await a.whole(run_id)
    finally:
        detach()


async def test_a_bus_that_does_not_hear_itself_connects_anew_and_says_what_to_do(
    url: str, tmp_path: Path, monkeypatch: Any
):
    told: list[str] = []
    detach = attach(lambda name, fields: told.append(fields["detail"]), "bus.lost")
    monkeypatch.setattr(bus_module, "NOTIFY", "SELECT $1::text, $2::text[]")
    monkeypatch.setattr(bus_module, "ECHO_S", 0.05)
    try:
        async with opened(Node(url, tmp_path, listen=url)):
            await until(lambda: any("RUNWRIGHT_DATABASE_LISTEN_URL" in detail for detail in told))
    finally:
        detach()


async def test_a_node_alone_sends_nothing_but_signs_of_life(url: str, tmp_path: Path):
    async with opened(Node(url, tmp_path, listen=url)) as (alone,):
        run_id = await alone.submit(a_job())
        assert not alone.bus._pending
        assert (await alone.record(run_id)).run.state == "queued"


# --- work and stops ---------------------------------------------------------------------------------------------------


async def test_a_claim_that_waits_on_one_node_is_woken_by_a_run_made_on_another(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        claiming = asyncio.create_task(a.claim(wait_s=PATIENCE_S))
        await until(lambda: a.engine.fleet._waiting)
        run_id = await b.submit(a_job())
        claimed = await claiming
        assert [attempt.run.run_id for attempt in claimed.attempts] == [run_id]


async def test_a_run_that_executes_on_another_node_is_cancelled(cluster: Cluster):
    async with cluster((), (linger,)) as (a, b):
        run_id = await a.submit(a_job())
        await until(lambda: run_id in b.engine.workers[0]._running)
        stopped = await a.engine.control.stop(
            a.engine.reader(ADMIN), ADMIN, run_id, "cancel", reason=None, request_id="req_2"
        )
        assert stopped.run.state == "cancelled"
        assert b'"confirmed":true' in await a.whole(run_id)


async def test_a_worker_that_waits_on_one_node_hears_once_of_a_stop_that_was_asked_for_on_another(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        run_id = await b.submit(a_job())
        await a.taken()
        claiming = asyncio.create_task(a.claim(wait_s=PATIENCE_S, count=0))
        await until(lambda: a.engine.fleet._waiting)
        await b.engine.commit.apply(Stop(run_id, "cancel", Cause(ADMIN.label)))
        assert [(stop.run_id, stop.kind) for stop in (await claiming).stops] == [(run_id, "cancel")]
        assert a.engine.neighbours is not None
        await a.engine.neighbours._once()
        assert (await a.claim(count=0)).stops == []
        attempt = await a.engine.fleet.attempt(run_id, 1)
        assert attempt.stop_requested == "cancel"
        await b.engine.commit.apply(Finish(run_id, 1, o.Stopped(), 0.5))
        async with asyncio.timeout(PATIENCE_S):
            while a.engine.fleet.stops.run_ids:  # the loop's own look may have read before that, and keep it after this
                await a.engine.neighbours._once()


async def test_a_queue_that_is_resumed_on_one_node_is_taken_from_on_another(cluster: Cluster):
    async with cluster((), (greet,)) as (a, b):
        await a.engine.queues.pause(ADMIN, "default")
        run_id = await a.submit(a_job())
        await asyncio.wait_for(b.engine.commit.idle(), PATIENCE_S)
        await a.engine.queues.resume(ADMIN, "default")
        assert await a.follow(run_id) == await a.whole(run_id)


async def test_a_dependency_that_is_made_on_one_node_holds_runs_of_another_and_one_that_is_deleted_lets_them_go(
    cluster: Cluster,
):
    async with cluster((), (), dependency_poll_s=600) as (a, b):
        made = [(await a.engine.jobs.create(ADMIN, PROJECT, a_job(slug).definition)).value for slug in ("up", "down")]
        up, down = (change.job for change in made)
        free = await b.submit(down)
        held = (await a.engine.dependencies.create(ADMIN, down, up, {})).value
        await until(lambda: down.job_id in b.engine.known.jobs)
        waiting = await b.submit(down)
        assert ((await b.record(free)).run.state, (await b.record(waiting)).run.reason) == ("queued", "dependency")
        await a.engine.dependencies.delete(ADMIN, down, held.dependency_id)
        await until(lambda: down.job_id not in b.engine.known.jobs)
        await until(lambda: b.record(waiting), lambda record: record.run.state == "queued")


async def test_a_worker_that_is_drained_on_one_node_takes_no_more_on_another(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        workforce = b.engine.workforce
        await workforce.enrol(introduced("wrk_1"))
        await a.engine.workforce.drain(ADMIN, "wrk_1")
        await until(lambda: workforce.draining("wrk_1"))


# --- what processes keep in memory ------------------------------------------------------------------------------------


async def test_a_project_made_on_one_node_is_used_on_another_and_its_runs_are_read_on_a_third(cluster: Cluster):
    async with cluster((), (), ()) as (a, b, c):
        actor = await founded(a)
        made = (await a.tenants.projects.create(actor, slug="new", name="New")).value
        project = await b.tenants.resolve_project(actor, "new")
        assert project == made
        run_id = await b.submit(a_job(project=project), project, payload={"a": 1})
        reader = c.engine.reader(actor)
        assert reader.payload(await reader.run(run_id)) == {"a": 1}
        changed = await c.tenants.projects.update(actor, "new", {"name": "Newer"})
        await until(lambda: b.tenants.resolve_project(actor, "new"), lambda found: found == changed)


async def test_a_job_changed_on_one_node_is_seen_on_another(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        actor = await founded(a)
        project = await a.tenants.resolve_project(actor, None)
        made = (await a.engine.jobs.create(actor, project, JobDefinition(name="x", slug="x"))).value.job
        assert await b.engine.jobs.directory.find(actor, "x", project) == made
        changed = (await a.engine.jobs.update(actor, made, {"description": "another"})).job
        await until(lambda: b.engine.jobs.directory.find(actor, "x", project), lambda found: found == changed)


async def test_a_key_revoked_on_one_node_is_refused_on_another_at_once(quick: Cluster):
    async with quick((), ()) as (a, b):
        actor = await founded(a)
        minted = (await a.tenants.keys.create(actor, name="k", scopes=["runs:read"], service=True)).value
        authenticator = b.tenants.authenticator
        assert (await authenticator.authenticate(minted.token)).key_id == minted.key.key_id
        await a.tenants.keys.revoke(actor, minted.key.key_id)
        await until(lambda: authenticator.believed(minted.token) is None)


async def founded(node: Node) -> Actor:
    """Found an organization and return its administrator."""
    everybody = Actor(kind="system", id="server", org_id="org_1", scopes=frozenset({"admin"}))
    made = (await node.tenants.organizations.create(everybody, slug="acme", name="Acme")).value
    return admin_of(made.organization.org_id)


async def test_a_ticket_of_one_node_opens_its_path_on_another(quick: Cluster):
    async with quick((), ()) as (a, b):
        one, other = (Tickets(node.store, node.settings, node.clock) for node in (a, b))
        token, _ = await one.issue(ADMIN, "/v1/runs")
        used = await other.enter(token, "/v1/runs")
        assert used.actor == ADMIN
        await one.keep(used)
        await other.leave(used)
        with pytest.raises(Unauthenticated):
            await other.enter(token, "/v1/jobs")


# --- the feed ---------------------------------------------------------------------------------------------------------


async def test_the_feed_shows_the_changes_of_other_nodes_and_says_when_it_may_have_missed_some(
    quick: Cluster, url: str
):
    async with quick((), ()) as (a, b):
        news: asyncio.Queue[Any] = asyncio.Queue()

        async def read() -> None:
            async for each in a.engine.feed.follow(ADMIN.org_id, None, lambda run: f"{run.state};".encode()):
                news.put_nowait(each)

        reading = asyncio.create_task(read())
        await until(lambda: a.engine.feed.channels)
        await b.submit(a_job())
        assert (await news.get()).frames == b"queued;"
        await end(b, await b.taken())
        shown = b""
        while not shown.endswith(b"completed;"):
            shown += (await news.get()).frames
        execute(url, END_BUS)
        while not (await news.get()).missed:
            pass
        reading.cancel()


# --- workers that talk to any node ------------------------------------------------------------------------------------


async def test_an_append_that_is_sent_again_to_another_node_is_written_once(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        run_id = await a.submit(a_job())
        await a.taken()

        async def append(node: Node, number: int) -> None:
            attempt = await node.engine.fleet.attempt(run_id, 1)
            await node.engine.fleet.append(attempt, [Saving([Said("log", {"n": number}, "info", str(number))])], number)

        for number in range(1, 13):
            first, second = (a, b) if number % 3 else (b, a)
            await append(first, number)
            await append(second, number)
            await append(first, number)
        await asyncio.gather(*(append(node, 13) for node in (a, b, a, b)))
        told = [event.message for event in await a.store.events(run_id, 0, 1000) if event.type == "log"]
        assert told == [str(number) for number in range(1, 14)]


async def test_the_pieces_of_a_stream_may_come_by_any_node(cluster: Cluster):
    async with cluster((), ()) as (a, b):
        run_id = await a.submit(a_job())
        await a.taken()
        text = "before hunter2-the-secret after hunt and hunter2-the-"
        for place, piece in enumerate(text[at : at + 5] for at in range(0, len(text), 5)):
            node = (a, b)[place % 2]
            await node.engine.calls.stream(await node.engine.fleet.attempt(run_id, 1), piece, "s", done=False)
        await a.engine.fleet.finish(await a.engine.fleet.attempt(run_id, 1), o.Completed())
        events = await a.store.events(run_id, 0, 1000)
        chunks = [msgspec.json.decode(event.data or b"{}")["chunk"] for event in events if event.type == "stream.chunk"]
        assert "".join(chunks).replace("[redacted:known]", "*") == "before * after hunt and hunter2-the-"


async def test_what_a_command_prints_by_any_node_has_one_digest_one_count_and_one_limit(cluster: Cluster):
    async with cluster((), (), terminal_command_max_bytes=40) as (a, b):
        run_id = await a.submit(a_job())
        await a.taken()

        async def tell(node: Node, type_: str, **data: Any) -> None:
            attempt = await node.engine.fleet.attempt(run_id, 1)
            await node.engine.fleet.append(attempt, [Saving([Said(type_, {"command_id": "c", **data})])])

        await tell(a, "terminal.command_started", command=["sh"])
        text = "one hunter2-the-secret two three four five six seven eight"
        for place, at in enumerate(range(0, len(text), 7)):
            await tell((a, b)[place % 2], "terminal.output", chunk=text[at : at + 7])
        await tell(b, "terminal.command_ended", exit_code=0)
        events = await a.store.events(run_id, 0, 1000)
        told = [(event.type, msgspec.json.decode(event.data or b"{}")) for event in events]
        printed = "".join(data["chunk"] for type_, data in told if type_ == "terminal.output")
        (ended,) = [data for type_, data in told if type_ == "terminal.command_ended"]
        assert printed == text[:40].replace("hunter2-the-secret", "[redacted:known]")
        assert ended["sha256"] == sha256(printed.encode()).hexdigest()
        assert (ended["output_bytes"], ended["dropped_bytes"]) == (len(printed), len(text) - 40)
        assert [type_ for type_, _ in told].count("terminal.gap") == 1


async def test_an_append_under_an_old_number_of_the_log_is_refused(quick: Cluster):
    async with quick(()) as (a,):
        run_id = await a.submit(a_job())
        run = await a.taken()
        with pytest.raises(Conflict, match="another"):
            await a.engine.commit.apply(Append(run_id, 1, (log_line("x"),), after=(run.seq - 1, run.at)))
        assert (await a.record(run_id)).run.seq == run.seq
