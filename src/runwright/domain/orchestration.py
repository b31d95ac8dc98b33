"""What the log of a runtime run says of its course: a fold, so that any worker goes on where another ended.

It is kept up to date by `domain.state`, event by event, wherever they come from: the executing side, a person who
decides, the engine. A step that was begun and has not ended is known by the lease under which it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain import delivery_events, loop_fold
from runwright.domain import runtime_events as r
from runwright.domain.base_policy import PolicyRead
from runwright.domain.commands import Decision
from runwright.domain.course import STAGES_KEPT, Course, DoneStep, Findings, OpenStep, StageAt, Untaken
from runwright.domain.events import Draft
from runwright.domain.loop_course import LoopCourse
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.progress import not_green
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.terminal_events import INPUT, TYPED, Touched, Typed
from runwright.domain.verdict import BY_LIMIT, GateStanding, GateStatus, Stop

Told = TypeVar("Told")
Follow = Callable[[Course, bytes, int], Course]
TURNS = "turns"
"""The limit of one step, not of the run: at its end the step has failed."""


def course_of(terms: RuntimeTerms) -> Course:
    """Return the course of a run that nothing has happened to."""
    return Course(loop=None if terms.loop is None else LoopCourse())


def follow(course: Course, drafts: Iterable[Draft], at: int) -> Course:
    """Return the course after these events, which happened at an instant (µs)."""
    for draft in drafts:
        step = _STEPS.get(draft.type)
        if step is not None and (course.loop is None or draft.type not in loop_fold.OWN):
            course = step(course, draft.data, at)
        course = loop_fold.follow(course, draft.type, draft.data, at)
    return course


def followed(decision: Decision, course: Course, at: int) -> Decision:
    """Return a decision about a runtime run, with how far the run has come by the events that it makes."""
    return replace(decision, run=replace(decision.run, course=follow(course, decision.events, at)))


def gate_status(course: Course, terms: RuntimeTerms) -> GateStatus:
    """Return what the gates and the findings say together; what has not run is not green."""
    if course.pending:
        return "needs_approval"
    if course.loop is not None and terms.loop is not None:
        return _of_loop(course, course.loop, terms, terms.loop)
    if any(step.status == "failed" and step.kind != "gate" and step.blocks for step in course.done):
        return "error"
    required = [gate for gate in course.gates if gate.required]
    missing = {step.ident for step in terms.steps if _judges(step)} - {gate.gate_id for gate in course.gates}
    if missing or any(gate.status != "green" for gate in required) or course.denied is not None:
        return "blocked"
    if any(course.findings.open.get(severity, 0) for severity in terms.gate.blocking):
        return "blocked"
    return "passed" if course.gates or course.findings.scanned else "skipped"


def _of_loop(course: Course, loop: LoopCourse, terms: RuntimeTerms, asked: LoopTerms) -> GateStatus:
    """Return what the last look at the kept tree says."""
    if loop.standing is None:
        return "skipped"
    if not loop.standing.complete:
        return "error"
    held = loop.terms or asked
    left = any(loop.standing.findings.get(severity, 0) for severity in (*terms.gate.blocking, *held.block_on))
    return "blocked" if left or not_green(loop.gates, held) else "passed"


def gate_so_far(course: Course) -> GateStatus:
    """Return what is sure already of a run that goes on: people are asked, or a required gate is not green."""
    if course.pending:
        return "needs_approval"
    red = any(gate.required and gate.status != "green" for gate in course.gates)
    return "blocked" if red or course.denied is not None else "skipped"


def stop_of(course: Course, terms: RuntimeTerms) -> Stop:
    """Return why a run ends that has nothing left to do, or may do no more."""
    if course.denied is not None:
        return Stop(course.denied)
    failed = next((step for step in course.done if step.blocks and step.kind != "gate"), None)
    if course.exhausted is not None:
        return Stop(BY_LIMIT[course.exhausted])
    if failed is not None:
        return Stop("STEP_FAILED", f"{failed.name}: {failed.detail}" if failed.detail else failed.name)
    red = next((gate for gate in course.gates if gate.required and gate.status != "green"), None)
    if red is not None:
        return Stop("GATE_NOT_GREEN", red.name)
    if any(course.findings.open.get(severity, 0) for severity in terms.gate.blocking):
        return Stop("FINDINGS_REMAIN")
    return Stop("NONE")


def _judges(step: Any) -> bool:
    return bool(getattr(step, "required", False))


def _staged(course: Course, data: bytes, at: int) -> Course:
    return _to(course, _read(data, r.StageChanged).after, at)


def _to(course: Course, stage: str, at: int) -> Course:
    return replace(course, stage=stage, stages=(*course.stages, StageAt(stage, at))[-STAGES_KEPT:])


def _begun(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.StepBegun)
    was = course.open
    calls = was.calls if was is not None and told.again and was.step_id == told.step_id else ()
    return replace(course, open=OpenStep(told.step_id, told.kind, told.lease_epoch, at, calls))


def _paused(course: Course, data: bytes, at: int) -> Course:
    return course if course.open is None else replace(course, open=replace(course.open, paused=True))


def _ended(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.StepEnded)
    blocks = told.on_failure == "stop" and told.status not in ("succeeded", "skipped")
    detail = told.detail or ""
    done = DoneStep(told.step_id, told.kind, told.name, told.status, told.exit_code, told.duration_ms, detail, blocks)
    left = None if course.open is None or course.open.step_id == told.step_id else course.open
    snapshot = course.snapshot if told.snapshot is None else told.snapshot
    return replace(course, open=left, done=(*course.done, done), snapshot=snapshot)


def _judged(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.GateJudged)
    gate = GateStanding(told.gate_id, told.name, told.status, told.required, told.detail, told.tree_hash)
    others = tuple(each for each in course.gates if each.gate_id != told.gate_id)
    return replace(course, gates=(*others, gate))


def _called(course: Course, data: bytes, at: int) -> Course:
    ident, step = _read(data, a.ToolCall).tool_call_id, course.open
    if step is None or ident in step.calls:
        return course
    return replace(course, open=replace(step, calls=(*step.calls, ident)), tool_calls=course.tool_calls + 1)


def _answered(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, a.ToolResult)
    if course.open is not None:
        calls = tuple(each for each in course.open.calls if each != told.tool_call_id)
        course = replace(course, open=replace(course.open, calls=calls))
    return course if told.snapshot is None else replace(course, snapshot=told.snapshot)


def _touched(course: Course, data: bytes, at: int) -> Course:
    told, step = _read(data, Touched), course.open
    if step is None or told.what == "size":
        return course
    return replace(course, open=replace(step, untaken=(*step.untaken, Untaken(told.input_id, told.bytes))))


def _typed(course: Course, data: bytes, at: int) -> Course:
    ident, step = _read(data, Typed).input_id, course.open
    names = [] if step is None else [each.input_id for each in step.untaken]
    if step is None or ident not in names:
        return course
    return replace(course, open=replace(step, untaken=step.untaken[names.index(ident) + 1 :]))


def _warned(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, a.BudgetReached)
    return course if told.name == TURNS else replace(course, warned=(*course.warned, told.name))


def _exhausted(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, a.BudgetReached)
    if told.name == TURNS:
        return course
    name = told.limit_name if told.limit_name in BY_LIMIT else "cost_microusd"
    return replace(course, exhausted=name, warned=(*course.warned, told.name))


def _denied(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.PolicyDenied)
    return course if told.tool_call_id is not None else replace(course, denied=told.code)


def _told(course: Course, data: bytes, at: int) -> Course:
    return replace(course, narrative=_read(data, r.Narrative).text)


def _found(course: Course, data: bytes, at: int) -> Course:
    told, found = _plain(data), course.findings
    state, opened = told.get("baseline_state", "new"), found.opened + 1
    if state == "unchanged":
        found = replace(found, opened=opened, unchanged=found.unchanged + 1, scanned=True)
    else:
        new = found.new + (state == "new")
        found = replace(_open(found, str(told.get("severity")), 1), opened=opened, new=new, scanned=True)
    return replace(course, findings=found)


def _open(found: Findings, severity: str, more: int) -> Findings:
    return replace(found, open={**found.open, severity: max(found.open.get(severity, 0) + more, 0)})


def _suppressed(course: Course, data: bytes, at: int) -> Course:
    found = course.findings
    return replace(course, findings=replace(found, suppressed=found.suppressed + 1, scanned=True))


def _fixed(course: Course, data: bytes, at: int) -> Course:
    told, found = _plain(data), course.findings
    was = told.get("was", "open")
    if was == "open":
        found = _open(found, str(told.get("severity")), -1)
    else:
        found = replace(found, **{was: getattr(found, was) - 1})
    return replace(course, findings=replace(found, fixed=found.fixed + 1))


def _checked_out(course: Course, data: bytes, at: int) -> Course:
    told = _plain(data)
    return replace(course, head_sha=told.get("head_sha"), laid_hash=told.get("tree_hash"), ref=told.get("ref"))


def _bounded(course: Course, data: bytes, at: int) -> Course:
    return replace(course, policy=_read(data, PolicyRead))


def _scanned(course: Course, data: bytes, at: int) -> Course:
    looked = course.findings.scanned or _plain(data).get("status") != "not_run"
    return replace(course, findings=replace(course.findings, scanned=looked))


def _asked(course: Course, data: bytes, at: int) -> Course:
    ident = str(_plain(data).get("checkpoint_id"))
    step = None if course.open is None else replace(course.open, checkpoint_id=ident)
    return replace(course, open=step, pending=(*course.pending, ident))


_STOPPED = {"denied": "APPROVAL_DENIED", "expired": "APPROVAL_EXPIRED"}


def _decided(word: str) -> Follow:
    def decide(course: Course, data: bytes, at: int) -> Course:
        ident = str(_plain(data).get("checkpoint_id"))
        left = tuple(each for each in course.pending if each != ident)
        stop = _STOPPED.get(word, course.denied) if course.denied is None else course.denied
        return replace(course, pending=left, decided={**course.decided, ident: word}, denied=stop)

    return decide


def _completed(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.RuntimeCompleted)
    done = replace(_to(course, "DONE", at), gate_status=told.gate_status)
    return replace(done, stop=Stop(told.stop_code, told.detail or ""))


def _failed(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.RuntimeFailed)
    return replace(_to(course, "DONE", at), stop=Stop(told.stop_code, told.error), gate_status=told.gate_status)


def _cancelled(course: Course, data: bytes, at: int) -> Course:
    told = _read(data, r.RuntimeCancelled)
    return replace(
        _to(course, "DONE", at), pending=(), stop=Stop(told.stop_code, told.note or ""), gate_status=told.gate_status
    )


def _delivered(type_: str) -> Follow:
    go_on = delivery_events.follows(type_)

    def follow_it(course: Course, data: bytes, at: int) -> Course:
        came = go_on(course.delivery or delivery_events.DeliveryCourse(), data)
        prepared = came.prepared
        return replace(course, delivery=came, snapshot=course.snapshot if prepared is None else prepared.snapshot)

    return follow_it


def _read(data: bytes, shape: type[Told]) -> Told:
    return msgspec.json.decode(data, type=shape)


def _plain(data: bytes) -> dict[str, Any]:
    return msgspec.json.decode(data, type=dict[str, Any])


_STEPS: dict[str, Follow] = {
    "run.stage_changed": _staged,
    "step.started": _begun,
    "step.completed": _ended,
    "gate.result": _judged,
    "tool.call": _called,
    "tool.result": _answered,
    INPUT: _touched,
    TYPED: _typed,
    "budget.warning": _warned,
    "budget.exhausted": _exhausted,
    "policy.denied": _denied,
    "output.narrative": _told,
    "workspace.checked_out": _checked_out,
    "policy.read": _bounded,
    "scan.completed": _scanned,
    "finding.opened": _found,
    "finding.fixed": _fixed,
    "finding.suppressed": _suppressed,
    "approval.requested": _asked,
    **{f"approval.{word}": _decided(word) for word in ("approved", "denied", "expired", "superseded")},
    **{name: _delivered(name) for name in delivery_events.RECORDS},
    "run.paused": _paused,
    "run.completed": _completed,
    "run.failed": _failed,
    "run.cancelled": _cancelled,
}
"""Type → what it says of the course."""
