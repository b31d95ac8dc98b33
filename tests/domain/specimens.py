"""Runs in every state, made the way the server makes them: by commands, one after the other.

A `History` applies commands to one run and keeps its log: numbered, dated, salted and chained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright import ids
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain import runtime_events as r
from runwright.domain.agent_terms import AgentTerms, Budget
from runwright.domain.approval import Ask, Required, Verdict, Voter
from runwright.domain.chain import Header, Link, body, data_digest, link
from runwright.domain.events import Draft, Event
from runwright.domain.fold import Folded, fold
from runwright.domain.question import Mode, Question
from runwright.domain.redaction import RedactedText, Redactor, compose
from runwright.domain.retry import RetryPolicy
from runwright.domain.run import Gather, On, Run, Spec, StopKind, Trace, ValueRef, Wait, WorkflowRef
from runwright.domain.runtime_terms import CommandStep, GateStep, ReportStep, RuntimeTerms
from runwright.domain.state import decide
from runwright.domain.tenancy import Cause
from runwright.domain.terminal_events import What
from runwright.domain.verdict import Stop

T0 = 1_800_000_000_000_000
SECOND = 1_000_000
HOUR = 3600 * SECOND
WORKER = "wrk-1"
CAUSE = Cause("user:user_1", "because", "req_1")
RETRY = RetryPolicy(strategy="fixed", max_attempts=3, initial_ms=1000, jitter="none")

redactor = Redactor()


def text(said: str) -> RedactedText:
    """Return a text as the redactor lets it through."""
    return redactor.text(said)


def spec(at: int = T0, **given: Any) -> Spec:
    """Return the spec of a plain run, with what a test wants to be different."""
    usual: dict[str, Any] = {
        "run_id": ids.new_id("run", at),
        "org_id": "org_1",
        "project_id": "proj_1",
        "job_id": "job_1",
        "handler": "greet",
        "payload": ValueRef("0" * 64, 2, text("{}")),
        "max_attempts": RETRY.max_attempts,
        "retry": RETRY,
        "trace_id": "t" * 32,
        "created_at": at,
        "created_by": "user:user_1",
    }
    return Spec(**{**usual, **given})


def submit(
    at: int = T0,
    *,
    expires_at: int | None = None,
    payload: bytes | None = b"sealed",
    wait: Wait | None = None,
    wait_until: int | None = None,
    **given: Any,
) -> c.Submit:
    """Return the command that creates a run."""
    wanted = spec(at, **given)
    opening = redactor.raw(msgspec.json.encode(wanted))
    return c.Submit(
        spec=wanted,
        opening=opening,
        payload=payload,
        cause=CAUSE,
        expires_at=expires_at,
        wait=wait,
        wait_until=wait_until,
    )


GO = Wait("event", "go", "ctx.event:go")
GIVEN = c.Delivery("ctx.event:go", ValueRef("1" * 64, 2, text("{}")), b"sealed")


TERMS = AgentTerms(thread_id="thr_1", persona_id="default@1", route_id="route_1", provider="scripted", model="echo")
ASKED = o.Parked(
    T0 + HOUR,
    Wait("input", "rq_1"),
    Question(request_id="rq_1", prompt=RedactedText("Which one?"), schema={"type": "object"}),
)
DIGEST = "d" * 64
MEMBER = Voter("user_2", "approver", "Ada")
GATED = o.Parked(
    None,
    Wait("approval", "apr_1"),
    approval=Ask(
        checkpoint_id="apr_1",
        gate_id="push",
        risk="high",
        summary=RedactedText("Push 3 files?"),
        subject={"kind": "diff", "sha256": DIGEST},
        subject_sha256=DIGEST,
        required=Required(1, ("approver", "admin")),
        evidence_refs=(),
        ttl_s=3600,
    ),
)
GIVEN_IN = c.Delivery("rq_1", ValueRef("3" * 64, 2, RedactedText("{}")), b"sealed")


def said(run_id: str, mode: Mode = "answer", request_id: str | None = "rq_1") -> c.Answer:
    """Return what somebody says to an agent run."""
    given = GIVEN_IN if mode == "answer" else None
    return c.Answer(
        run_id=run_id, mode=mode, content=text("the blue one"), cause=CAUSE, request_id=request_id, delivery=given
    )


def gated(quorum: int = 1) -> o.Parked:
    """Return the outcome of an attempt that asks so many people."""
    assert GATED.approval is not None
    return replace(GATED, approval=replace(GATED.approval, required=Required(quorum, ("approver", "admin"))))


def voting(run_id: str, verdict: Verdict = "approve", by: Voter = MEMBER, **given: Any) -> c.Vote:
    """Return a person's vote on what a run asks."""
    usual: dict[str, Any] = {"checkpoint_id": "apr_1", "subject_sha256": DIGEST, "cause": Cause(f"user:{by.user_id}")}
    return c.Vote(run_id=run_id, verdict=verdict, by=by, **{**usual, **given})


