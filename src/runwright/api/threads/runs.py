"""The routes of the runs of threads: start, list, do again; and what people say to runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from runwright.agents.inputs import Pending
from runwright.agents.orders import AgentOrder
from runwright.api import instants, sse
from runwright.api.context import Call
from runwright.api.idempotency import HEADERS, idempotency_key
from runwright.api.pages import Page
from runwright.api.routing import Reply, Routes
from runwright.api.slices import part
from runwright.api.sse import EventStream
from runwright.api.threads import schemas as wire
from runwright.api.threads.threads import NOWHERE, named_project
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.domain.thread import TextPart, UserPart
from runwright.domain.words import word_of
from runwright.engine.requests import Submitted
from runwright.engine.stream import Cut, Lagged

routes = Routes("threads")
MADE = {
    200: "The run that the idempotency key had made before; or, with `stream`, the stream of the run's events",
    404: "The thread, the persona or the route is not there",
    409: "Another run has its turn in the thread (`runs.thread_busy`), or the key was used otherwise",
}
NOTHING = wire.StartRunRequest()
AS_BEFORE = wire.RetryRequest()


@routes.post(
    "/v1/threads/{thread_id}/runs",
    scope="threads:write",
    status=201,
    headers=HEADERS,
    answers=MADE | {429: "The line of the thread is full"},
    summary="Start a run in a thread",
)
async def start_run(
    call: Call, thread_id: str, query: wire.StartQuery, body: wire.StartRunRequest = NOTHING
) -> wire.StartedRun | Reply[wire.StartedRun] | EventStream:
    """Start an agent in a thread; persona and route are looked for now, and pinned.

    It answers at once, with `wait` when the run has ended or so many seconds have passed, with `stream` by its events.
    """
    agents = call.services.agents
    thread = await agents.threads.find(call.actor, thread_id)
    project = await call.services.tenants.resolve_project(call.actor, thread.project_id)
    order = AgentOrder(
        route_id=body.route_id or None,
        persona_id=body.persona_id or None,
        model=body.model or None,
        input=_input(body.input),
        budget=body.budget,
        tools=body.tools,
        metadata=body.metadata,
        on_busy=body.on_busy,
        idempotency_key=idempotency_key(call),
    )
    about = {"request_id": call.request_id, "trace_id": call.trace_id}
    return await _answer(call, query, await agents.runs.start(call.actor, project, thread, order, **about))


@routes.post(
    "/v1/threads/{thread_id}:retry",
    scope="threads:write",
    status=201,
    headers=HEADERS,
    answers=MADE | {409: "The thread is busy (`runs.thread_busy`), or has no message (`threads.nothing_to_retry`)"},
    summary="Answer the last message again",
)
async def retry_thread(
    call: Call, thread_id: str, query: wire.StartQuery, body: wire.RetryRequest = AS_BEFORE
) -> wire.StartedRun | Reply[wire.StartedRun] | EventStream:
    """Take the assistant's last turn back and make its run again, with the original persona, route and model."""
    office = call.services
    thread = await office.agents.threads.find(call.actor, thread_id)
    project = await office.tenants.resolve_project(call.actor, thread.project_id)
    order = AgentOrder(
        route_id=body.route_id or None,
        persona_id=body.persona_id or None,
        model=body.model or None,
        budget=body.budget,
        tools=body.tools,
        idempotency_key=idempotency_key(call),
    )
    reader, about = office.engine.reader(call.actor), {"request_id": call.request_id, "trace_id": call.trace_id}
    made = await office.agents.runs.retry(reader, call.actor, project, thread, order, **about)
    return await _answer(call, query, made)


@routes.get("/v1/threads/{thread_id}/runs", scope="threads:read", summary="List the runs of a thread")
async def list_thread_runs(call: Call, thread_id: str, query: wire.ThreadRunsQuery) -> Page[wire.ThreadRun]:
    """List the runs of a thread, newest first."""
    office = call.services
    await office.agents.threads.find(call.actor, thread_id)
    window = query.window(office.settings, order="desc")
    run_ids = await office.agents.threads.runs(call.actor, thread_id, part(window, "run"))
    reader = office.engine.reader(call.actor)
    records = {record.run.run_id: record.run for record in await reader.records(run_ids[: window.limit])}
    shown = [_thread_run(records[run_id]) for run_id in run_ids[: window.limit] if run_id in records]
    return Page(shown, run_ids[window.limit - 1] if len(run_ids) > window.limit else None)


