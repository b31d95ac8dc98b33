"""What the log of a runtime run says of its beginning and its ends, where that is more than a job's."""

from __future__ import annotations

from hashlib import sha256

from msgspec import Raw
from msgspec.structs import replace

from runwright.domain import orchestration
from runwright.domain import outcome as o
from runwright.domain import runtime_events as r
from runwright.domain.agent_events import TokenUsage
from runwright.domain.course import Course
from runwright.domain.events import CancelledData, FailedData
from runwright.domain.redaction import Redacted, RedactedText
from runwright.domain.run import Run
from runwright.domain.verdict import STOPS, GateStatus, of_failure


def started(run: Run, spec: Redacted, reason: str | None, key: str) -> r.RuntimeStarted:
    """Return what `run.started` says: the first event, with the whole configuration."""
    terms = run.spec.runtime
    assert terms is not None
    return r.RuntimeStarted(
        mode=terms.mode,
        runtime_profile=terms.runtime_profile,
        repo=terms.repo,
        ref=terms.ref,
        head_sha=terms.head_sha,
        objective=RedactedText(terms.objective),  # of the opening's spec, which went through the redactor
        orchestrator_model=None if terms.agent is None else terms.agent.model,
        steps=tuple(step.ident for step in terms.steps),
        spec_digest=sha256(spec).hexdigest(),
        trace_id=run.spec.trace_id,
        spec=Raw(spec),
        state=run.state,
        due_at=run.due_at,
        expires_at=run.expires_at,
        reason=reason,
        key=key,
    )


def completed(run: Run, outcome: o.Completed, duration_ms: int) -> r.RuntimeCompleted:
    """Return what `run.completed` says, of a run with all of its usage."""
    terms, course = run.spec.runtime, run.course or Course()
    assert terms is not None
    stop = outcome.stop or orchestration.stop_of(course, terms)
    usage = run.usage
    return r.RuntimeCompleted(
        attempt=run.attempt,
        duration_ms=duration_ms,
        result=outcome.result,
        stop_class=stop.stop_class,
        stop_code=stop.code,
        gate_status=outcome.gate_status,
        totals=r.Totals(
            steps=len(course.done),
            tool_calls=course.tool_calls,
            usage=TokenUsage(usage.input_tokens, usage.cached_tokens, usage.output_tokens),
            cost_microusd=None if usage.unpriced else usage.cost_microusd,
        ),
        detail=RedactedText(stop.detail) if stop.detail else None,
    )


def failed(data: FailedData) -> r.RuntimeFailed:
    """Return what `run.failed` says."""
    code = of_failure(data.code)
    return r.RuntimeFailed(
        reason=data.reason,
        error_class=data.error_class,
        error=data.error,
        retryable=data.retryable,
        attempt=data.attempt,
        dead_lettered=data.dead_lettered,
        duration_ms=data.duration_ms,
        stop_class=STOPS[code].stop_class,
        stop_code=code,
        gate_status="error",
        code=data.code,
        traceback=data.traceback,
        details=data.details,
    )


def cancelled(run: Run, data: CancelledData) -> r.RuntimeCancelled:
    """Return what `run.cancelled` says."""
    terms = run.spec.runtime
    assert terms is not None
    course = replace(run.course or Course(), pending=())
    judged: GateStatus = orchestration.gate_status(course, terms)
    return r.RuntimeCancelled(
        reason=data.reason,
        stop_class="manual_stop",
        stop_code="MANUAL_STOP",
        gate_status=judged if judged == "blocked" else "skipped",
        confirmed=data.confirmed,
        note=data.note,
        request_id=data.request_id,
        last_seen_seq=data.last_seen_seq,
    )
