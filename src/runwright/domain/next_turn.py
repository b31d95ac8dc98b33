"""What a remediation loop does next: decided by its run and its tree alone, so every worker decides the same.

In each turn, in this order: a cancel; a denial, by people or by the policy; clean; the ceilings; whether there was
progress. So a loop that is clean in the iteration that reaches a ceiling ends clean. What was begun goes on before
anything new begins, as far as the budget lets it.
"""

from __future__ import annotations

import msgspec

from runwright.domain import orchestration
from runwright.domain.agent_events import BudgetReached
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.loop_course import LoopCourse, OpenIteration
from runwright.domain.loop_terms import ITERATIONS_MAX, LoopTerms
from runwright.domain.next_move import left_s, reached
from runwright.domain.patching_plan import Attempt, Bench, plan
from runwright.domain.progress import is_clean
from runwright.domain.quality_gate import QualityGate
from runwright.domain.run import Run
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.verdict import BY_LIMIT, GateStatus, Stop

LIMITS = ("tokens", "cost_microusd", "wall_s", "tool_calls")
"""The limits of the budget in the order in which they are looked at, after the number of iterations."""


class Cease(msgspec.Struct, frozen=True):
    """Stop: the run was cancelled."""


class Begin(msgspec.Struct, frozen=True):
    """Lay the tree out, and read the policy of its base."""


class Survey(msgspec.Struct, frozen=True):
    """Look at the tree before any patch: these gates, then the scanners."""

    gates: tuple[QualityGate, ...]


class Try(msgspec.Struct, frozen=True):
    """Begin iteration `n`, if the patcher has anything to propose."""

    n: int
    attempt: Attempt


class AskFirst(msgspec.Struct, frozen=True):
    """Ask people to let the loop begin to repair."""


class Propose(msgspec.Struct, frozen=True):
    """Make the patch of the iteration that was begun: its model was to be asked."""

    iteration: OpenIteration


class Ask(msgspec.Struct, frozen=True):
    """Ask people to allow the patch."""

    iteration: OpenIteration


class Verify(msgspec.Struct, frozen=True):
    """Apply the patch, and look at the tree with it: these gates are left, then the scanners. Keep it, or put back."""

    iteration: OpenIteration
    gates: tuple[QualityGate, ...]


class Abandon(msgspec.Struct, frozen=True):
    """End the iteration that was begun: it comes to nothing."""

    iteration: OpenIteration
    why: str


class Warn(msgspec.Struct, frozen=True):
    """Say which limits are nearly used up."""

    limits: tuple[BudgetReached, ...]


class Exhaust(msgspec.Struct, frozen=True):
    """Say which limit has nothing left for what comes next."""

    limit: BudgetReached


class Halt(msgspec.Struct, frozen=True):
    """Say why the loop goes on no more."""

    stop: Stop


class Unable(msgspec.Struct, frozen=True):
    """Fail: what had to be looked at cannot be."""

    why: str


class Finish(msgspec.Struct, frozen=True):
    """End the run."""

    stop: Stop
    gate_status: GateStatus


Turn = (
    Cease | Begin | Survey | AskFirst | Try | Propose | Ask | Verify | Abandon | Warn | Exhaust | Halt | Unable | Finish
)  # fmt: skip


def next_turn(run: Run, bench: Bench, now: int) -> Turn:
    """Return what is to be done next; when it is done, the log says so, and the loop stands elsewhere."""
    run = bound(run)
    terms, course = run.spec.runtime, run.course
    assert terms is not None
    assert terms.loop is not None
    assert course is not None
    assert course.loop is not None
    loop = course.loop
    if run.stop == "cancel":
        return Cease()
    near = tuple(each for each in reached(run, now) if each.name not in course.warned and _is_near(each, terms))
    if near:
        return Warn(near)
    if loop.stop is not None:
        return Finish(loop.stop, orchestration.gate_status(course, terms))
    if course.denied is not None:
        return _ended(loop, Stop(course.denied), "it was denied")
    if loop.open is None and loop.standing is not None and is_clean(loop.standing, loop.gates, terms.loop):
        return Halt(Stop("NONE"))
    if course.exhausted is not None:
        return _ended(loop, Stop(BY_LIMIT[course.exhausted]), f"nothing is left of {course.exhausted}")
    late = left_s(run, now)
    if late is not None and late <= 0:
        return Exhaust(next(each for each in reached(run, now) if each.limit_name == "wall_s"))
    if loop.open is not None:
        return _going_on(loop, loop.open, terms.loop)
    return _anew(run, course, loop, bench, now)


def _ended(loop: LoopCourse, stop: Stop, why: str) -> Turn:
    return Halt(stop) if loop.open is None else Abandon(loop.open, why)


def _going_on(loop: LoopCourse, iteration: OpenIteration, terms: LoopTerms) -> Turn:
    if iteration.refused:
        return Abandon(iteration, f"the guard {iteration.refused[0]} refused the patch")
    if iteration.patch is None:
        return Propose(iteration)
    if terms.approvals.patch is not None and iteration.decided != "approved":
        return Ask(iteration)
    return Verify(iteration, unseen(loop, terms))


def unseen(loop: LoopCourse, terms: LoopTerms) -> tuple[QualityGate, ...]:
    """Return the gates that have not judged the tree that is looked at."""
    seen = {gate.gate_id for gate in loop.seen}
    return tuple(gate for gate in terms.quality_gates if gate.id not in seen)


def _anew(run: Run, course: Course, loop: LoopCourse, bench: Bench, now: int) -> Turn:
    runtime = run.spec.runtime
    assert runtime is not None
    terms = runtime.loop
    assert terms is not None
    if not loop.begun:
        return Begin()
    if loop.standing is None:
        return Survey(unseen(loop, terms))
    if terms.max_iterations is not None and loop.count >= terms.max_iterations:
        return Halt(Stop("MAX_ITERATIONS"))
    limits = {limit.limit_name: limit for limit in reached(run, now)}
    for name in LIMITS:
        if name in limits and limits[name].used >= limits[name].limit:
            return Exhaust(limits[name])
    if loop.idle >= (terms.max_no_progress or ITERATIONS_MAX):
        return Halt(Stop("DIMINISHING_RETURNS", f"{loop.idle} iterations in a row made nothing better"))
    attempt = plan(bench, loop.tried, terms)
    if attempt is not None:
        asks = terms.approvals.plan is not None and loop.plan != "approved"
        return AskFirst() if asks else Try(loop.count + 1, attempt)
    if not loop.standing.complete:
        missing = ", ".join(name for name, status in loop.standing.coverage.items() if status != "completed")
        return Unable(f"not every required scanner looked at all of the tree: {missing}")
    if bench.out_of_scope and not bench.findings:
        return Halt(Stop("PATH_OUT_OF_SCOPE", "all that is left lies where the policy lets nothing be changed"))
    return Halt(Stop("DIMINISHING_RETURNS", "nothing is left to try"))


def _is_near(limit: BudgetReached, terms: RuntimeTerms) -> bool:
    return limit.used * 100 >= limit.limit * terms.warn_at_pct