def usage(cost_microusd: int | None = 7) -> Draft:
    """Return the record of what a model call used."""
    data = {
        "llm_call_id": "call_1",
        "provider": "scripted",
        "model": "echo",
        "input_tokens": 100,
        "cached_tokens": 40,
        "output_tokens": 10,
        "cost_microusd": cost_microusd,
        "estimated": False,
    }
    return Draft("usage.recorded", compose(data))


STEPS = (
    CommandStep(step_id="build", command=("make",)),
    GateStep(step_id="tests", command=("pytest", "-q")),
    ReportStep(step_id="report"),
)
RUN_TERMS = RuntimeTerms(steps=STEPS, objective="Look at it", budget=Budget(wall_s=60, tool_calls=5))


READ = CommandStep(step_id="read", command=("sh",), tty=True, stdin=True)


def typing(run_id: str, what: What = "keys", **more: Any) -> c.Touch:
    """Return what a person does to the terminal of a command."""
    usual: dict[str, Any] = {"size": 3, "sealed": b"sealed"} if what == "keys" else {}
    usual |= {"cols": 100, "rows": 30} if what == "size" else {}
    return c.Touch(**{"run_id": run_id, "what": what, "input_id": "inp_1", "cause": CAUSE, **usual, **more})


def begun(step_id: str = "build", epoch: int = 1) -> tuple[Draft, ...]:
    """Return what says that a step has begun."""
    call = {"tool_call_id": f"cmd_{step_id}", "tool_name": "command", "arguments": {}, "risk": "medium"}
    said = {
        "run.stage_changed": r.StageChanged(before="QUEUED", after="RUNNING"),
        "step.started": r.StepBegun(step_id=step_id, kind="command", name=step_id, lease_epoch=epoch),
    }
    drafts = [Draft(name, compose(data)) for name, data in said.items()]
    return (*drafts, Draft("tool.call", compose({**call, "args_sha256": ""})))


def done(step_id: str = "build", status: r.StepStatus = "succeeded") -> tuple[Draft, ...]:
    """Return what says that a step has ended."""
    ended = r.StepEnded(step_id=step_id, kind="command", name=step_id, status=status, exit_code=0)
    return (Draft("step.completed", compose(ended)),)


def failed(error_class: str = "ValueError", message: str = "boom", **given: Any) -> o.Failed:
    """Return the outcome of an attempt that failed."""
    return o.Failed(error_class=error_class, message=text(message), **given)


def log_line(said: str = "hello") -> Draft:
    """Return a record as a job writes it."""
    return Draft("log", redactor.data({}), text(said))


