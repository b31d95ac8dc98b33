"""What the executor of loops writes: events in their shapes, and the values that are kept with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from runwright.agents.notes import LAST, Kept, Note, kept_of
from runwright.agents.tools.workspace import Snapshot
from runwright.domain import loop_events as e
from runwright.domain import runtime_events as r
from runwright.domain.approval import ApprovalRequest, digest_of
from runwright.domain.finding import Finding
from runwright.domain.loop_course import EXITS, OpenIteration
from runwright.domain.loop_rules import LoopRules
from runwright.domain.loop_status import gate_color
from runwright.domain.loop_terms import LLM
from runwright.domain.patch import Patch
from runwright.domain.patching_plan import Bench
from runwright.domain.policy_approvals import PLAN, WRITE
from runwright.domain.progress import Change
from runwright.domain.redaction import RedactedText
from runwright.domain.summaries import so_many
from runwright.domain.verdict import GateStatus, Stop
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.surveying import Looked
from runwright.executors.orchestrated.looking import opened

FINDINGS, POLICY = "findings", "policy"
"""The kinds of values: what is open in the tree that is kept, and the policy of its base."""
DIFF_MAX = 120_000
"""So much of a patch's text is shown where people are asked; an approval is of its digest, and so of the whole."""
PLAN_MAX = 196_608
"""How long a plan may be that is shown whole, in bytes of JSON."""
Text = Callable[[str], RedactedText]


def kept_findings(findings: tuple[Finding, ...]) -> Kept:
    """Return the findings of the tree that is kept."""
    return Kept(FINDINGS, LAST, msgspec.to_builtins(findings))


def ended(
    iteration: OpenIteration,
    outcome: e.Outcome,
    why: RedactedText,
    journal: Journal,
    change: Change | None = None,
    *,
    tree_hash: str | None = None,
    model_failed: bool = False,
) -> Note:
    """Return `iteration.completed` of one that came to nothing."""
    data = e.IterationEnded(
        n=iteration.n,
        outcome=outcome,
        why=why,
        tree_hash=tree_hash or journal.loop.tree_hash,
        gates={gate.gate_id: gate.status for gate in journal.loop.seen},
        new_findings=0 if change is None else len(change.new),
        fixed_findings=0 if change is None else len(change.fixed),
        model_failed=model_failed,
    )
    return Note("iteration.completed", data, "warning" if outcome == "blocked" else "info")


def kept(
    iteration: OpenIteration,
    change: Change,
    seen: Looked,
    standing: e.Standing,
    snapshot: Snapshot,
    journal: Journal,
    rules: LoopRules,
    text: Text,
) -> tuple[list[Note], list[Kept]]:
    """Return what is written of an iteration whose tree is better: tree, findings and the word of it, at once."""
    fixed = [
        e.FindingFixed(
            finding_id=each.finding_id,
            fingerprint=each.fingerprint,
            severity=each.severity,
            rule_id=each.rule_id,
            file=text(each.file),
            tree_hash=snapshot.tree_hash,
            was=_was(each, rules),
        )
        for each in change.fixed
    ]
    data = e.IterationEnded(
        n=iteration.n,
        outcome="kept",
        why=text(f"{so_many(len(change.fixed), 'finding')} less, {len(change.new)} more"),
        tree_hash=snapshot.tree_hash,
        gates={gate.gate_id: gate.status for gate in journal.loop.seen},
        new_findings=len(change.new),
        fixed_findings=len(change.fixed),
        standing=standing,
        snapshot=snapshot.told,
    )
    notes = [
        *seen.notes,
        *(opened(rules.told(each, text)) for each in change.new),
        *(Note("finding.fixed", each) for each in fixed),
        Note("iteration.completed", data),
    ]
    return notes, [*kept_of(snapshot), kept_findings(change.now)]


def _was(finding: Finding, rules: LoopRules) -> Literal["open", "unchanged", "suppressed"]:
    """Return as what a finding was told that is gone."""
    if rules.suppressions.of(finding) is not None:
        return "suppressed"
    return "unchanged" if finding.baseline_state == "unchanged" else "open"


