"""Runs as the runtime surface shows them: the list, the status, the cancel."""

from __future__ import annotations

from typing import Any

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.pages import Page
from runwright.api.routing import Reply, Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import run_schemas as wire
from runwright.domain.run import Run, State
from runwright.domain.words import WORDS, matches, shows, word_of
from runwright.engine.reader import Filter
from runwright.errors import InvalidRequest, InvalidTransition
from runwright.store.base import Record
from runwright.store.queries.runs import indexed

routes = Routes(tag="runtime")

STAGES: dict[State, str] = {
    "scheduled": "QUEUED",
    "queued": "QUEUED",
    "executing": "RUNNING",
    "waiting": "WAITING",
    "paused": "PAUSED",
    "completed": "DONE",
    "failed": "DONE",
    "cancelled": "DONE",
    "expired": "DONE",
}
AS_IT_IS = wire.RuntimeCancelRequest()


@addresses.get(
    routes, "", scope="runs:read", answers={404: "The project is not the caller's"}, summary="List runs of every kind"
)
async def list_runtime_runs(call: Call, query: wire.RuntimeRunsQuery) -> Page[wire.RuntimeRun]:
    """List runs, newest first: those of one project, or all that the caller sees."""
    office = call.services
    where: dict[str, Any] = {}
    if query.project_id is not None:
        where["project_id"] = (await office.tenants.resolve_project(call.actor, query.project_id)).project_id
    wanted = Filter(where=where)
    if query.status is not None:
        named = frozenset(shows(query.status) or ())
        if not named:
            raise InvalidRequest.at("status", f"is none of {', '.join(WORDS)}")

        def shown(record: Record) -> bool:
            return any(matches(record.run, each) for each in named)

        wanted = Filter(where=where, shown=named) if indexed(named) else Filter(where=where, keep=shown)
    window = query.window(office.settings, order="desc")
    reader = office.engine.reader(call.actor)
    listed = await reader.runs(wanted, bound=window.bound("run"), limit=window.limit, newest_first=window.newest_first)
    return Page([_view(record.run) for record in listed.records], listed.next_cursor, partial=listed.partial)


@addresses.get(routes, "/{run_id}/status", scope="runs:read", summary="Get where a run stands")
async def get_runtime_status(call: Call, run_id: str) -> wire.RuntimeRun:
    """Return where a run of any kind stands; its status is in the words of the surface that made it."""
    return _view((await call.services.engine.reader(call.actor).run(run_id)).run)


@addresses.post(
    routes,
    "/{run_id}/cancel",
    scope="runs:write",
    status=202,
    answers={200: "The run has ended already"},
    summary="Cancel a run of any kind",
)
async def cancel_runtime_run(
    call: Call, run_id: str, body: wire.RuntimeCancelRequest = AS_IT_IS
) -> Reply[wire.RuntimeRun]:
    """Ask a run to stop; its children follow. A run that has ended stays as it is, and that is no error."""
    control, reader = call.services.engine.control, call.services.engine.reader(call.actor)
    try:
        stopped = await control.stop(
            reader, call.actor, run_id, "cancel", reason=body.reason, request_id=call.request_id
        )
    except InvalidTransition:
        return Reply(_view((await reader.run(run_id)).run), status=200)
    return Reply(_view(stopped.run))


def _view(run: Run) -> wire.RuntimeRun:
    spec, agent = run.spec, run.spec.agent
    return wire.RuntimeRun(
        run_id=run.run_id,
        status=word_of(run),
        mode=None,
        runtime_profile=None,
        repo=None,
        ref=None,
        orchestrator_model=None if agent is None else agent.model,
        subagent_model=None,
        created_at=instants.text(spec.created_at),
        updated_at=instants.text(run.at),
        max_iterations=None,
        current_iteration=None,
        current_stage=STAGES[run.state],
        total_events=run.seq,
        kind=spec.kind,
        state=run.state,
        reason=run.reason,
        trace_id=spec.trace_id,
        started_at=_text(run.started_at),
        ended_at=_text(run.finished_at),
        queued_ms=run.queued_us // 1000,
        summaries=wire.Summaries(usage=_usage(run)),
        stop=_stop(run),
        last_event=wire.LastEvent(event_id=f"{run.run_id}.{run.seq}", seq=run.seq, ts=instants.text(run.at)),
        evidence=wire.Sealed(head_hash=run.hash.hex(), sealed=run.terminal),
    )


def _usage(run: Run) -> wire.UsageSummary:
    used, microusd = run.usage, None if run.usage.unpriced else run.usage.cost_microusd
    return wire.UsageSummary(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_tokens=used.cached_tokens,
        cost_microusd=microusd,
        cost_usd=None if microusd is None else microusd / 1_000_000,
    )


def _stop(run: Run) -> wire.Stop | None:
    if not run.terminal:
        return None
    return wire.Stop(code=(run.error_class or run.state).upper(), reason=run.reason, detail=run.error)


def _text(at: int | None) -> str | None:
    return None if at is None else instants.text(at)
