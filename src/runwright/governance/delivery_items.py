"""What a call that delivers answers: one item for each run, in the order in which they were named."""

from __future__ import annotations

from typing import Literal, NamedTuple

from runwright.domain.delivery_events import DeliveryCourse, PullRequest
from runwright.domain.delivery_terms import Action, DeliveryTerms
from runwright.domain.delivery_wanted import Wanted
from runwright.domain.next_delivery import allowed_by
from runwright.domain.run import Run
from runwright.governance.delivery_order import Problem

StepStatus = Literal["done", "unchanged", "failed", "pending", "planned", "skipped"]
DENIED = ("APPROVAL_DENIED", "APPROVAL_EXPIRED")
_SAID = {
    "APPROVAL_DENIED": "people have denied it; say ask_again to ask them once more",
    "APPROVAL_EXPIRED": "nobody allowed it in time, which is a denial; say ask_again to ask once more",
}


class Step(NamedTuple):
    """An action, and how far it has come."""

    action: Action
    status: StepStatus
    detail: str | None = None


class Item(NamedTuple):
    """What became of one run."""

    run_id: str
    status: Literal["succeeded", "failed", "skipped"]
    steps: tuple[Step, ...]
    delivery_run_id: str | None = None
    commit_sha: str | None = None
    branch: str | None = None
    pull_request: PullRequest | None = None
    checkpoint_id: str | None = None
    evidence_event_id: str | None = None
    error: Problem | None = None


class Batch(NamedTuple):
    """What became of all; equal calls have the same id."""

    batch_id: str
    on_error: str
    dry_run: bool
    items: tuple[Item, ...]


def failed(run_id: str, wanted: Wanted, problem: Problem) -> Item:
    """Return the item of a run that cannot be delivered as it stands."""
    return Item(run_id, "failed", tuple(Step(action, "skipped") for action in wanted.actions), error=problem)


def skipped(run_id: str, wanted: Wanted) -> Item:
    """Return the item of a run that comes after one that failed."""
    problem = Problem("SKIPPED_FAIL_FAST", "a run before it was not delivered", True)
    return Item(run_id, "skipped", tuple(Step(action, "skipped") for action in wanted.actions), error=problem)


def planned(terms: DeliveryTerms) -> Item:
    """Return the item of a run that would be delivered."""
    steps = tuple(Step(action, "planned") for action in terms.actions)
    return Item(terms.run_id, "succeeded", steps, branch=terms.branch)


def outcome_of(run: Run) -> Literal["under_way", "succeeded", "denied", "failed"]:
    """Return how a delivery stands."""
    course = run.course
    if not run.terminal:
        return "under_way"
    if run.state == "completed" and course is not None and course.stop is not None:
        if course.stop.code == "NONE":
            return "succeeded"
        if course.stop.code in DENIED:
            return "denied"
    return "failed"


def item_of(run: Run, terms: DeliveryTerms) -> Item:
    """Return the item of a delivery, as it stands."""
    own = run.spec.runtime
    terms = own.delivery if own is not None and own.delivery is not None else terms
    course = run.course
    came = DeliveryCourse() if course is None or course.delivery is None else course.delivery
    error = _problem(run, came)
    opened, prepared = came.pull_request, came.prepared
    asked = None if course is None else course.pending[-1] if course.pending else allowed_by(terms, course)
    return Item(
        run_id=terms.run_id,
        status="succeeded" if error is None else "failed",
        steps=tuple(_step(action, came) for action in terms.actions),
        delivery_run_id=run.run_id,
        commit_sha=None if prepared is None else prepared.commit_sha,
        branch=terms.branch,
        pull_request=None
        if opened is None
        else PullRequest(provider=opened.provider, number=opened.number, url=opened.url, reused=opened.reused),
        checkpoint_id=asked,
        evidence_event_id=f"{run.run_id}.{run.seq}",
        error=error,
    )


def _step(action: Action, came: DeliveryCourse) -> Step:
    if came.has_done(action):
        same = action == "push" and came.pushed is not None and came.pushed.unchanged
        warning = came.pull_request.warning if action == "open_pr" and came.pull_request is not None else None
        return Step(action, "unchanged" if same else "done", warning)
    if came.refused is not None and came.refused.action == action:
        return Step(action, "failed", came.refused.message)
    return Step(action, "skipped" if came.refused is not None else "pending")


def _problem(run: Run, came: DeliveryCourse) -> Problem | None:
    course = run.course
    outcome = outcome_of(run)
    if outcome == "succeeded":
        return None
    if outcome == "under_way":
        if run.state == "waiting":
            return Problem("APPROVAL_MISSING", "people are asked; make the same call once they have allowed it", True)
        return Problem("IN_PROGRESS", f"the delivery is {run.state}; make the same call again", True)
    if came.refused is not None:
        why = came.refused
        return Problem(why.code, why.message, why.retryable, why.retry_after_s)
    if course is not None and course.denied is not None:
        code: Literal["APPROVAL_DENIED", "APPROVAL_EXPIRED"] = (
            "APPROVAL_EXPIRED" if course.denied == "APPROVAL_EXPIRED" else "APPROVAL_DENIED"
        )
        return Problem(code, _SAID[code])
    if run.state == "cancelled":
        return Problem("CANCELLED", "the delivery was cancelled; make the same call to begin it anew", True)
    return Problem("TOOL_FAILED", run.error or "the delivery failed", True)