class History:
    """One run and its log. `at` is the present; every command moves it on by a millisecond."""

    def __init__(self, **given: Any) -> None:
        self.at = T0
        self.command = submit(T0, **given)
        self.run: Run | None = None
        self.events: list[Event] = []
        self.apply(self.command)

    @property
    def standing(self) -> Run:
        """Return the run as it stands."""
        assert self.run is not None
        return self.run

    def apply(self, command: c.Command, at: int | None = None) -> Run:
        """Decide a command now (or at `at`), append its events, and check that the log tells what the run says."""
        self.at = self.at + 1000 if at is None else at
        decision = decide(self.run, command, self.at)
        self.run = self._append(decision.run, decision.events)
        assert fold(self.events) == told(self.run), command
        return self.run

    def _append(self, run: Run, drafts: tuple[Draft, ...]) -> Run:
        for draft in drafts:
            seq, salt = run.seq + 1, bytes(16)
            actor, at = draft.actor or f"worker:{WORKER}", max(self.at, run.at)
            epoch = run.lease_epoch
            covered = body(draft.level, epoch, draft.message, draft.data)
            header = Header(actor, at, data_digest(salt, covered).hex(), run.run_id, seq, draft.type, {})
            digest = link(run.hash, header)
            self.events.append(
                Event(
                    run.run_id, seq, draft.type, draft.level, actor, draft.message, draft.data, salt, epoch, at, digest
                )
            )
            run = replace(run, seq=seq, hash=digest, at=at)
        return run

    @property
    def types(self) -> list[str]:
        """Return the types of the events so far."""
        return [event.type for event in self.events]

    def data(self, type: str) -> dict[str, Any]:
        """Return the data of the last event of a type."""
        found: dict[str, Any] = msgspec.json.decode([e.data or b"" for e in self.events if e.type == type][-1])
        return found

    def claim(self) -> Run:
        """Begin an attempt."""
        return self.apply(c.Claim(self.standing.run_id, WORKER))

    def finish(self, outcome: o.Outcome, *drafts: Draft, draw: float = 0.5) -> Run:
        """End the attempt under its lease."""
        run = self.standing
        return self.apply(c.Finish(run.run_id, run.lease_epoch, outcome, draw, drafts))

    def append(self, *drafts: Draft) -> Run:
        """Append records under the run's lease."""
        return self.apply(c.Append(self.standing.run_id, self.standing.lease_epoch, drafts))

    def stop(self, kind: StopKind, cause: Cause = CAUSE) -> Run:
        """Ask the run to stop."""
        return self.apply(c.Stop(self.standing.run_id, kind, cause))

    def restart(self, preset: str | None = None) -> Run:
        """Ask the run to begin again."""
        return self.apply(c.Restart(self.standing.run_id, CAUSE, preset))

    def resume(self) -> Run:
        """Let the paused run go on."""
        return self.apply(c.Resume(self.standing.run_id, CAUSE))

    def fence(self) -> Run:
        """End the grace of a stop request."""
        return self.apply(c.Fence(self.standing.run_id, self.standing.lease_epoch))

    def lose(self, draw: float = 0.5) -> Run:
        """Lose the worker."""
        return self.apply(c.Lose(self.standing.run_id, self.standing.lease_epoch, draw))

    def wake(self, on: On = "event", key: str = "go", delivery: c.Delivery | None = GIVEN) -> Run:
        """Tell the run that what it may wait for is there."""
        return self.apply(c.Wake(run_id=self.standing.run_id, on=on, key=key, cause=CAUSE, delivery=delivery))

    def proceed(self, outcome: o.Completed | o.Failed | o.Stopped | None = None, *drafts: Draft) -> Run:
        """Tell the run what came of the runs that it depends on."""
        run_id = self.standing.run_id
        return self.apply(c.Proceed(run_id=run_id, on="dependency", cause=CAUSE, outcome=outcome, drafts=drafts))

    def due(self) -> Run:
        """Let the run's due time come."""
        due_at = self.standing.due_at
        assert due_at is not None
        return self.apply(c.Due(self.standing.run_id), max(due_at, self.at))

    def expire(self) -> Run:
        """Let the run's time to begin pass."""
        expires_at = self.standing.expires_at
        assert expires_at is not None
        return self.apply(c.Expire(self.standing.run_id), max(expires_at, self.at))


def told(run: Run) -> Folded:
    """Return what a log must say of a run."""
    return Folded(run.state, run.reason, run.attempt, run.lease_epoch, run.due_at, run.seq)


def links(events: list[Event]) -> list[Link]:
    """Return a log as `chain.verify` reads it."""
    return [event.link() for event in events]


def _executing(**given: Any) -> History:
    history = History(**given)
    history.claim()
    return history


def _then(make: Callable[[], History], *steps: Callable[[History], Any]) -> Callable[[], History]:
    def made() -> History:
        history = make()
        for step in steps:
            step(history)
        return history

    return made


def _delayed() -> History:
    return History(scheduled_at=T0 + HOUR, expires_at=T0 + 2 * HOUR)


def _mortal() -> History:
    return History(expires_at=T0 + HOUR)


