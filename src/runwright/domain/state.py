"""The state machine of a run: one table of transitions, and one function that decides.

`decide` is pure: the same run, command and instant give the same answer. The commit calls it inside the
transaction; nothing else changes a run's state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from runwright.domain import (
    amending,
    answering,
    approving,
    ending,
    gathering,
    orchestration,
    runtime_ends,
    touching,
    waking,
)
from runwright.domain import commands as c
from runwright.domain import events as e
from runwright.domain import job_events as w
from runwright.domain.chain import genesis
from runwright.domain.ending import draft
from runwright.domain.run import AGENT, CONVERSING, Paused, Run, State, Usage
from runwright.domain.tenancy import system
from runwright.errors import AlreadyDecided, InvalidTransition, Overtaken, StaleLease

TRANSITIONS: dict[tuple[State | None, str], tuple[State, ...]] = {
    (None, "submit"): ("scheduled", "queued", "waiting"),
    ("scheduled", "join"): ("scheduled", "queued", "waiting"),
    ("scheduled", "due"): ("queued", "waiting", "scheduled"),
    ("scheduled", "stop"): ("paused", "cancelled"),
    ("scheduled", "expire"): ("expired",),
    ("scheduled", "reschedule"): ("scheduled", "queued", "waiting"),
    ("scheduled", "answer"): ("scheduled",),
    ("scheduled", "debug"): ("scheduled",),
    ("queued", "claim"): ("executing",),
    ("queued", "throttle"): ("scheduled",),
    ("queued", "stop"): ("paused", "cancelled"),
    ("queued", "expire"): ("expired",),
    ("queued", "reschedule"): ("scheduled", "queued"),
    ("queued", "answer"): ("queued",),
    ("queued", "debug"): ("queued",),
    ("executing", "append"): ("executing",),
    ("executing", "finish"): (
        "executing",
        "completed",
        "failed",
        "scheduled",
        "queued",
        "waiting",
        "paused",
        "cancelled",
    ),
    ("executing", "stop"): ("executing",),
    ("executing", "restart"): ("executing",),
    ("executing", "fence"): ("queued", "paused", "cancelled"),
    ("executing", "lose"): ("scheduled", "queued", "failed", "paused", "cancelled"),
    ("executing", "answer"): ("executing",),
    ("executing", "touch"): ("executing",),
    ("executing", "debug"): ("executing",),
    ("waiting", "due"): ("queued", "failed"),
    ("waiting", "wake"): ("queued",),
    ("waiting", "answer"): ("queued", "waiting"),
    ("waiting", "vote"): ("queued", "waiting"),
    ("waiting", "proceed"): ("waiting", "completed", "failed", "cancelled"),
    ("waiting", "stop"): ("paused", "cancelled"),
    ("waiting", "restart"): ("queued",),
    ("paused", "wake"): ("paused",),
    ("paused", "answer"): ("paused",),
    ("paused", "vote"): ("paused",),
    ("waiting", "debug"): ("waiting",),
    ("paused", "stop"): ("paused", "cancelled"),
    ("paused", "restart"): ("queued",),
    ("paused", "resume"): ("scheduled", "queued", "waiting"),
    ("paused", "debug"): ("paused",),
}
"""(state, command) → the states it may lead to. What is not here is refused; the docs' diagram is drawn from it."""

FENCED = frozenset({"append", "finish", "fence", "lose"})
"""The commands that carry a lease epoch and must match the run's."""

PLACED = frozenset({"append", "finish", "proceed"})
"""The commands that may be meant for a run that stands where they say."""

LATE = frozenset({"due", "expire", "wake", "proceed"})
"""The commands that nobody's request is: one that comes too late, or again, is no error, it changes nothing."""

_NAMES: dict[type, str] = {kind: kind.__name__.lower() for kind in get_args(c.Command)}


def name_of(command: c.Command) -> str:
    """Return the command's name in `TRANSITIONS`."""
    return _NAMES[type(command)]


