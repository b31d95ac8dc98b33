"""What a caller asks of deliveries: from an order and a run to terms, or to why there are none."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from runwright.domain import delivery_terms as t
from runwright.domain.course import Course
from runwright.domain.delivery_events import Code
from runwright.domain.delivery_report import report
from runwright.domain.delivery_wanted import Wanted
from runwright.domain.instants import SECOND_US
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.orchestration import gate_status
from runwright.domain.progress import is_green
from runwright.domain.run import Run
from runwright.domain.runtime_terms import WRITES, RuntimeTerms
from runwright.domain.verdict import GateStatus
from runwright.sandbox.snapshot import EMPTY

HEADS = "refs/heads/"


class DeliveryOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become of several runs; None: what the order of the run itself says, else a commit.

    `ask_again`: also of those of which people have denied it before.
    """

    runs: tuple[tuple[str, Wanted | None], ...]
    on_error: str = "continue"
    dry_run: bool = False
    ask_again: bool = False


class Problem(NamedTuple):
    """Why a run is not delivered."""

    code: Code
    message: str
    retryable: bool = False
    retry_after_s: int | None = None


def wanted_of(run: Run) -> Wanted:
    """Return what is to become of a run by its own order: that of a loop may say it; else it is committed."""
    terms = run.spec.runtime
    deliver = None if terms is None or terms.loop is None else terms.loop.deliver
    return Wanted() if deliver is None else deliver.wanted


def refused(run: Run) -> Problem | None:
    """Return why a run cannot be delivered as it stands; None where it can."""
    terms, course = run.spec.runtime, run.course
    if terms is None or terms.delivery is not None:
        return Problem("MODE_NOT_WRITE_CAPABLE", f"a run of the kind {run.spec.kind} has nothing to deliver")
    if terms.mode not in WRITES or not terms.writable:
        return Problem("MODE_NOT_WRITE_CAPABLE", f"the mode {terms.mode} ({terms.runtime_profile}) lets no run write")
    if not run.terminal and run.state != "paused":
        return Problem("RUN_NOT_TERMINAL_OR_PAUSED", f"the run is {run.state}; wait for its end, or pause it", True)
    if course is None or terms.repo is None:
        why = "its data were erased" if course is None else "it has no repository"
        return Problem("WORKSPACE_MISSING", f"there is no workspace that could be committed: {why}")
    if course.snapshot is None and course.laid_hash is None:
        return Problem("WORKSPACE_MISSING", "the run never had a workspace: its repository was not checked out")
    if course.snapshot is None or course.snapshot.tree_hash == course.laid_hash:
        return Problem("NOTHING_TO_COMMIT", "the tree is that of the commit that the run began with")
    return _not_green(run, course, terms)


def _not_green(run: Run, course: Course, terms: RuntimeTerms) -> Problem | None:
    """Return what is not green of the exact tree that would be delivered."""
    if course.loop is not None and terms.loop is not None:
        return _loop_not_green(run, course, course.loop.terms or terms.loop)
    assert course.snapshot is not None
    for gate in course.gates:
        if gate.required and gate.status != "green":
            return Problem("GATE_NOT_GREEN", f"the gate {gate.name} is {gate.status}")
        if gate.required and gate.tree_hash != course.snapshot.tree_hash:
            return Problem("GATE_NOT_GREEN", f"the gate {gate.name} looked at another tree: something changed after it")
    if run.terminal and course.gate_status not in ("passed", "skipped"):
        return _verdict(course, course.gate_status)
    missing = {step.ident for step in terms.steps if getattr(step, "required", False)}
    missing -= {gate.gate_id for gate in course.gates}
    if missing:
        return Problem("GATE_NOT_GREEN", f"these gates have not run: {', '.join(sorted(missing))}")
    return None


def _loop_not_green(run: Run, course: Course, asked: LoopTerms) -> Problem | None:
    """Return what is not green of the tree that a loop kept; it keeps a tree with what the gates said of that one."""
    for gate_id in asked.required:
        if not is_green(course.gates, gate_id, asked):
            said = next((each.status for each in course.gates if each.gate_id == gate_id), "not_run")
            return Problem("GATE_NOT_GREEN", f"the gate {gate_id} is {said}")
    assert run.spec.runtime is not None
    verdict = course.gate_status if run.terminal else gate_status(course, run.spec.runtime)
    return None if verdict == "passed" else _verdict(course, verdict)


def _verdict(course: Course, verdict: GateStatus) -> Problem:
    stop = "" if course.stop is None else f" ({course.stop.code})"
    return Problem("GATE_NOT_GREEN", f"the verdict over the run is {verdict}{stop}")


def terms_of(run: Run, wanted: Wanted) -> t.DeliveryTerms:
    """Return the terms of a run's delivery. Raises `InvalidRequest` for a branch that is no name of one."""
    terms, course = run.spec.runtime, run.course
    assert terms is not None
    assert course is not None
    assert course.snapshot is not None
    objective = t.objective_of(run.run_id, terms.objective)
    base_sha = course.head_sha or "no commit"
    places = {
        "run_id": run.run_id,
        "objective": terms.objective.strip() or objective,
        "base_sha": base_sha,
        "tree_hash": course.snapshot.tree_hash,
    }
    title = {**places, "objective": objective}
    order, asked = wanted.commit, wanted.pull_request
    message = objective if order.message is None else t.filled(order.message, places)
    pull_request = t.PullRequestTerms(
        title=t.filled(asked.title, title),
        body=t.filled(asked.body_template, {**places, "report": report(course)}),
        body_template=asked.body_template,
        base=asked.base,
        draft=asked.draft,
        if_no_drafts=asked.if_no_drafts,
        labels=asked.labels,
        reviewers=asked.reviewers,
    )
    return t.DeliveryTerms(
        run_id=run.run_id,
        snapshot=course.snapshot,
        laid_hash=course.laid_hash or EMPTY,
        base_sha=course.head_sha,
        actions=wanted.actions,
        message=t.message_of(message, run.run_id, order.author, order.trailers, signoff=order.signoff),
        author=order.author,
        at_s=run.spec.created_at // SECOND_US,
        branch=t.require_branch(t.filled(wanted.branch, places), "branch.template"),
        base=_base(wanted, course),
        if_base_moved=_stops(wanted, course),
        pull_request=pull_request if "open_pr" in wanted.actions else None,
    )


def _base(wanted: Wanted, course: Course) -> str | None:
    """Return the branch that a commit is for: the one that is named, or that the run was checked out from."""
    ref = course.ref or ""
    found = ref.removeprefix(HEADS) if ref.startswith(HEADS) else None
    return wanted.pull_request.base or found


def _stops(wanted: Wanted, course: Course) -> t.OnBaseMoved:
    """Return whether a branch that has gone on is looked at: a tag or a commit is of none."""
    of_branch = course.ref in (None, "HEAD") or _base(wanted, course) is not None
    return wanted.if_base_moved if of_branch else "deliver"
