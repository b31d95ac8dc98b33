"""What the executor of runtime runs writes: events in their shapes, and the values that they name by digest."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from runwright.agents.notes import Kept, Note, kept_of
from runwright.domain import agent_events as a
from runwright.domain import runtime_events as r
from runwright.domain.approval import ApprovalRequest, digest_of
from runwright.domain.course import Course
from runwright.domain.next_move import Deny
from runwright.domain.redaction import RedactedText
from runwright.domain.runtime_terms import (
    AgentStep,
    ApprovalStep,
    CommandStep,
    GateStep,
    RuntimeTerms,
    Step,
    kind_of,
)
from runwright.domain.verdict import GateStatus, Stop
from runwright.domain.workspace import WorkspaceSnapshot
from runwright.executors.orchestrated.commands import TOOL, Done, call_of
from runwright.sandbox.snapshot import EMPTY

_canonical = msgspec.json.Encoder(order="deterministic").encode


def begun(step: Step, lease_epoch: int, *, again: bool) -> Note:
    """Return `step.started`."""
    data = r.StepBegun(step_id=step.ident, kind=kind_of(step), name=step.title, lease_epoch=lease_epoch, again=again)
    return Note("step.started", data)


def called(step: CommandStep | GateStep) -> Note:
    """Return `tool.call`: the command of a step is about to be made."""
    arguments = {"command": list(step.command)}
    data = a.ToolCall(
        tool_call_id=call_of(step),
        tool_name=TOOL,
        arguments=arguments,
        risk="medium",
        args_sha256=sha256(_canonical(arguments)).hexdigest(),
    )
    return Note("tool.call", data)


def asks(step: ApprovalStep, terms: RuntimeTerms, course: Course) -> ApprovalRequest:
    """Return what people are asked: to allow the steps to come, over the tree as it is. Raises `PolicyInvalid`."""
    if course.policy is not None:
        step = course.policy.asks(step)
    place = [each.ident for each in terms.steps].index(step.ident)
    subject = {
        "kind": "tree",
        "tree_hash": EMPTY if course.snapshot is None else course.snapshot.tree_hash,
        "repo": terms.repo,
        "head_sha": course.head_sha,
        "steps": msgspec.to_builtins(terms.steps[place + 1 :]),
    }
    return ApprovalRequest(
        gate_id=step.gate_id,
        summary=step.summary,
        subject_sha256=digest_of(subject),
        subject=subject,
        risk=step.risk,
        quorum=step.quorum,
        roles=step.roles,
        exclude_actors=step.exclude_actors,
        ttl_s=step.ttl_seconds,
    )


def denied(move: Deny, text: Callable[[str], RedactedText]) -> list[Note]:
    """Return what is written of a step that a policy does not let be done."""
    step, reason = move.step, text(move.why)
    data = r.PolicyDenied(
        rule_id=move.rule_id, subject=text(move.subject), decision="deny", reason=reason, code="POLICY_DENIED"
    )
    return [Note("policy.denied", data, "warning"), ended(step, Done("denied", reason))]


def unknown(*, paused: bool) -> str:
    """Return why nobody knows what became of a step that may not be made again."""
    broken_off = "the pause of the run broke it off" if paused else "it was broken off with the worker that ran it"
    return f"{broken_off}; nobody knows how far it came, and it may not be made again"


def ended(step: Step, done: Done, duration_ms: int = 0, snapshot: WorkspaceSnapshot | None = None) -> Note:
    """Return `step.completed`."""
    data = r.StepEnded(
        step_id=step.ident,
        kind=kind_of(step),
        name=step.title,
        status=done.status,
        duration_ms=duration_ms,
        exit_code=done.exit_code,
        detail=done.detail,
        on_failure=_on_failure(step),
        snapshot=snapshot,
    )
    return Note("step.completed", data, "info" if done.status in ("succeeded", "skipped") else "warning")


def done(step: Step, came: Done, duration_ms: int) -> tuple[list[Note], list[Kept]]:
    """Return what is written of a step that was done, and what is kept beside it."""
    told = None if came.snapshot is None else came.snapshot.told
    return [*came.notes, ended(step, came, duration_ms, told)], [*came.kept, *kept_of(came.snapshot)]


def result(course: Course, stop: Stop, gate_status: GateStatus) -> dict[str, Any]:
    """Return the result of a run that has come to its end."""
    return {
        "stop": {"class": stop.stop_class, "code": stop.code, "detail": stop.detail},
        "gate_status": gate_status,
        "exit_code": stop.exit_code(gate_status),
        "narrative": course.narrative,
        "steps": [
            {"step_id": step.step_id, "kind": step.kind, "status": step.status, "exit_code": step.exit_code}
            for step in course.done
        ],
    }


def _on_failure(step: Step) -> Any:
    if isinstance(step, GateStep):
        return "stop" if step.required else "continue"
    return step.on_failure if isinstance(step, AgentStep | CommandStep) else "stop"
