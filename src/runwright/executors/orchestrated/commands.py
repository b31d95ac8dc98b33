"""Run the command of a step in the sandbox, and say what came of it.

What a command changes is kept where the run may write; what a gate changes never is: its verdict is about the tree as
it found it.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from runwright.agents.notes import Kept, Note
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import OutOfScope, RunWorkspace, Snapshot
from runwright.domain import agent_events as a
from runwright.domain import runtime_events as r
from runwright.domain.agent_events import RUN_SCOPE, BudgetReached
from runwright.domain.next_move import PATHS
from runwright.domain.redaction import RedactedText, Redactor
from runwright.domain.runtime_terms import CommandStep, GateStep
from runwright.engine.attempt import Attempt
from runwright.executors.orchestrated.hands import Follow, Hands
from runwright.executors.terminal import Terminal
from runwright.gates.quality import Status, absent, said_of
from runwright.sandbox.child import NO_PROGRAM, NotStarted
from runwright.sandbox.command import Command, Ended
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.snapshot import EMPTY, TreeRefused

TOOL = "command"
NO_END = Ended(None, "", False, None)


class Done(msgspec.Struct, frozen=True):
    """What came of a step: its status, why, and what is to be written and kept beside it."""

    status: r.StepStatus
    detail: RedactedText | None = None
    exit_code: int | None = None
    snapshot: Snapshot | None = None
    notes: tuple[Note, ...] = ()
    kept: tuple[Kept, ...] = ()


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step works."""

    workspace: RunWorkspace
    bounds: ToolBounds
    redactor: Redactor
    attempt: Attempt
    tree_hash: str | None
    follow: Follow
    seq: int
    """Where the log stands at the beginning of the step."""
    wall_s: int | None
    """How long the whole run may execute."""


def call_of(step: CommandStep | GateStep) -> str:
    """Return the id of the command of a step: there is one."""
    return f"cmd_{step.ident}"


async def run_step(step: CommandStep | GateStep, place: Place, left_s: float | None) -> Done:
    """Run the command of a step, for at most so long. Raises `NotStarted`."""
    clock, bounds = place.attempt.clock, place.bounds
    timeout_s = step.timeout_seconds if left_s is None else min(step.timeout_seconds, left_s)
    command = Command(
        words=step.command,
        timeout_s=timeout_s,
        memory_bytes=bounds.memory_bytes,
        cpus=bounds.cpus,
        output_max_bytes=bounds.output_max_bytes,
        env={"RUNWRIGHT_RUN_ID": place.attempt.run.run_id, "RUNWRIGHT_STEP_ID": step.ident},
        tty=step.tty,
        stdin=isinstance(step, CommandStep) and step.stdin,
    )
    terminal = Terminal(place.attempt, call_of(step), clock.now)
    began = clock.monotonic()
    hands = Hands(place.attempt, call_of(step), terminal, place.follow, place.seq)
    held = hands.hold if command.tty or command.stdin else None
    terminal.begin(step.command, cwd=WORKSPACE, tty=command.tty, stdin=command.stdin)
    ended, missing = NO_END, None
    try:
        ended = await place.workspace.run(command, terminal.heard, held)
    except NotStarted as why_not:
        if not str(why_not).startswith(NO_PROGRAM):
            raise
        missing = absent(step.command[0])
    finally:
        terminal.end(ended.status)
    duration_ms = int((clock.monotonic() - began) * 1000)
    snapshot, refused = await _settled(step, place)
    said = _said(step, ended, timeout_s, missing)
    why = said.why or (None if refused is None else _put_back(refused))
    detail = None if why is None else place.redactor.text(why)
    result = a.ToolResult(
        tool_call_id=call_of(step),
        tool_name=TOOL,
        result={"exit_code": ended.status},
        error=None if ended.status is not None else {"code": "command.ended", "message": detail},
        duration_ms=duration_ms,
        truncated=ended.truncated,
    )
    notes = [Note("tool.result", result)]
    late = ended.status is None and ended.exceeded is None and missing is None
    if late and left_s is not None and left_s <= step.timeout_seconds:
        notes.append(Note("budget.exhausted", _out_of_time(place), "warning"))
    if isinstance(step, GateStep):
        notes.append(_verdict(step, place, ended, said, duration_ms))
    status: r.StepStatus = "succeeded" if why is None else "failed"
    if isinstance(refused, OutOfScope):
        status = "denied"
        notes.append(_denied(refused, place))
    return Done(status, detail, ended.status, snapshot, tuple(notes))


async def _settled(step: CommandStep | GateStep, place: Place) -> tuple[Snapshot | None, TreeRefused | None]:
    if not place.workspace.writable:
        return None, None
    if isinstance(step, GateStep):
        await place.workspace.put_back()
        return None, None
    try:
        return await place.workspace.settle(), None
    except TreeRefused as why:
        return None, why


def _put_back(why: TreeRefused) -> str:
    return f"the workspace cannot be kept, and is again as it was before: {why}"


def _denied(why: OutOfScope, place: Place) -> Note:
    """Return `policy.denied`: what a command changed that it may not is put back, and the run goes no further."""
    text = place.redactor.text
    data = r.PolicyDenied(
        rule_id=PATHS,
        subject=text(why.paths[0]),
        decision="deny",
        reason=text(f"{why}; it is put back"),
        code="PATH_OUT_OF_SCOPE",
    )
    return Note("policy.denied", data, "warning")


class _Said(NamedTuple):
    """What the end of a command means: a verdict, and why it has not succeeded, None for one that has."""

    status: Status
    why: str | None


def _said(step: CommandStep | GateStep, ended: Ended, timeout_s: float, missing: str | None) -> _Said:
    if missing is not None:
        return _Said("not_run", missing)
    status, told = said_of(ended, step.command[0], timeout_s)
    if isinstance(step, CommandStep) and ended.status is not None:
        told = f"it ended with the exit code {ended.status}"  # one of its own, whatever it is
    return _Said(status, None if status == "green" else told)


def _out_of_time(place: Place) -> BudgetReached:
    limit = place.wall_s or 0
    return BudgetReached(scope=RUN_SCOPE, limit_name="wall_s", used=limit, limit=limit)


def _verdict(step: GateStep, place: Place, ended: Ended, said: _Said, duration_ms: int) -> Note:
    judged = r.GateJudged(
        gate_id=step.ident,
        name=step.title,
        status=said.status,
        required=step.required,
        detail=place.redactor.text(said.why or "it ended with the exit code 0"),
        exit_code=ended.status,
        duration_ms=duration_ms,
        tree_hash=place.tree_hash or EMPTY,
    )
    return Note("gate.result", judged, "info" if said.status == "green" else "warning")