@routes.post(
    "/v1/runs/{run_id}/input",
    scope="threads:write",
    headers=HEADERS,
    answers={409: "The run does not wait for this (`runs.not_waiting`), has ended (`runs.not_active`), or waits for"
                  " an approval (`runs.approval_required`)"},
    summary="Answer what a run asks, or steer it",
)  # fmt: skip
async def send_input(call: Call, run_id: str, body: wire.InputRequest) -> wire.Accepted:
    """Say something to an agent run. Of several answers one is taken; what is no answer is 422 and the run waits on."""
    office = call.services
    await office.agents.inputs.say(
        office.engine.reader(call.actor),
        call.actor,
        run_id,
        body.content,
        mode=body.mode,
        request_id=body.request_id,
        idempotency_key=idempotency_key(call),
        asked_by=call.request_id,
    )
    return wire.Accepted(ok=True)


@routes.get("/v1/inputs", scope="threads:read", answers=NOWHERE, summary="List what runs ask")
async def list_inputs(call: Call, query: wire.InputsQuery) -> Page[wire.PendingInput]:
    """List the questions that wait for an answer, of a project or of all that the caller may see; newest run first."""
    window = query.window(call.services.settings, order="desc")
    project = await named_project(call, query.project_id)
    rows = await call.services.agents.inputs.page(call.actor, project, part(window, "run"))
    return Page.of(rows, window, _pending, lambda row: row.run_id)


def _input(given: str | tuple[UserPart, ...] | None) -> tuple[UserPart, ...]:
    if isinstance(given, str):
        return (TextPart(given),) if given else ()
    return given or ()


async def _answer(
    call: Call, query: wire.StartQuery, made: Submitted
) -> wire.StartedRun | Reply[wire.StartedRun] | EventStream:
    engine = call.services.engine
    if query.stream:
        return call.stream(_frames(call, made.run_id))
    if query.wait:
        async with call.departure() as gone:
            await _ended(call, made.run_id, query.wait, gone)
    run = (await engine.reader(call.actor).run(made.run_id)).run
    started = wire.StartedRun(
        run_id=run.run_id,
        trace_id=run.spec.trace_id,
        thread_id="" if run.spec.agent is None else run.spec.agent.thread_id,
        status=word_of(run),  # type: ignore[arg-type]
        idempotency_hit=made.hit,
    )
    return Reply(started, status=200 if made.hit else 201)


async def _frames(call: Call, run_id: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in call.services.engine.hub.follow(run_id, 0, _frame):
            yield chunk
    except Lagged as lagged:
        yield sse.lagged_frame(lagged.seq)
    except Cut:
        return  # a run that was made just now is not old; one that a key found may be: its stream says so


async def _ended(call: Call, run_id: str, wait_s: float, gone: asyncio.Event) -> None:
    """Return when the run has ended, the time is over, or the caller is gone."""

    async def follow() -> None:
        async for _ in call.services.engine.hub.follow(run_id, 0, _nothing):
            pass

    async def left() -> None:
        await gone.wait()

    following, leaving = asyncio.create_task(follow()), asyncio.create_task(left())
    try:
        await asyncio.wait({following, leaving}, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (following, leaving):
            task.cancel()
        await asyncio.gather(following, leaving, return_exceptions=True)


def _frame(event: Event) -> bytes:
    return sse.v1_frame(event)


def _nothing(event: Event) -> bytes:
    return b""


def _thread_run(run: Run) -> wire.ThreadRun:
    terms = run.spec.agent
    assert terms is not None
    return wire.ThreadRun(
        run_id=run.run_id,
        status=word_of(run),  # type: ignore[arg-type]
        created_at=instants.text(run.spec.created_at),
        thread_id=terms.thread_id,
        persona_id=terms.persona_id,
        route_id=terms.route_id,
        model=terms.model,
        trace_id=run.spec.trace_id,
        retry_of=terms.retry_of,
        finished_at=None if run.finished_at is None else instants.text(run.finished_at),
    )


def _pending(pending: Pending) -> wire.PendingInput:
    asked = pending.asked
    return wire.PendingInput(
        run_id=pending.run_id,
        request_id=asked.request_id,
        project_id=pending.project_id,
        thread_id=pending.thread_id,
        kind=asked.kind,
        prompt=asked.prompt,
        schema=asked.schema,
        tool_call_id=asked.tool_call_id,
        expires_at=asked.expires_at,
        created_at=instants.text(pending.created_at),
    )
