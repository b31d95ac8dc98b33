"""What the log of an agent run says of its ends and its questions, where that is more than a job's."""

from __future__ import annotations

from runwright.domain import agent_events as a
from runwright.domain import outcome as o
from runwright.domain.events import CancelledData, FailedData
from runwright.domain.instants import text
from runwright.domain.money import usd
from runwright.domain.price import credits_used
from runwright.domain.question import Question
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run


def completed(run: Run, outcome: o.Completed, duration_ms: int) -> a.AgentCompleted:
    """Return what `run.completed` says, of a run with all of its usage."""
    usage = run.usage
    known = not usage.unpriced
    return a.AgentCompleted(
        attempt=run.attempt,
        duration_ms=duration_ms,
        result=outcome.result,
        output=outcome.output,
        usage=a.TokenUsage(usage.input_tokens, usage.cached_tokens, usage.output_tokens),
        total_cost_usd=usd(usage.cost_microusd) if known else None,
        credits_used=credits_used(usage.cost_microusd if known else None),
    )


def failed(data: FailedData) -> a.AgentFailed:
    """Return what `run.failed` says."""
    return a.AgentFailed(
        reason=data.reason,
        error_class=data.error_class,
        error=data.error,
        message=data.error,
        retryable=data.retryable,
        attempt=data.attempt,
        dead_lettered=data.dead_lettered,
        duration_ms=data.duration_ms,
        code=data.code,
        traceback=data.traceback,
        details=data.details,
    )


def cancelled(data: CancelledData, said: RedactedText | None) -> a.AgentCancelled:
    """Return what `run.cancelled` says, with what the agent had said of an answer."""
    return a.AgentCancelled(
        reason=data.reason,
        partial_output=said,
        confirmed=data.confirmed,
        note=data.note,
        request_id=data.request_id,
        last_seen_seq=data.last_seen_seq,
    )


def asked(question: Question, due_at: int | None) -> a.WaitingForInput:
    """Return what `run.waiting_for_input` says."""
    return a.WaitingForInput(
        request_id=question.request_id,
        kind=question.kind,
        prompt=question.prompt,
        schema=question.schema,
        tool_call_id=question.tool_call_id,
        expires_at=None if due_at is None else text(due_at),
        due_at=due_at,
        left_messages=question.left_messages,
    )