def _depending() -> History:
    return History(wait=Wait("dependency"), wait_until=T0 + HOUR)


def _depending_later() -> History:
    return History(wait=Wait("dependency", limit_s=3600), scheduled_at=T0 + HOUR)


def _workflow() -> History:
    of = WorkflowRef("wf_1", 1, "wfv_1")
    return History(kind="workflow", job_id=None, workflow=of, wait=Wait("child", limit_s=3600))


def _agent(**given: Any) -> History:
    return History(**{"kind": "agent", "executor": "agent", "agent": TERMS, "max_attempts": 1, **given})


def _acting(**given: Any) -> History:
    history = _agent(**given)
    history.claim()
    return history


def _asking() -> History:
    history = _acting()
    history.finish(ASKED)
    return history


def _gated(quorum: int = 1) -> History:
    history = _executing()
    history.finish(gated(quorum))
    return history


def _ordered(**given: Any) -> History:
    usual = {"kind": "runtime", "executor": "orchestrated", "job_id": None, "runtime": RUN_TERMS, "max_attempts": 1}
    return History(**{**usual, **given})


def _conducted(**given: Any) -> History:
    history = _ordered(**given)
    history.claim()
    return history


def _reading() -> History:
    return _conducted(runtime=replace(RUN_TERMS, steps=(READ, *STEPS)))


def _single() -> History:
    return _executing(max_attempts=1)