def decide(run: Run | None, command: c.Command, at: int) -> c.Decision:
    """Answer `command` for `run` at the instant `at` (µs).

    Raises `InvalidTransition` for a command that the run's state does not know, and `StaleLease` for one made
    under an older lease. A late timer, a wake-up that the run does not wait for, and a stop that is already under way,
    change nothing and say so by no event.
    """
    name = name_of(command)
    if run is None:
        if not isinstance(command, c.Submit):
            raise InvalidTransition(f"a run that does not exist cannot {name}")
        return _submit(command, at)
    if name in FENCED and (run.state != "executing" or run.lease_epoch != command.lease_epoch):  # type: ignore[union-attr]
        raise StaleLease(f"the lease of run {run.run_id} has moved on; stop working on it")
    if name in PLACED and command.after is not None and command.after != run.place:  # type: ignore[union-attr]
        raise Overtaken(f"another process wrote to run {run.run_id}; look where its log ends and write again")
    allowed = TRANSITIONS.get((run.state, name))
    if allowed is None:
        if name in LATE:
            return c.Decision(run)
        if name == "answer":
            raise InvalidTransition(f"the run is {run.state}: it hears no more", code="runs.not_active")
        if name == "vote":
            raise AlreadyDecided
        if name == "touch":
            raise touching.closed()
        raise InvalidTransition(f"a run that is {run.state} cannot {_SPOKEN.get(name, name)}")
    decision = approving.superseded(run, _DECIDERS[name](run, command, max(at, run.at)))
    call = decision.run.usage.open
    if call is not None and decision.run.terminal:
        decision = answering.settled(decision, call)
    return decision if run.course is None else orchestration.followed(decision, run.course, max(at, run.at))


_SPOKEN = {
    "stop": "be stopped",
    "restart": "be restarted",
    "resume": "be resumed",
    "claim": "be claimed",
    "submit": "be created again",
    "reschedule": "be rescheduled: only one that has not begun",
    "debug": "be debugged: there is no attempt to come",
    "join": "be joined",
}


def _submit(command: c.Submit, at: int) -> c.Decision:
    spec = command.spec
    later = spec.scheduled_at is not None and spec.scheduled_at > at
    wait, gather = command.wait, spec.gather
    gathering_until = None if gather is None else gathering.due_at(gather, spec.created_at, at)
    later = later or (gather is not None and not gathering.is_full(gather, 1, spec.payload.bytes))
    state: State = "scheduled" if later else "queued" if wait is None else "waiting"
    begins_at = spec.scheduled_at if gather is None else gathering_until
    kind = None if gather is None else gather.kind
    reason = kind or "delay" if later else None if wait is None else wait.on
    wait_until = command.wait_until if wait is None or wait.limit_s is None else ending.limit_of(wait, at)
    run = Run(
        spec=spec,
        state=state,
        reason=reason,
        hash=genesis(command.opening),
        at=at,
        since_at=at,
        due_at=begins_at if later else None if wait is None else wait_until,
        expires_at=command.expires_at,
        wait=wait,
    )
    waits = (kind if later else None, "") if later or wait is None else (wait.on, wait.key)
    actor = command.cause.actor
    if spec.agent is not None:
        return c.Decision(run, (answering.opening(run, command.opening, *waits, actor=actor), *command.drafts))
    if spec.runtime is not None:
        begun = draft("run.started", runtime_ends.started(run, command.opening, *waits), "created", actor=actor)
        return orchestration.followed(
            c.Decision(run, (begun, *command.drafts)), orchestration.course_of(spec.runtime), at
        )
    data = e.Created(Raw(command.opening), run.state, run.due_at, run.expires_at, *waits)
    created = draft("run.created", data, "created", actor=actor)
    return c.Decision(run, (created, *command.drafts))


