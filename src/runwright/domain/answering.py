"""What only agent runs do: open their log, hear people, count what models used, and go on after a lost worker."""

from __future__ import annotations

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain import events as e
from runwright.domain.commands import Answer, Decision
from runwright.domain.ending import draft, leave
from runwright.domain.events import Draft
from runwright.domain.redaction import Redacted
from runwright.domain.run import OpenCall, Paused, Run, Usage
from runwright.errors import InvalidTransition


def opening(run: Run, spec: Redacted, reason: str | None, key: str, *, actor: str) -> Draft:
    """Return the first event of an agent run."""
    terms = run.spec.agent
    assert terms is not None
    data = a.AgentStarted(
        thread_id=terms.thread_id,
        persona_id=terms.persona_id,
        route_id=terms.route_id,
        provider=terms.provider,
        model=terms.model,
        trace_id=run.spec.trace_id,
        retry_of=terms.retry_of,
        spec=Raw(spec),
        state=run.state,
        due_at=run.due_at,
        expires_at=run.expires_at,
        reason=reason,
        key=key,
    )
    return draft("run.started", data, "created", actor=actor)


def answer(run: Run, command: Answer, at: int) -> Decision:
    """Answer somebody who speaks to a run.

    Raises `InvalidTransition`: `runs.not_waiting` for an answer to what the run does not ask, or asks no more, and
    `runs.not_active` for a run that was asked to cancel.
    """
    if run.spec.agent is None:
        raise InvalidTransition("a job run waits for no input; send it an event", code="runs.not_waiting")
    if run.cancel_requested_at is not None:
        raise InvalidTransition("the run was asked to cancel: it hears no more", code="runs.not_active")
    value = None if command.delivery is None else command.delivery.ref
    told = a.InputReceived(mode=command.mode, content=command.content, request_id=command.request_id, value=value)
    heard = draft("run.input_received", told, f"received: {command.mode}", actor=command.cause.actor)
    if command.mode == "steer":
        return Decision(run, (heard,))
    wait = run.wait
    if wait is not None and wait.on == "approval":
        raise elsewhere(run)
    waits = run.state == "waiting" or (run.paused is not None and run.paused.state == "waiting")
    if wait is None or not waits or (wait.on, wait.key) != ("input", command.request_id):
        raise InvalidTransition(
            "the run does not wait for this answer: nothing was asked, or another answer was first",
            code="runs.not_waiting",
        )
    if run.state == "paused":
        ready = replace(run, paused=Paused("queued"), wait=None, due_at=None)
        woken = draft("run.woken", e.Woken("input", wait.key), "the answer came", actor=command.cause.actor)
        return Decision(ready, (heard, woken))
    woken_run = replace(leave(run, "queued", at), wait=None, due_at=None)
    queued = draft("run.queued", e.Queued("input", wait.key), "queued after input", actor=command.cause.actor)
    return Decision(woken_run, (heard, queued))


def elsewhere(run: Run) -> InvalidTransition:
    """Return the refusal of an answer to what is no question but an approval: it names where that is decided."""
    where = f"/api/v1/runs/{run.run_id}/approvals"
    asked = None if run.wait is None else run.wait.key
    return InvalidTransition(
        f"the run waits for an approval; a person decides it with POST {where}",
        code="runs.approval_required",
        data={"approvals": where, "checkpoint_id": asked},
    )


def counted(run: Run, drafts: tuple[Draft, ...]) -> Run:
    """Return the run with the usage that these records tell, and with the call of a model that they leave open."""
    usage = run.usage
    for record in drafts:
        if record.type == "usage.recorded":
            usage = _added(usage, msgspec.json.decode(record.data, type=a.UsageRecorded))
        elif record.type == "llm.request":
            asked = msgspec.json.decode(record.data, type=a.ModelRequested)
            at_most = (asked.input_tokens_at_most, asked.max_output_tokens, asked.reserved_microusd)
            usage = replace(usage, open=OpenCall(asked.llm_call_id, asked.provider, asked.model, *at_most))
    return run if usage is run.usage else replace(run, usage=usage)


def _added(usage: Usage, told: a.UsageRecorded) -> Usage:
    settles = usage.open is not None and usage.open.llm_call_id == told.llm_call_id
    return Usage(
        usage.input_tokens + told.input_tokens,
        usage.output_tokens + told.output_tokens,
        usage.cost_microusd + (told.cost_microusd or 0),
        usage.cached_tokens + told.cached_tokens,
        usage.unpriced + (told.cost_microusd is None),
        None if settles else usage.open,
    )


def settled(decision: Decision, call: OpenCall) -> Decision:
    """Return the end of a run with its open call settled before it, at all that was reserved: nobody knows better."""
    told = a.UsageRecorded(
        llm_call_id=call.llm_call_id,
        provider=call.provider,
        model=call.model,
        input_tokens=call.input_tokens,
        cached_tokens=0,
        output_tokens=call.output_tokens,
        cost_microusd=call.cost_microusd,
        estimated=True,
    )
    record = draft("usage.recorded", told)
    return Decision(counted(decision.run, (record,)), (*decision.events[:-1], record, decision.events[-1]))


def recover(run: Run, at: int) -> Decision:
    """Return the run queued, in the attempt that it was in: whoever takes it goes on at its last whole turn."""
    count = run.tally.recoveries + 1
    again = replace(leave(run, "queued", at), tally=replace(run.tally, recoveries=count))
    data = a.Recovered(run.lease_epoch, count)
    return Decision(again, (draft("run.recovered", data, "its worker was lost", "warning", "system:reaper"),))
