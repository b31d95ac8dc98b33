"""What the executor of a runtime run does next: decided by the run alone, so every worker decides the same.

In order: what was begun and has not ended; what is to be warned of; a denial or a limit, which ends the run; the next
step. A run whose last step is done ends by what its gates and findings say, whatever limit it has come to by then.
"""

from __future__ import annotations

import msgspec

from runwright.domain import orchestration
from runwright.domain.agent_events import RUN_SCOPE, BudgetReached
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.instants import SECOND_US
from runwright.domain.policy_approvals import PLAN
from runwright.domain.run import Run
from runwright.domain.runtime_terms import (
    AgentStep,
    ApprovalStep,
    CommandStep,
    GateStep,
    ReportStep,
    RuntimeTerms,
    Step,
)
from runwright.domain.verdict import GateStatus, Stop

COMMANDS, PATHS = "policy.commands", "policy.paths"
UNPLANNED = (
    "by the policy of the repository people allow the plan of a run first: put a step of the kind approval before it, "
    'with the gate_id "plan"'
)
LIMITS = ("cost_microusd", "tokens", "tool_calls", "wall_s")


class Begin(msgspec.Struct, frozen=True):
    """Do a step; `again`: it was begun before, and its workspace is as it was then. It may take so long (None: as long
    as it takes).
    """

    step: Step
    again: bool = False
    left_s: float | None = None


class Allowed(msgspec.Struct, frozen=True):
    """Go on: people have allowed it."""

    step: ApprovalStep


class GiveUp(msgspec.Struct, frozen=True):
    """Say that nobody knows how far a step came that may not be made again; `paused`: a pause broke it off."""

    step: Step
    paused: bool = False


class Skip(msgspec.Struct, frozen=True):
    """Say that steps are not done: one before them has failed."""

    steps: tuple[Step, ...]


class Warn(msgspec.Struct, frozen=True):
    """Say which limits are nearly used up."""

    limits: tuple[BudgetReached, ...]


class Exhaust(msgspec.Struct, frozen=True):
    """Say which limit has nothing left for what comes next."""

    limit: BudgetReached


class Deny(msgspec.Struct, frozen=True):
    """Say that a policy does not let a step be done: which rule of it, and why."""

    step: Step
    subject: str
    rule_id: str
    why: str


class Report(msgspec.Struct, frozen=True):
    """Tell in words what came of the run."""


class Finish(msgspec.Struct, frozen=True):
    """End the run."""

    stop: Stop
    gate_status: GateStatus


Move = Begin | Allowed | GiveUp | Skip | Warn | Exhaust | Deny | Report | Finish


def next_move(run: Run, now: int) -> Move:
    """Return what is to be done next; when it is done, the log says so, and the run stands elsewhere."""
    run = bound(run)
    terms, course = run.spec.runtime, run.course
    assert terms is not None
    assert course is not None
    turning = next((step for step in terms.steps if isinstance(step, AgentStep) and _is_open(step, course)), None)
    if turning is not None:
        return Begin(turning, again=True)  # its loop knows whether it has anything left, and ends it
    near = tuple(limit for limit in reached(run, now) if limit.name not in course.warned and _is_near(limit, terms))
    if near:
        return Warn(near)
    if course.denied is not None or course.exhausted is not None:
        return _end(course, terms)
    left = [step for step in terms.steps if not course.has_done(step.ident)]
    if not left:
        return _end(course, terms)
    if course.blocked and course.open is None:
        skipped = tuple(step for step in left if not isinstance(step, GateStep | ReportStep))
        if skipped:
            return Skip(skipped)
    step = next((step for step in left if course.open is not None and step.ident == course.open.step_id), left[0])
    again = course.open is not None
    if isinstance(step, ApprovalStep) and course.open is not None:
        decided = course.decided.get(course.open.checkpoint_id or "")
        if decided == "approved":
            return Allowed(step)
    if course.open is not None and isinstance(step, CommandStep) and step.effect == "unsafe":
        return GiveUp(step, course.open.paused)
    denied = _denied(step, course, terms)
    if denied is not None:
        return denied
    over = _over(run, step, now, again=again)
    if over is not None:
        return Exhaust(over)
    return Begin(step, again, left_s(run, now))