def _claim(run: Run, command: c.Claim, at: int) -> c.Decision:
    waited = max(at - run.since_at, 0)
    begun = replace(
        ending.leave(run, "executing", at),
        attempt=run.tally.ended + 1,
        lease_epoch=run.lease_epoch + 1,
        started_at=at,
        worker_id=command.worker_id,
        queue_wait_us=waited,
        trace=None,
    )
    data = e.Started(begun.attempt, begun.lease_epoch, command.worker_id, waited // 1000)
    message = "started" if begun.attempt == 1 else f"attempt {begun.attempt} started"
    name = "run.claimed" if run.spec.kind in CONVERSING else "run.started"
    return c.Decision(begun, (draft(name, data, message, actor=f"worker:{command.worker_id}"),))


def _append(run: Run, command: c.Append, at: int) -> c.Decision:
    if command.annotations:
        run = replace(run, annotations=run.annotations | command.annotations)
    if command.after is not None and not command.drafts:
        run = replace(run, at=max(at, run.at + 1))  # values alone leave no event, and must show all the same
    return c.Decision(_counted(run, command.drafts), command.drafts)


def _counted(run: Run, drafts: tuple[e.Draft, ...]) -> Run:
    """Return the run with the usage that these records report; what is no number of ours counts for nothing."""
    if run.spec.kind in CONVERSING:
        return answering.counted(run, drafts)
    reports = [draft.data for draft in drafts if draft.type == "usage.reported"]
    for report in reports:
        try:
            told = msgspec.json.decode(report, type=w.UsageReported)
        except msgspec.ValidationError:
            continue
        usage = Usage(
            run.usage.input_tokens + max(told.prompt_tokens, 0),
            run.usage.output_tokens + max(told.completion_tokens, 0),
            run.usage.cost_microusd + max(told.cost_microusd, 0),
        )
        run = replace(run, usage=usage)
    return run


def _finish(run: Run, command: c.Finish, at: int) -> c.Decision:
    run = _counted(run, command.drafts) if command.drafts else run
    decision = ending.end_attempt(run, command.outcome, at, command.draw)
    return c.Decision(decision.run, command.drafts + decision.events) if command.drafts else decision


def _stop(run: Run, command: c.Stop, at: int) -> c.Decision:
    cause = command.cause
    if run.state == "executing":
        return _request_stop(run, command, at)
    if command.kind == "cancel":
        return ending.cancel(run, at, cause, confirmed=None)
    if run.state == "paused":
        return c.Decision(run)
    return ending.pause(run, at, cause, confirmed=None, resume=Paused(run.state, run.reason))


def _request_stop(run: Run, command: c.Stop, at: int) -> c.Decision:
    cause = command.cause
    already = run.pause_requested_at if command.kind == "pause" else None
    if run.cancel_requested_at is not None or already is not None:
        return c.Decision(run)
    reason = ending.stop_reason(command.kind, cause)
    data = e.StopRequested(reason, cause.reason, cause.request_id, cause.last_seen_seq)
    field = "cancel_requested_at" if command.kind == "cancel" else "pause_requested_at"
    event = draft(f"run.{command.kind}_requested", data, f"{command.kind} requested", actor=cause.actor)
    return c.Decision(replace(run, reason=reason, **{field: at}), (event,))


def _restart(run: Run, command: c.Restart, at: int) -> c.Decision:
    if run.spec.workflow is not None:
        raise InvalidTransition(
            "a workflow is not restarted: restart the runs of its steps, or replay it after its end"
        )
    if run.spec.kind == AGENT:
        raise InvalidTransition(
            "an agent run is not restarted: pause and resume it, or cancel it and take its turn again with :retry"
        )
    if run.spec.runtime is not None:
        raise InvalidTransition("a runtime run is not restarted: pause and resume it, or cancel it and make another")
    if run.started_at is None and run.wait is not None:
        raise InvalidTransition(f"a run that never began cannot be restarted: it waits for its {run.wait.on}")
    if run.stop == "cancel" or (run.stop == "restart" and command.preset in (None, run.preset)):
        return c.Decision(run)
    reason, preset = ending.stop_reason("restart", command.cause), command.preset or run.preset
    data = e.RestartRequested(reason, preset, command.cause.reason, command.cause.request_id)
    asked = draft("run.restart_requested", data, "restart requested", actor=command.cause.actor)
    wanted = replace(run, preset=preset, pause_requested_at=None)
    if run.state == "executing":
        return c.Decision(replace(wanted, reason=reason, restart_requested_at=at), (asked,))
    again = ending.restart(wanted, at, command.cause, confirmed=None)
    return c.Decision(again.run, (asked, *again.events))


def _fence(run: Run, command: c.Fence, at: int) -> c.Decision:
    if run.stop is None:
        return c.Decision(run)
    return ending.stopped(run, at, system("reaper", "the executing side did not confirm in time"), confirmed=False)


def _lose(run: Run, command: c.Lose, at: int) -> c.Decision:
    if run.stop is not None:
        return ending.stopped(run, at, system("reaper", "the worker was lost"), confirmed=False)
    late = run.deadline_at is not None and at >= run.deadline_at
    if run.spec.kind in CONVERSING and not late and run.tally.recoveries < command.recoveries_max:
        return answering.recover(run, at)
    return ending.fail(run, ending.LATE if late else ending.LOST, at, command.draw, actor="system:reaper")


_DECIDERS: dict[str, Callable[..., c.Decision]] = {
    "join": gathering.join,
    "claim": _claim,
    "append": _append,
    "finish": _finish,
    "stop": _stop,
    "restart": _restart,
    "fence": _fence,
    "lose": _lose,
    "due": waking.due,
    "throttle": waking.throttle,
    "expire": waking.expire,
    "resume": waking.resume,
    "wake": waking.wake,
    "answer": answering.answer,
    "vote": approving.vote,
    "touch": touching.touch,
    "reschedule": amending.reschedule,
    "debug": amending.set_debug,
    "proceed": waking.proceed,
}