SPECIMENS: dict[str, Callable[[], History]] = {
    "scheduled": _delayed,
    "scheduled for a retry": _then(_executing, lambda h: h.finish(failed())),
    "gathering a batch that waits then": lambda: History(
        gather=Gather("batch", "k", HOUR, max_size=2), wait=Wait("dependency", limit_s=9)
    ),
    "gathering a batch": lambda: History(gather=Gather("batch", "k", HOUR, max_size=2), expires_at=T0 + 2 * HOUR),
    "debounced": _then(
        lambda: History(gather=Gather("debounce", "k", HOUR, max_wait_us=2 * HOUR)), lambda h: h.apply(joining(h))
    ),
    "queued": _mortal,
    "queued again": _then(_executing, lambda h: h.finish(o.Released())),
    "executing": _executing,
    "executing its only attempt": _single,
    "executing at its endpoint": _then(
        lambda: _executing(heartbeat_ms=60_000, timeout_s=7200.0), lambda h: h.finish(o.Accepted())
    ),
    "executing, asked to cancel": _then(_executing, lambda h: h.stop("cancel")),
    "executing, asked to pause": _then(_executing, lambda h: h.stop("pause")),
    "executing, asked to restart": _then(_executing, lambda h: h.restart()),
    "executing, asked to restart and pause": _then(_executing, lambda h: h.restart(), lambda h: h.stop("pause")),
    "executing, asked for both": _then(_executing, lambda h: h.stop("pause"), lambda h: h.stop("cancel")),
    "waiting": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR))),
    "waiting for an event": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR, GO))),
    "waiting for ever": _then(_executing, lambda h: h.finish(o.Parked(None, GO))),
    "waiting for a child": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR, Wait("child", "run_2", "c")))),
    "waiting from the start": _depending,
    "scheduled, and waiting then": _depending_later,
    "waiting once it was due": _then(_depending_later, lambda h: h.due()),
    "paused before it was due": _then(_depending_later, lambda h: h.stop("pause")),
    "ended by what it waited for": _then(_depending, lambda h: h.proceed(o.Completed())),
    "woken": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR, GO)), lambda h: h.wake()),
    "scheduled anew": _then(
        _delayed,
        lambda h: h.apply(c.Reschedule(run_id=h.standing.run_id, scheduled_at=T0 + 3 * HOUR, cause=CAUSE)),
        lambda h: h.apply(c.Debug(h.standing.run_id, True, CAUSE)),
    ),
    "paused from scheduled": _then(_delayed, lambda h: h.stop("pause")),
    "paused from a retry": _then(_executing, lambda h: h.finish(failed()), lambda h: h.stop("pause")),
    "paused from queued": _then(_mortal, lambda h: h.stop("pause")),
    "paused from executing": _then(_executing, lambda h: h.stop("pause"), lambda h: h.finish(o.Stopped())),
    "paused from waiting": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR)), lambda h: h.stop("pause")),
    "paused from an event": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR, GO)), lambda h: h.stop("pause")),
    "woken in its pause": _then(
        _executing, lambda h: h.finish(o.Parked(T0 + HOUR, GO)), lambda h: h.stop("pause"), lambda h: h.wake()
    ),
    "paused from a dependency": _then(_depending, lambda h: h.stop("pause")),
    "a workflow, waiting for its steps": _workflow,
    "a workflow, paused": _then(_workflow, lambda h: h.stop("pause")),
    "a workflow that took too long": _then(_workflow, lambda h: h.due()),
    "completed": _then(_executing, lambda h: h.finish(o.Completed())),
    "failed": _then(_single, lambda h: h.finish(failed())),
    "dead-lettered": _then(_executing, lambda h: h.finish(failed(retryable=False))),
    "failed by waiting too long": _then(_executing, lambda h: h.finish(o.Parked(T0 + HOUR, GO)), lambda h: h.due()),
    "waiting for an approval": _gated,
    "waiting for two approvals": lambda: _gated(2),
    "waiting for the second approval": _then(lambda: _gated(2), lambda h: h.apply(voting(h.standing.run_id))),
    "approved": _then(_gated, lambda h: h.apply(voting(h.standing.run_id))),
    "denied": _then(_gated, lambda h: h.apply(voting(h.standing.run_id, "deny", comment=text("not today")))),
    "never decided": _then(_gated, lambda h: h.due()),
    "cancelled while it asked": _then(_gated, lambda h: h.stop("cancel")),
    "paused while it asked": _then(_gated, lambda h: h.stop("pause")),
    "approved in its pause": _then(_gated, lambda h: h.stop("pause"), lambda h: h.apply(voting(h.standing.run_id))),
    "agent waiting for an approval": _then(_acting, lambda h: h.finish(GATED)),
    "agent queued": _agent,
    "agent later": lambda: _agent(scheduled_at=T0 + HOUR),
    "agent in line": lambda: _agent(wait=Wait("dependency", "thr_1")),
    "agent executing": _acting,
    "agent waiting for input": _asking,
    "agent answered": _then(_asking, lambda h: h.apply(said(h.standing.run_id))),
    "agent steered": _then(_acting, lambda h: h.apply(said(h.standing.run_id, "steer", None))),
    "agent paused from a question": _then(_asking, lambda h: h.stop("pause")),
    "agent answered in its pause": _then(
        _asking, lambda h: h.stop("pause"), lambda h: h.apply(said(h.standing.run_id))
    ),
    "agent asked to cancel": _then(_acting, lambda h: h.stop("cancel")),
    "agent recovered": _then(_acting, lambda h: h.lose()),
    "agent completed": _then(_acting, lambda h: h.finish(o.Completed(output=text("Done.")), usage())),
    "agent failed": _then(_acting, lambda h: h.finish(failed(retryable=False))),
    "agent never answered": _then(_asking, lambda h: h.due()),
    "agent cancelled": _then(_acting, lambda h: h.stop("cancel"), lambda h: h.finish(o.Stopped(text("So fa")))),
    "runtime queued": _ordered,
    "runtime executing": _conducted,
    "runtime in a step": _then(_conducted, lambda h: h.append(*begun())),
    "runtime that reads": _then(_reading, lambda h: h.append(*begun("read"))),
    "runtime that is typed for": _then(
        _reading, lambda h: h.append(*begun("read")), lambda h: h.apply(typing(h.standing.run_id))
    ),
    "runtime with a step done": _then(_conducted, lambda h: h.append(*begun(), *done())),
    "runtime recovered": _then(_conducted, lambda h: h.append(*begun()), lambda h: h.lose()),
    "runtime paused": _then(_conducted, lambda h: h.stop("pause"), lambda h: h.finish(o.Stopped())),
    "runtime completed": _then(_conducted, lambda h: h.finish(o.Completed(stop=Stop("NONE")), *begun(), *done())),
    "runtime failed": _then(_conducted, lambda h: h.finish(failed(retryable=False))),
    "runtime asked to cancel": _then(_conducted, lambda h: h.stop("cancel")),
    "runtime cancelled": _then(_conducted, lambda h: h.stop("cancel"), lambda h: h.finish(o.Stopped())),
    "cancelled": _then(_mortal, lambda h: h.stop("cancel")),
    "expired": _then(_mortal, lambda h: h.expire()),
}
"""A run in every state, and in every way that matters to what comes next."""


