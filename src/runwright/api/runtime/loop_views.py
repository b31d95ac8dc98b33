"""Remediation loops as they are shown, and what is asked of a new one."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.runtime import loop_schemas as wire
from runwright.api.runtime.addresses import LOOPS
from runwright.api.runtime.delivery_views import loop_delivery_view, of_loop
from runwright.api.runtime.order_fields import order_fields
from runwright.api.runtime.run_views import budget_view
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.loop_course import Iteration, LoopCourse, OpenIteration
from runwright.domain.loop_events import PatchFacts
from runwright.domain.loop_status import gate_color, state_of
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.run import Run
from runwright.governance.loop_deliveries import Standing
from runwright.governance.loops import LoopOrder
from runwright.governance.step_models import Models

_NEXT = {
    "pending": "check out the repository",
    "scanning": "look at the tree",
    "planning": "choose what is repaired next",
    "awaiting_approval": "decide the approval",
    "patching": "make a patch",
    "verifying": "look at the tree with the patch",
    "reconciling": "end",
    "delivering": "deliver what was kept",
}
_OF_DELIVERY = {
    "awaiting_approval": "decide the approval of the delivery",
    "failed": "mend what stopped the delivery, and deliver the loop by hand",
    "denied": "deliver the loop by hand with ask_again, if people are to be asked once more",
}
"""What is next after the end of a loop, by the state of its delivery."""


def order_of(body: wire.LoopRequest, key: str | None) -> LoopOrder:
    """Return what a request asks of a new loop."""
    return LoopOrder(
        mode=body.mode,
        run_id=body.run_id,
        loop=LoopTerms(
            targets=body.targets,
            max_iterations=body.max_iterations,
            max_no_progress=body.max_no_progress,
            quality_gates=body.quality_gates,
            strategy=body.strategy,
            approvals=body.approvals,
            clean_through=body.clean_through,
            deliver=of_loop(body.deliver),
        ),
        models=Models(orchestrator=body.models.orchestrator),
        **order_fields(body, key),
    )


def accepted_view(run: Run) -> wire.LoopAccepted:
    """Return what is told of a loop that was made."""
    return wire.LoopAccepted(loop_id=run.run_id, run_id=run.run_id, state=state_of(run))


def loop_view(run: Run, delivery: Standing | None, now: int) -> wire.LoopView:
    """Return where a loop stands, and the delivery that its order asks for."""
    run = bound(run)
    runtime, course = run.spec.runtime, run.course or Course()
    terms = (None if runtime is None else runtime.loop) or LoopTerms()
    loop, state = course.loop or LoopCourse(), state_of(run)
    stands = "" if delivery is None else delivery.state
    if stands in ("awaiting_approval", "under_way"):
        state = "delivering"
    standing = loop.standing
    best = None if standing is None else standing.findings
    return wire.LoopView(
        loop_id=run.run_id,
        run_id=run.run_id,
        state=state,
        run_state=run.state,
        iteration=loop.count,
        max_iterations=terms.max_iterations,
        max_no_progress=terms.max_no_progress,
        without_progress=loop.idle,
        exit_reason=loop.exit_reason,
        exit_detail=_exit(run, loop),
        gate_status=gate_color(loop, terms),
        gates=_gates(loop, terms),
        findings=wire.FindingCounts(
            start=None if loop.start is None else loop.start.findings,
            current=best,
            best=best,
            targeted=None if standing is None else standing.targeted,
            known=None if standing is None else standing.known,
            suppressed=None if standing is None else standing.suppressed,
        ),
        coverage={} if standing is None else dict(standing.coverage),
        iterations=_iterations(loop),
        budget=budget_view(run, course, now),
        usage_unverified=loop.unverified,
        pending_approvals=list(course.pending),
        repo=None if runtime is None else runtime.repo,
        ref=None if runtime is None else runtime.ref,
        head_sha=course.head_sha,
        tree_sha=loop.tree_hash or None,
        delivery=loop_delivery_view(delivery),
        next_action=_OF_DELIVERY.get(stands, _NEXT.get(state)),
        links=_links(run.run_id),
    )


def _links(run_id: str) -> dict[str, str]:
    own = f"/api/v1/runs/{run_id}"
    tails = ("status", "events", "terminal", "approvals", "evidence", "cancel")
    return {"self": f"{LOOPS}/{run_id}", **{tail: f"{own}/{tail}" for tail in tails}}


def _exit(run: Run, loop: LoopCourse) -> wire.ExitDetail | None:
    if loop.stop is None:
        return None
    return wire.ExitDetail(
        stop_class=loop.stop.stop_class,
        stop_code=loop.stop.code,
        message=loop.stop.detail,
        event_id=f"{run.run_id}.{run.seq}",
    )


def _gates(loop: LoopCourse, terms: LoopTerms) -> list[wire.LoopGate]:
    said = {gate.gate_id: gate for gate in loop.gates}
    asked = {gate.id: gate.required for gate in terms.quality_gates} | dict.fromkeys(terms.policy_gates, True)
    asked |= {gate.gate_id: gate.required for gate in loop.gates if gate.gate_id not in asked}
    return [
        wire.LoopGate(
            id=gate_id,
            status=said[gate_id].status if gate_id in said else "pending",
            required=required,
            detail=said[gate_id].detail if gate_id in said else "",
        )
        for gate_id, required in asked.items()
    ]


def _iterations(loop: LoopCourse) -> list[wire.IterationView]:
    found = [_iteration(each, loop) for each in loop.iterations]
    return found if loop.open is None else [*found, _iteration(loop.open, loop)]


def _iteration(each: Iteration | OpenIteration, loop: LoopCourse) -> wire.IterationView:
    done = each if isinstance(each, Iteration) else None
    return wire.IterationView(
        n=each.n,
        started_at=instants.text(each.began_at if isinstance(each, Iteration) else each.at),
        ended_at=None if done is None else instants.text(done.ended_at),
        patcher=each.patcher,
        targeted=list(each.targeted),
        owners=list(each.owners),
        patch=_patch(each.patch),
        verify=wire.Verified(
            gates={gate.gate_id: gate.status for gate in loop.seen} if done is None else done.gates,
            new_findings=0 if done is None else done.new_findings,
            fixed_findings=0 if done is None else done.fixed_findings,
        ),
        outcome=None if done is None else done.outcome,
        why="" if done is None else done.why,
        refused_by=list(each.refused),
        approvals=[] if each.checkpoint_id is None else [each.checkpoint_id],
        tree_sha=loop.tree_hash if done is None else done.tree_hash,
    )


def _patch(facts: PatchFacts | None) -> wire.PatchSummary | None:
    if facts is None:
        return None
    return wire.PatchSummary(sha256=facts.sha256, files=facts.files, added=facts.added, removed=facts.removed)
