"""Where runs stand, as the runtime surface shows it, and what is asked of a new one."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.runtime import run_schemas as wire
from runwright.api.runtime.order_fields import order_fields
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.money import MICRO
from runwright.domain.next_move import reached
from runwright.domain.orchestration import gate_so_far
from runwright.domain.run import Run, State
from runwright.domain.runtime_terms import GateStep, RuntimeTerms, Step, kind_of
from runwright.domain.verdict import GateStatus
from runwright.domain.words import word_of
from runwright.governance.runs import RuntimeOrder
from runwright.governance.step_models import Models

STAGES: dict[State, str] = {
    "scheduled": "QUEUED",
    "queued": "QUEUED",
    "executing": "RUNNING",
    "waiting": "WAITING",
    "paused": "PAUSED",
    "completed": "DONE",
    "failed": "DONE",
    "cancelled": "DONE",
    "expired": "DONE",
}
NOWHERE = Course()


def order_of(body: wire.RuntimeRunRequest, key: str | None) -> RuntimeOrder:
    """Return what a request asks of a new run."""
    return RuntimeOrder(
        mode=body.mode,
        runtime_profile=body.runtime_profile,
        steps=body.steps,
        pipeline=body.pipeline,
        models=Models(orchestrator=body.models.orchestrator),
        **order_fields(body, key),
    )


def run_view(run: Run, now: int) -> wire.RuntimeRun:
    """Return where a run of any kind stands."""
    spec, terms, course = run.spec, bound(run).spec.runtime, run.course or NOWHERE
    speaks = spec.speaks
    return wire.RuntimeRun(
        run_id=run.run_id,
        status=word_of(run),
        mode=None if terms is None else terms.mode,
        runtime_profile=None if terms is None else terms.runtime_profile,
        repo=None if terms is None else terms.repo,
        ref=None if terms is None else terms.ref,
        orchestrator_model=None if speaks is None else speaks.model,
        subagent_model=None,
        created_at=instants.text(spec.created_at),
        updated_at=instants.text(run.at),
        max_iterations=_most(terms),
        current_iteration=_iteration(run, course),
        current_stage=_stage(run, course),
        total_events=run.seq,
        kind=spec.kind,
        state=run.state,
        reason=run.reason,
        trace_id=spec.trace_id,
        objective=None if terms is None else terms.objective,
        labels=spec.tags,
        started_at=_text(run.started_at),
        ended_at=_text(run.finished_at),
        queued_ms=run.queued_us // 1000,
        stage_history=[wire.StageAt(stage=each.stage, at=instants.text(each.at)) for each in course.stages],
        summaries=wire.Summaries(
            findings=_findings(course),
            gates=_gates(course, terms),
            steps=_steps(run, course),
            usage=_usage(run),
            budget=budget_view(run, course, now),
            narrative=course.narrative,
        ),
        pending_approvals=list(course.pending),
        gate_status=course.gate_status if run.terminal else gate_so_far(course),
        stop=_stop(run, course),
        last_event=wire.LastEvent(event_id=f"{run.run_id}.{run.seq}", seq=run.seq, ts=instants.text(run.at)),
        evidence=wire.Sealed(head_hash=run.hash.hex(), sealed=run.terminal),
    )


def _most(terms: RuntimeTerms | None) -> int | None:
    if terms is None:
        return None
    return 1 if terms.loop is None else terms.loop.max_iterations


def _iteration(run: Run, course: Course) -> int | None:
    if run.spec.runtime is None:
        return None
    return int(run.started_at is not None) if course.loop is None else course.loop.count


def _stage(run: Run, course: Course) -> str:
    if run.course is None or run.state in ("scheduled", "queued", "paused"):
        return STAGES[run.state]
    if run.state == "waiting":
        return "AWAITING_APPROVAL" if run.reason == "approval" else "WAITING"
    return "PREPARING" if course.stage == "QUEUED" else course.stage


def _findings(course: Course) -> wire.FindingsSummary:
    found = course.findings
    counts = {name: found.open.get(name, 0) for name in ("P0", "P1", "P2", "P3")}
    return wire.FindingsSummary(
        **counts,
        total=sum(counts.values()),
        new=found.new,
        unchanged=found.unchanged,
        fixed=found.fixed,
        suppressed=found.suppressed,
        scanned=found.scanned,
    )


def _gates(course: Course, terms: RuntimeTerms | None) -> list[wire.GateSummary]:
    known = {gate.gate_id: gate for gate in course.gates}
    waiting = [step for step in (terms.steps if terms else ()) if isinstance(step, GateStep)]
    shown = [
        wire.GateSummary(
            id=gate.gate_id, name=gate.name, status=gate.status, required=gate.required, detail=gate.detail
        )
        for gate in course.gates
    ]
    return shown + [
        wire.GateSummary(id=step.ident, name=step.title, status="pending", required=step.required, detail="")
        for step in waiting
        if step.ident not in known
    ]


def _steps(run: Run, course: Course) -> list[wire.StepSummary]:
    terms = run.spec.runtime
    return [_step(run, course, step) for step in (terms.steps if terms else ())]


def _step(run: Run, course: Course, step: Step) -> wire.StepSummary:
    done = next((each for each in course.done if each.step_id == step.ident), None)
    return wire.StepSummary(
        id=step.ident,
        kind=kind_of(step),
        name=step.title,
        status=_undone(run, course, step) if done is None else done.status,
        exit_code=None if done is None else done.exit_code,
        duration_ms=None if done is None else done.duration_ms,
        detail="" if done is None else done.detail,
    )


def _undone(run: Run, course: Course, step: Step) -> str:
    """Return where a step stands that has not ended: what people refused, and what an ended run left, goes no more."""
    if course.open is None or course.open.step_id != step.ident:
        return "pending"
    if not run.terminal:
        return "running"
    word = course.decided.get(course.open.checkpoint_id or "")
    return word if word in ("denied", "expired") else "interrupted"


def _usage(run: Run) -> wire.UsageSummary:
    used, microusd = run.usage, None if run.usage.unpriced else run.usage.cost_microusd
    return wire.UsageSummary(
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        cache_read_tokens=used.cached_tokens,
        cost_microusd=microusd,
        cost_usd=None if microusd is None else microusd / MICRO,
    )


def budget_view(run: Run, course: Course, now: int) -> wire.BudgetSummary:
    """Return how far the budget that holds is used."""
    run = bound(run)
    limits = {
        limit.limit_name: wire.LimitSummary(
            used=limit.used, limit=limit.limit, pct=min(limit.used * 100 // limit.limit, 100)
        )
        for limit in reached(run, now)
    }
    terms = run.spec.runtime
    return wire.BudgetSummary(
        state="exhausted" if course.exhausted is not None else "warning" if course.warned else "normal",
        warn_at_pct=None if terms is None else terms.warn_at_pct,
        cost_microusd=limits.get("cost_microusd"),
        tokens=limits.get("tokens"),
        tool_calls=limits.get("tool_calls"),
        runtime_seconds=limits.get("wall_s"),
    )


def _stop(run: Run, course: Course) -> wire.Stop | None:
    if not run.terminal:
        return None
    stop = course.stop
    if stop is None:
        code = (run.error_class or run.state).upper()
        return wire.Stop(stop_class=None, code=code, reason=run.reason, detail=run.error, exit_code=None)
    gate: GateStatus = course.gate_status
    return wire.Stop(
        stop_class=stop.stop_class,
        code=stop.code,
        reason=run.reason,
        detail=stop.detail or run.error,
        exit_code=stop.exit_code(gate),
    )


def _text(at: int | None) -> str | None:
    return None if at is None else instants.text(at)