def joining(history: History) -> c.Join:
    """Return the command of a trigger that joins a run."""
    described = ValueRef("2" * 64, 9, text("{}"))
    return c.Join(run_id=history.standing.run_id, payload=b"sealed", described=described, cause=CAUSE)


def commands_for(history: History) -> dict[str, c.Command]:
    """Return every command that can be asked of a run: under its lease, under another, and of every outcome."""
    run = history.standing
    run_id, epoch = run.run_id, run.lease_epoch
    outcomes: dict[str, o.Outcome] = {
        "completed": o.Completed(),
        "failed": failed(),
        "failed for good": failed(retryable=False),
        "accepted": o.Accepted(Trace(ttfb_us=5, status=202)),
        "parked": o.Parked(T0 + HOUR),
        "parked for an event": o.Parked(T0 + HOUR, GO),
        "parked for ever": o.Parked(None, Wait("child", "run_2", "c")),
        "parked for an answer": ASKED,
        "parked for an approval": GATED,
        "parked for two approvals": gated(2),
        "stopped": o.Stopped(),
        "released": o.Released(),
    }
    found: dict[str, c.Command] = {
        "submit": history.command,
        "join": joining(history),
        "claim": c.Claim(run_id, "wrk-2"),
        "stop cancel": c.Stop(run_id, "cancel", CAUSE),
        "stop pause": c.Stop(run_id, "pause", CAUSE),
        "due": c.Due(run_id),
        "expire": c.Expire(run_id),
        "throttle": c.Throttle(run_id, T0 + 2 * HOUR),
        "restart": c.Restart(run_id, CAUSE),
        "resume": c.Resume(run_id, CAUSE),
        "wake": c.Wake(run_id=run_id, on="event", key="go", cause=CAUSE, delivery=GIVEN),
        "answer": said(run_id),
        "answer to another": said(run_id, request_id="rq_2"),
        "steer": said(run_id, "steer", None),
        "approve": voting(run_id),
        "approve too": voting(run_id, by=replace(MEMBER, user_id="user_3")),
        "approve another": voting(run_id, checkpoint_id="apr_2"),
        "deny": voting(run_id, "deny"),
        "wake from an approval": c.Wake(run_id=run_id, on="approval", key="apr_1", cause=CAUSE),
        "wake with nothing": c.Wake(run_id=run_id, on="dependency", cause=CAUSE),
        "proceed": c.Proceed(run_id=run_id, on="dependency", cause=CAUSE, drafts=(log_line(),)),
        "proceed for another": c.Proceed(run_id=run_id, on="child", key="run_3", cause=CAUSE, outcome=o.Stopped()),
        **{
            f"proceed to {type(out).__name__}": c.Proceed(run_id=run_id, on="dependency", cause=CAUSE, outcome=out)
            for out in (o.Completed(), failed(retryable=False, reason="rejected"), o.Stopped())
        },
        "wake for another": c.Wake(run_id=run_id, on="event", key="other", cause=CAUSE, delivery=GIVEN),
        "type": typing(run_id, input_id="inp_2"),
        "end what is typed": typing(run_id, "end"),
        "resize": typing(run_id, "size"),
        "reschedule": c.Reschedule(run_id=run_id, scheduled_at=T0 + 2 * HOUR, cause=CAUSE),
        "reschedule to the past": c.Reschedule(run_id=run_id, scheduled_at=T0 - HOUR, cause=CAUSE),
        "debug": c.Debug(run_id, True, CAUSE),
        "debug no more": c.Debug(run_id, False, CAUSE),
    }
    for lease, number in (("", epoch), (" stale", epoch - 1), (" future", epoch + 1)):
        found[f"append{lease}"] = c.Append(run_id, number, (log_line(),))
        found[f"fence{lease}"] = c.Fence(run_id, number)
        found[f"lose{lease}"] = c.Lose(run_id, number, 0.5)
        found |= {f"finish {name}{lease}": c.Finish(run_id, number, out, 0.5) for name, out in outcomes.items()}
    return found
