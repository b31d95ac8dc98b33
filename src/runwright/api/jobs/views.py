"""Records to wire shapes: names, words and units of the jobs surface."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from runwright.api import instants
from runwright.api.jobs import run_schemas as wire
from runwright.domain import run as domain
from runwright.domain.agent_events import UsageRecorded
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.amendments import Exchanged
from runwright.domain.events import Event
from runwright.domain.job_events import ToolCalled, UsageReported
from runwright.domain.money import usd
from runwright.domain.price import credits_used
from runwright.domain.words import word_of
from runwright.engine.calls import SOURCE
from runwright.engine.reader import Reader, Seen
from runwright.store.base import Attempt, Record

RECORDED = "usage.recorded"
_read_trace = msgspec.json.Decoder(domain.Trace).decode


def run_view(reader: Reader, record: Record, now: int, lease_us: int) -> wire.Run:
    """Return a run as its readers see it; a lease that runs out at `until` was last renewed `lease_us` before."""
    renewed_at = max(record.lease.until - lease_us, 0) if record.lease is not None else None
    payload, result = reader.payload(record) or {}, reader.result(record)
    return wire.Run(
        **_fields(record.run, payload, result, now),
        heartbeat_at=_text(renewed_at),
        replayed_as=record.replayed_as,
        dead_letter_left_at=_text(record.dead_letter_left_at),
        erased_at=_text(record.erased_at),
        pruned_at=_text(record.pruned_at),
    )


def triggered_view(run: domain.Run, payload: dict[str, Any], now: int, *, dry_run: bool = False) -> wire.TriggeredRun:
    """Return a run that was made just now, without asking the store for it."""
    fields = _fields(run, payload, None, now)
    return wire.TriggeredRun(
        **fields,
        heartbeat_at=fields["started_at"],
        replayed_as=None,
        dead_letter_left_at=None,
        erased_at=None,
        pruned_at=None,
        idempotency_hit=False,
        joined=False,
        dry_run=dry_run,
    )


def found_view(run: wire.Run, *, hit: bool = True, joined: bool = False) -> wire.TriggeredRun:
    """Return a run that an idempotency key had made before, or that a trigger joined."""
    fields = {name: getattr(run, name) for name in wire.Run.__struct_fields__}
    return wire.TriggeredRun(**fields, idempotency_hit=hit, joined=joined, dry_run=False)


def _text(at: int | None) -> str | None:
    return None if at is None else instants.text(at)


def _fields(run: domain.Run, payload: dict[str, Any], result: Any, now: int) -> dict[str, Any]:
    return {
        **_asked(run.spec),
        **_agreed(run.spec.agent),
        **_standing(run, now),
        "payload": payload,
        "result": result,
    }


def _agreed(terms: AgentTerms | None) -> dict[str, Any]:
    """Return what an agent run was made with; unset for all others."""
    return {
        "thread_id": None if terms is None else terms.thread_id,
        "persona_id": None if terms is None else terms.persona_id,
        "model": None if terms is None else terms.model,
        "retry_of": None if terms is None else terms.retry_of,
    }


def _used(run: domain.Run) -> dict[str, Any]:
    """Return what models used, and what that cost; a cost that is not known is null, never zero."""
    usage = run.usage
    cost = None if usage.unpriced else usage.cost_microusd
    return {
        "total_input_tokens": usage.input_tokens,
        "total_output_tokens": usage.output_tokens,
        "total_cost_usd": None if cost is None else usd(cost),
        "credits_used": credits_used(cost),
        "cache_hit_rate": round(usage.cached_tokens / usage.input_tokens, 4)
        if run.spec.agent is not None and usage.input_tokens
        else None,
    }


def _asked(spec: domain.Spec) -> dict[str, Any]:
    """Return what the run was asked to be; fields that the wire shows as `Spec` has them come first."""
    of = spec.workflow
    return {
        **dict(zip(_SAME_NAME, _shared(spec), strict=True)),
        "workflow_step_run_id": spec.workflow_step_run_id,
        "workflow_id": None if of is None else of.workflow_id,
        "workflow_version": None if of is None else of.version,
        "workflow_version_id": None if of is None else of.workflow_version_id,
        "id": spec.run_id,
        "timeout_secs_override": _whole(spec.timeout_secs_override),
        "retry_initial_delay_secs": _whole(spec.retry_initial_delay_secs),
        "retry_max_delay_secs": _whole(spec.retry_max_delay_secs),
        "created_at": instants.text(spec.created_at),
        "attempts_url": f"/v1/runs/{spec.run_id}/attempts",
    }


_TRANSLATED = {"payload", "preset", "metadata", "scheduled_at", "debug_mode", "timeout_secs_override", "created_at"}
_TRANSLATED |= {"retry_initial_delay_secs", "retry_max_delay_secs"}
_SAME_NAME = tuple(sorted(set(domain.Spec.__struct_fields__) & set(wire.Run.__struct_fields__) - _TRANSLATED))
_shared = attrgetter(*_SAME_NAME)


def _standing(run: domain.Run, now: int) -> dict[str, Any]:
    ended = run.finished_at
    finished = _text(ended)
    waits = run.state == "scheduled" and run.reason in ("retry", "snooze")
    return {
        "status": word_of(run),
        "scheduled_at": _text(run.scheduled_at),
        "debug_mode": run.debug_mode,
        "state": run.state,
        **_used(run),
        "metadata": run.metadata,
        "reason": run.reason,
        "attempt": run.attempt,
        "preset": run.preset or run.spec.preset,
        "error": run.error,
        "error_class": run.error_class,
        "started_at": _text(run.started_at),
        "finished_at": finished,
        "next_retry_at": _text(run.due_at) if waits else None,
        "expires_at": _text(run.expires_at),
        "execution_trace": _trace(run, now),
        "completed_at": finished if run.state == "completed" else None,
        "failed_at": finished if run.state in ("failed", "expired") else None,
        "duration_ms": None if ended is None else (ended - run.spec.created_at) // 1000,
        "lease_epoch": run.lease_epoch,
        "last_seq": run.seq,
        "dead_lettered_at": _text(run.dead_lettered_at),
        "cancel_requested_at": _text(run.cancel_requested_at),
        "queued_ms": run.queued_us // 1000,
        "active_ms": run.active_us // 1000,
        "waiting_ms": run.waiting_us // 1000,
    }


def _whole(seconds: float | None) -> int | float | None:
    return int(seconds) if seconds is not None and seconds == int(seconds) else seconds


def _trace(run: domain.Run, now: int) -> wire.ExecutionTrace | None:
    if run.started_at is None or run.spec.workflow is not None:
        return None
    until = now if run.state == "executing" else max(run.since_at, run.started_at)
    trace = run.trace or domain.Trace()
    connect_us = trace.dns_us + trace.tcp_us + trace.tls_us
    return wire.ExecutionTrace(
        queue_wait_ms=run.queue_wait_us // 1000,
        dequeue_ms=0,
        connect_ms=connect_us // 1000,
        ttfb_ms=trace.ttfb_us // 1000,
        transfer_ms=trace.transfer_us // 1000,
        total_ms=max(until - run.started_at, 0) // 1000,
        dispatch_ms=(connect_us + trace.ttfb_us + trace.transfer_us) // 1000,
    )


def event_view(event: Event) -> wire.Event:
    """Return an event as the JSON list shows it; its data are the stored bytes."""
    return wire.Event(
        id=event.event_id,
        run_id=event.run_id,
        type=event.type,
        level=event.level,
        message=event.message,
        data=msgspec.Raw(event.data or b"null"),
        created_at=instants.text(event.created_at),
        seq=event.seq,
        erased=event.data is None,
    )


def exchange_view(event: Event) -> wire.Exchange:
    """Return what a `debug.request` or `debug.response` tells."""
    told = msgspec.json.decode(event.data or b"", type=Exchanged)
    return wire.Exchange(
        way="request" if event.type == "debug.request" else "response",
        head=told.head,
        body=told.body,
        bytes=told.bytes,
        truncated=told.truncated,
        created_at=instants.text(event.created_at),
    )


def attempt_view(attempt: Attempt, exchanges: Sequence[Event] = ()) -> wire.Attempt:
    """Return an attempt that ended."""
    return wire.Attempt(
        id=f"{attempt.run_id}.attempt.{attempt.lease_epoch}",
        run_id=attempt.run_id,
        attempt=attempt.attempt,
        lease_epoch=attempt.lease_epoch,
        executor=attempt.executor,
        worker_id=attempt.worker_id,
        started_at=instants.text(attempt.started_at),
        ended_at=instants.text(attempt.ended_at),
        outcome=attempt.outcome,
        error_class=attempt.error_class,
        error=attempt.error,
        queue_wait_us=attempt.queue_wait_us,
        duration_us=attempt.ended_at - attempt.started_at,
        trace=None if attempt.trace is None else _dispatch(_read_trace(attempt.trace)),
        exchanges=list(map(exchange_view, exchanges)),
    )


def current_attempt(run: domain.Run, exchanges: Sequence[Event] = ()) -> wire.Attempt | None:
    """Return the attempt under way, if there is one."""
    if run.state != "executing" or run.worker_id is None:
        return None
    return wire.Attempt(
        id=f"{run.run_id}.attempt.{run.lease_epoch}",
        run_id=run.run_id,
        attempt=run.attempt,
        lease_epoch=run.lease_epoch,
        executor=run.spec.executor,
        worker_id=run.worker_id,
        started_at=instants.text(run.since_at),
        ended_at=None,
        outcome=None,
        error_class=None,
        error=None,
        queue_wait_us=run.queue_wait_us,
        duration_us=None,
        trace=None if run.trace is None else _dispatch(run.trace),
        exchanges=list(map(exchange_view, exchanges)),
    )


def _dispatch(trace: domain.Trace) -> wire.DispatchTrace:
    return wire.DispatchTrace(**msgspec.structs.asdict(trace))


def checkpoint_view(run_id: str, seen: Seen) -> wire.Checkpoint:
    """Return a checkpoint."""
    sequence = int(seen.key)
    return wire.Checkpoint(
        id=f"{run_id}.checkpoint.{sequence}",
        run_id=run_id,
        sequence=sequence,
        source=seen.note["source"] if seen.note else SOURCE,
        state=_object(seen.value),
        created_at=instants.text(seen.created_at),
    )


def output_view(run_id: str, seen: Seen) -> wire.Output:
    """Return a named output."""
    return wire.Output(
        id=f"{run_id}.output.{seen.key}",
        run_id=run_id,
        output_key=seen.key,
        schema=seen.note,
        value=_object(seen.value),
        created_at=instants.text(seen.created_at),
    )


def usage_view(event: Event) -> wire.Usage:
    """Return what a `usage.reported` of a job, or a `usage.recorded` of an agent, tells."""
    if event.type == RECORDED:
        return _recorded(event)
    told = msgspec.json.decode(event.data or b"", type=UsageReported)
    return wire.Usage(
        id=event.event_id,
        run_id=event.run_id,
        **msgspec.structs.asdict(told),
        cached_tokens=0,
        estimated=False,
        llm_call_id=None,
        created_at=instants.text(event.created_at),
    )


def _recorded(event: Event) -> wire.Usage:
    told = msgspec.json.decode(event.data or b"", type=UsageRecorded)
    return wire.Usage(
        id=event.event_id,
        run_id=event.run_id,
        provider=told.provider,
        model=told.model,
        prompt_tokens=told.input_tokens,
        cached_tokens=told.cached_tokens,
        completion_tokens=told.output_tokens,
        total_tokens=told.input_tokens + told.output_tokens,
        cost_microusd=told.cost_microusd,
        estimated=told.estimated,
        llm_call_id=told.llm_call_id,
        created_at=instants.text(event.created_at),
    )


def usage_type(run: domain.Run) -> str:
    """Return the events that tell what the calls of models of a run used."""
    return "usage.reported" if run.spec.agent is None else RECORDED


def tool_call_view(event: Event) -> wire.ToolCall:
    """Return what a `tool.called` tells."""
    told = msgspec.json.decode(event.data or b"", type=ToolCalled)
    return wire.ToolCall(
        id=event.event_id,
        run_id=event.run_id,
        tool_name=told.tool_name,
        input=None if told.input is None else _object(told.input),
        output=None if told.output is None else _object(told.output),
        duration_ms=told.duration_ms,
        status=told.status,
        created_at=instants.text(event.created_at),
    )


def state_view(run_id: str, seen: Seen) -> wire.RunState:
    """Return a value that the run keeps."""
    return wire.RunState(
        id=f"{run_id}.state.{seen.key}",
        run_id=run_id,
        state_key=seen.key,
        value=_object(seen.value),
        updated_at=instants.text(seen.created_at),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}