def asks_first(journal: Journal, bench: Bench) -> ApprovalRequest:
    """Return what people are asked before the first iteration: to let these patchers repair this, within these bounds.

    The bounds are those that hold: the order's within the policy's.
    """
    terms, runtime, standing = journal.terms, journal.runtime, journal.loop.standing
    rules = terms.approvals.plan
    assert rules is not None
    assert standing is not None
    patchers = [*bench.fixers, *([LLM] if bench.model else [])]
    subject: dict[str, Any] = {
        "kind": "plan",
        "repo": runtime.repo,
        "head_sha": journal.course.head_sha,
        "tree_hash": journal.loop.tree_hash,
        "findings": standing.findings,
        "targeted": standing.targeted,
        "red_gates": list(bench.red),
        "patchers": patchers,
        "model": None if runtime.agent is None else runtime.agent.model,
        "terms": msgspec.to_builtins(terms),
        "budget": msgspec.to_builtins(runtime.budget),
        "policy": msgspec.to_builtins(runtime.policy),
    }
    most = "any number of" if terms.max_iterations is None else f"at most {terms.max_iterations}"
    left = f"{so_many(sum(standing.targeted.values()), 'finding')} and {so_many(len(bench.red), 'red gate')}"
    return ApprovalRequest(
        gate_id=PLAN,
        summary=f"Repair {left} in {most} iterations, by {', '.join(patchers)}?",
        subject_sha256=digest_of(subject),
        subject=_shown(subject),
        risk=rules.risk,
        quorum=rules.quorum,
        roles=rules.roles,
        exclude_actors=rules.exclude_actors,
        ttl_s=rules.ttl_seconds,
    )


def _shown(subject: dict[str, Any]) -> dict[str, Any]:
    """Return a plan as people are shown it: terms that are too long are left to the log, their digest is of all."""
    if len(msgspec.json.encode(subject)) <= PLAN_MAX:
        return subject
    return {**subject, "terms": "too long to be shown; they stand in the event loop.started"}


def asks(iteration: OpenIteration, patch: Patch, journal: Journal) -> ApprovalRequest:
    """Return what people are asked: to let this very patch into the tree."""
    facts, rules = iteration.patch, journal.terms.approvals.patch
    assert facts is not None
    assert rules is not None
    runtime, diff = journal.runtime, patch.text
    size = f"{so_many(facts.files, 'file')}, +{facts.added} −{facts.removed}"
    return ApprovalRequest(
        gate_id=WRITE,
        summary=f"Apply the patch of iteration {iteration.n} by {facts.patcher}: {size}",
        subject_sha256=facts.sha256,
        subject={
            "kind": "diff",
            "diff": diff[:DIFF_MAX],
            "truncated": len(diff) > DIFF_MAX,
            "repo": runtime.repo,
            "head_sha": journal.course.head_sha,
            "tree_hash": journal.loop.tree_hash,
            "iteration": iteration.n,
            "targeted": list(iteration.targeted),
        },
        risk=rules.risk,
        quorum=rules.quorum,
        roles=rules.roles,
        exclude_actors=rules.exclude_actors,
        ttl_s=rules.ttl_seconds,
    )


def stopped(stop: Stop, journal: Journal, text: Text) -> list[Note]:
    """Return what is written of a loop that goes on no more: why, and what came of it, in words."""
    loop = journal.loop
    reason = EXITS.get(stop.code, "infra_error")
    data = e.LoopStopped(
        exit_reason=reason,
        stop_class=stop.stop_class,
        stop_code=stop.code,
        iterations=loop.count,
        gate_status=gate_color(loop, journal.terms),
        detail=text(stop.detail) if stop.detail else None,
    )
    kept = sum(each.outcome == "kept" for each in loop.iterations)
    left = "" if loop.standing is None else f" Open: {_counts(loop.standing.findings)}."
    why = f" ({stop.detail})" if stop.detail else ""
    patches = f"{so_many(loop.count, 'iteration')}, {kept} kept"
    said = f"The loop ended: {reason}{why}, after {patches}.{left}{_blind(loop.standing)}"
    return [Note("output.narrative", r.Narrative(text(said))), Note("loop.stopped", data)]


def _blind(standing: e.Standing | None) -> str:
    """Say which scanners have not looked at everything: what they would have found is not among the counts."""
    absent = [] if standing is None else [name for name, word in standing.coverage.items() if word != "completed"]
    return f" Not everything was looked at by {', '.join(absent)}." if absent else ""


def _counts(findings: dict[str, int]) -> str:
    return ", ".join(f"{number} {severity}" for severity, number in findings.items())


def result(journal: Journal, stop: Stop, gate_status: GateStatus) -> dict[str, Any]:
    """Return the result of a loop that has come to its end."""
    loop = journal.loop
    return {
        "exit_reason": loop.exit_reason,
        "stop": {"class": stop.stop_class, "code": stop.code, "detail": stop.detail},
        "gate_status": gate_status,
        "exit_code": stop.exit_code(gate_status),
        "tree_hash": loop.tree_hash,
        "head_sha": journal.course.head_sha,
        "iterations": loop.count,
        "narrative": journal.course.narrative,
    }