def _denied(step: Step, course: Course, terms: RuntimeTerms) -> Deny | None:
    """Return by what a step may not be done: the order's policy, or that of the base; None where it may."""
    said = course.policy
    if isinstance(step, CommandStep | GateStep):
        if not terms.policy.allows(step.command):
            return Deny(step, step.command[0], COMMANDS, "the program is none that the run's policy allows")
        if said is not None and not said.commands.allows(step.command):
            why = f"the program is none that {said.policy_file} allows"
            return Deny(step, step.command[0], "commands.allow", why)
    if isinstance(step, CommandStep | AgentStep) and said is not None and said.wants_plan(terms):
        planned = {each.ident for each in terms.steps if isinstance(each, ApprovalStep) and each.gate_id == PLAN}
        if not any(done.step_id in planned and done.status == "succeeded" for done in course.done):
            return Deny(step, step.title, f"approvals.{PLAN}", UNPLANNED)
    return None


def left_s(run: Run, now: int) -> float | None:
    """Return how long the run may still execute; None: as long as it takes."""
    terms = run.spec.runtime
    limit_s = None if terms is None else terms.budget.wall_s
    return None if limit_s is None else limit_s - executed_us(run, now) / SECOND_US


def executed_us(run: Run, now: int) -> int:
    """Return how long the run has executed (µs); what it waited does not count."""
    return run.active_us + (max(now - run.since_at, 0) if run.state == "executing" else 0)


def reached(run: Run, now: int) -> tuple[BudgetReached, ...]:
    """Return how far each limit of the run is used; what is not limited is not told of."""
    terms, course = run.spec.runtime, run.course
    if terms is None or course is None:
        return ()
    used = {
        "cost_microusd": run.usage.cost_microusd,
        "tokens": run.usage.input_tokens + run.usage.output_tokens,
        "tool_calls": course.tool_calls,
        "wall_s": executed_us(run, now) // SECOND_US,
    }
    limits = {name: getattr(terms.budget, name) for name in LIMITS}
    return tuple(
        BudgetReached(scope=RUN_SCOPE, limit_name=name, used=used[name], limit=limit)
        for name, limit in limits.items()
        if limit is not None
    )


def _is_open(step: Step, course: Course) -> bool:
    return course.open is not None and course.open.step_id == step.ident


def _is_near(limit: BudgetReached, terms: RuntimeTerms) -> bool:
    return limit.used * 100 >= limit.limit * terms.warn_at_pct


def _over(run: Run, step: Step, now: int, *, again: bool) -> BudgetReached | None:
    """Return the limit that has nothing left for a step; a report and a question cost nothing."""
    if isinstance(step, ReportStep | ApprovalStep):
        return None
    calls = isinstance(step, CommandStep | GateStep) and not again
    for limit in reached(run, now):
        more = 1 if limit.limit_name != "tool_calls" else int(calls)
        if limit.used + more > limit.limit:
            return limit
    return None


def _end(course: Course, terms: RuntimeTerms) -> Move:
    if not course.narrative:
        return Report()
    return Finish(orchestration.stop_of(course, terms), orchestration.gate_status(course, terms))


def narrative(run: Run) -> str:
    """Return what came of a run so far, in words: the same for the same course."""
    terms, course = run.spec.runtime, run.course
    assert terms is not None
    assert course is not None
    done = [step.step_id for step in course.done if step.status != "skipped"]
    done += (
        [course.open.step_id] if course.open is not None and course.open.kind == "report" else []
    )  # which tells this
    where = "an empty workspace" if terms.repo is None else f"{terms.repo} at {course.head_sha or terms.ref or 'HEAD'}"
    told = [f"In the mode {terms.mode}, over {where}: {len(done)} of {len(terms.steps)} steps were done."]
    told += [
        f"The step {step.name} ({step.kind}) {step.status}" + (f": {step.detail}." if step.detail else ".")
        for step in course.done
        if step.status != "succeeded"
    ]
    told += [
        f"The step {step.name} said: {step.detail}"
        for step in course.done
        if step.kind == "agent" and step.status == "succeeded" and step.detail
    ]
    told += [f"The gate {gate.name} is {gate.status}." for gate in course.gates]
    if course.findings.scanned:
        counts = ", ".join(f"{course.findings.open.get(name, 0)} {name}" for name in ("P0", "P1", "P2", "P3"))
        told.append(f"Open findings: {counts}.")
    if course.exhausted is not None:
        told.append(f"Its budget of {course.exhausted} has nothing left.")
    if course.denied is not None:
        told.append(f"It was stopped: {course.denied}.")
    return " ".join(told)
