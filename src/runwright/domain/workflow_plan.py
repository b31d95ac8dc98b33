"""Where a workflow stands, and what comes next: which steps are released, which skipped, and how it ends. Pure.

The log of a workflow's run tells what has become of each step. `plan` looks at nothing else, so it may be asked again
at any time, by anybody, and after a crash.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain import workflow_events as w
from runwright.domain.events import Event
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.tenancy import Cause
from runwright.domain.workflow import Step, ancestors

Standing = Literal["pending", "started", "completed", "failed", "cancelled", "expired", "skipped"]
OVER: frozenset[Standing] = frozenset({"completed", "failed", "cancelled", "expired", "skipped"})
BROKEN: frozenset[Standing] = frozenset({"failed", "cancelled", "expired"})


class Stage(msgspec.Struct, frozen=True):
    """What has become of a step: its run, if it has one, which may be that of an earlier workflow (`reused`)."""

    standing: Standing = "pending"
    run_id: str | None = None
    reused: bool = False
    error: RedactedText | None = None
    error_class: str | None = None


class Plan(msgspec.Struct, frozen=True):
    """What comes next: the steps to release and to skip (with those because of which), and how the workflow ends."""

    release: tuple[str, ...] = ()
    skip: dict[str, tuple[str, ...]] = {}
    end: Literal["completed", "failed"] | None = None
    failed: tuple[str, ...] = ()


def told(events: Iterable[Event]) -> dict[str, Stage]:
    """Return what the log of a workflow's run says of its steps; one that it does not name is pending."""
    stages: dict[str, Stage] = {}
    for event in events:
        shape = w.SHAPES.get(event.type)
        if shape is None or event.data is None:
            continue
        match msgspec.json.decode(event.data, type=shape):
            case w.StepStarted(step=step, run_id=run_id):
                stages[step] = Stage("started", run_id)
            case w.StepReused(step=step, run_id=run_id):
                stages[step] = Stage("completed", run_id, reused=True)
            case w.StepSkipped(step=step):
                stages[step] = Stage("skipped")
            case w.StepEnded() as ended:
                stages[ended.step] = Stage(ended.state, ended.run_id, False, ended.error, ended.error_class)
    return stages


def plan(steps: Sequence[Step], standings: Mapping[str, Standing]) -> Plan:
    """Return what comes next where the steps stand so; a step that is not named is pending.

    A step that did not complete: `fail` starts nothing more and skips what is pending, and the workflow fails once what
    was started is over; `skip_dependents` skips whoever waits for it, directly or not; `continue` counts as done.
    """
    now: dict[str, Standing] = {step.key: standings.get(step.key, "pending") for step in steps}
    by_key = {step.key: step for step in steps}
    broken = tuple(s.key for s in steps if now[s.key] in BROKEN and s.on_failure == "fail")
    skip: dict[str, tuple[str, ...]] = {}
    release: list[str] = []
    waiting = [step for step in steps if now[step.key] == "pending"]
    while waiting:
        left = []
        for step in waiting:
            needed = {key: _gives(by_key[key], now[key]) for key in step.depends_on}
            never = broken or tuple(key for key, given in needed.items() if given == "never")
            if never:
                now[step.key] = "skipped"
                skip[step.key] = never
            elif all(given == "done" for given in needed.values()):
                release.append(step.key)
            else:
                left.append(step)
        if len(left) == len(waiting):
            break
        waiting = left
    if release or any(standing not in OVER for standing in now.values()):
        return Plan(tuple(release), skip, None, broken)
    return Plan((), skip, "failed" if broken else "completed", broken)


def _gives(step: Step, standing: Standing) -> Literal["done", "never", "open"]:
    if standing == "completed":
        return "done"
    if standing in BROKEN:
        return "done" if step.on_failure == "continue" else "never"
    return "never" if standing == "skipped" else "open"


def reusable(steps: Sequence[Step], stages: Mapping[str, Stage]) -> dict[str, str]:
    """Return the steps that need not be done again, with their runs: those that completed, after none that must be."""
    done = {step.key: stages[step.key] for step in steps if step.key in stages}
    kept = {key: stage.run_id for key, stage in done.items() if stage.standing == "completed" and stage.run_id}
    before = ancestors(steps)
    return {step.key: kept[step.key] for step in steps if step.key in kept and before[step.key] <= kept.keys()}


def failure(key: str, stage: Stage) -> o.Failed:
    """Return how a workflow fails that this step made fail."""
    said = f"the step {key!r} {WORDS[stage.standing]}" + (f": {stage.error}" if stage.error else "")
    return o.Failed(error_class="StepFailed", message=RedactedText(said), retryable=False)


WORDS = {"failed": "failed", "cancelled": "was cancelled", "expired": "expired"}


def follow(workflow: Run, step: Run) -> c.Command | None:
    """Return what a step's run is told where its workflow's was paused, or goes on; None where it does so already.

    Goes on what the workflow's pause has paused, and nothing else.
    """
    cause = Cause(f"run:{workflow.run_id}", f"the workflow is {workflow.state}")
    if workflow.state == "paused" and not step.terminal and step.state != "paused":
        return c.Stop(step.run_id, "pause", cause)
    if workflow.state == "waiting" and step.state == "paused" and step.reason == "parent":
        return c.Resume(step.run_id, cause)
    return None
