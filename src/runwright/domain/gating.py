"""The verdict of a gate: which findings count under a policy, which commands are green, and what follows.

A finding counts by its severity, its state against the baseline, the behaviour of its gate, who found it, and whether
people have decided to live with it. What did not run is not green, and what nobody looked at is not clean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from runwright.domain.finding import Finding, rules_of
from runwright.domain.owners import FILES as OWNERS_FILES
from runwright.domain.policy_file import PolicyFile
from runwright.domain.policy_gates import COVERAGE, JUDGE, OWNERSHIP, SCOPED_TESTS
from runwright.domain.policy_terms import Behavior
from runwright.domain.quality_gate import QualityGate
from runwright.domain.scoped_tests import named
from runwright.domain.summaries import so_many
from runwright.domain.suppressions import Suppression, Suppressions
from runwright.domain.verdict import GateStatus, Tried

Decision = Literal["blocks", "asks", "warns", "told", "known", "suppressed", "dropped"]
"""`known`: the baseline has it; `dropped`: a model was not sure enough of it."""
GateWord = Literal["green", "red", "flaky", "not_run"]
OWNERLESS_TOLD = 5
CORROBORATED_WITHIN = 5
"""A scanner found something within so many lines of what a model found."""
_MODELS = ("llm", "llm_judge", "model", "persona")


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A finding, what it does, and why where that is not its severity alone."""

    finding: Finding
    decision: Decision
    reason: str = ""
    suppression: Suppression | None = None


class GateOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says; `passed`: whether its status is good enough for the policy."""

    gate_id: str
    status: GateWord
    passed: bool
    required: bool
    detail: str
    tries: tuple[Tried, ...] = ()
    coverage: float | None = None


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a scanner looked at; `required`: whether it must have completed."""

    scanner: str
    gate: str
    status: Literal["completed", "partial", "not_run"]
    required: bool
    findings: int = 0
    files: int = 0
    reason: str | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate says, why, and what a process that asked exits with."""

    status: GateStatus
    exit_code: int
    reasons: tuple[str, ...]
    judged: tuple[Judged, ...]
    gates: tuple[GateOutcome, ...]
    scans: tuple[Coverage, ...]


def judge(findings: Sequence[Finding], policy: PolicyFile, suppressions: Suppressions) -> tuple[Judged, ...]:
    """Return what each finding does, in their order; its `baseline_state` says whether it was known before."""
    scanned = [each for each in findings if not _by_models(each)]
    return tuple(_judged(each, policy, suppressions, scanned) for each in findings)


def _judged(finding: Finding, policy: PolicyFile, suppressions: Suppressions, scanned: Sequence[Finding]) -> Judged:
    hidden = suppressions.of(finding)
    if hidden is not None:
        return Judged(finding=finding, decision="suppressed", reason=hidden.reason, suppression=hidden)
    if finding.baseline_state == "unchanged":
        return Judged(finding=finding, decision="known", reason="the baseline has it")
    severity = finding.severity
    if _by_models(finding):
        if finding.confidence < policy.confidence_floors[severity]:
            return Judged(finding=finding, decision="dropped", reason="the model was not sure enough")
        if not _may_block(finding, policy, scanned):
            return Judged(finding=finding, decision="warns", reason="only a model found it")
    said = behavior(finding, policy)
    if severity in policy.blocking:
        if said == "deny":
            return Judged(finding=finding, decision="blocks")
        decision: Decision = "asks" if said == "ask" else "warns"
        return Judged(finding=finding, decision=decision, reason=f"its gate says {said}")
    return Judged(finding=finding, decision="warns" if severity in policy.warning else "told")


def behavior(finding: Finding, policy: PolicyFile) -> Behavior:
    """Return what the gates of all who found it say: the strictest counts."""
    said = {policy.behavior(rule) for rule in rules_of(finding)}
    order: tuple[Behavior, ...] = ("deny", "ask", "allow")
    return next(each for each in order if each in said)


def _by_models(finding: Finding) -> bool:
    return all(source.partition(":")[0] in _MODELS for source in finding.sources or (finding.tool,))


def _may_block(finding: Finding, policy: PolicyFile, scanned: Sequence[Finding]) -> bool:
    if policy.llm_only_blocking == "never":
        return False
    if policy.llm_only_blocking == "confident":
        return True
    return any(
        each.file == finding.file and abs(each.line - finding.line) <= CORROBORATED_WITHIN
        for each in scanned
        if each.file and each.line
    )


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a change touches, as they are told, and those of them that nobody owns; `ruled`: the base says who
    owns what.
    """  # fmt: skip

    files: tuple[str, ...] = ()
    ownerless: tuple[str, ...] = ()
    ruled: bool = False


NOTHING = Changes()


def gates_beside(policy: PolicyFile, measured: Sequence[float], changes: Changes) -> tuple[GateOutcome, ...]:
    """Return what the gates of a policy say that are no commands; `measured`: the coverage by commands that told it."""
    asked = [] if policy.coverage_min <= 0 else [_coverage(policy.coverage_min, measured)]
    if policy.gate(OWNERSHIP).enabled:
        asked.append(_ownership(changes, required=policy.gate(OWNERSHIP).required))
    return (*asked, *_idle(policy))


def required_beside(policy: PolicyFile) -> tuple[str, ...]:
    """Return the ids of those that must be green."""
    return tuple(each.gate_id for each in gates_beside(policy, (), NOTHING) if each.required)


def _ownership(changes: Changes, *, required: bool) -> GateOutcome:
    """Return whether all that was changed belongs to somebody."""
    status: GateWord = "green"
    nobodys = changes.ownerless
    told = f"{so_many(len(changes.files), 'changed file')}, each with an owner"
    if not changes.ruled:
        status, told = "not_run", f"nobody owns anything: the base has no rules in {', '.join(OWNERS_FILES)}"
    elif nobodys:
        some = ", ".join(nobodys[:OWNERLESS_TOLD]) + (", …" if len(nobodys) > OWNERLESS_TOLD else "")
        status, told = (
            "red",
            f"{len(nobodys)} of {so_many(len(changes.files), 'changed file')} without an owner: {some}",
        )
    return GateOutcome(gate_id=OWNERSHIP, status=status, passed=status == "green", required=required, detail=told)


def scoped_gate(policy: PolicyFile, tests: Sequence[str] = ()) -> QualityGate | None:
    """Return the gate `scoped_tests` as a command with these tests; with all of them where none are named."""
    rules = policy.scoped_tests
    if rules is None:
        return None
    words, required = (*rules.command, *named(tests)), policy.gate(SCOPED_TESTS).required
    return QualityGate(id=SCOPED_TESTS, command=words, timeout=rules.timeout, required=required)


def none_in_scope(policy: PolicyFile) -> GateOutcome:
    """Return what the gate `scoped_tests` says of a change to which no test belongs."""
    told = "no test belongs to what was changed"
    required = policy.gate(SCOPED_TESTS).required
    return GateOutcome(gate_id=SCOPED_TESTS, status="green", passed=True, required=required, detail=told)


def _coverage(least: float, measured: Sequence[float]) -> GateOutcome:
    asked = f"{least:.1%} is asked for"
    if not measured:
        told = f"no gate left a report of coverage, and {asked}; name one as coverage: {{file: …}}"
        return GateOutcome(gate_id=COVERAGE, status="not_run", passed=False, required=True, detail=told)
    lowest = min(measured)
    return GateOutcome(
        gate_id=COVERAGE,
        status="green" if lowest >= least else "red",
        passed=lowest >= least,
        required=True,
        detail=f"{lowest:.1%} of the lines were run; {asked}",
        coverage=lowest,
    )


def _idle(policy: PolicyFile) -> tuple[GateOutcome, ...]:
    """Return the gates that are on and do nothing here: not run, and red where they are required."""
    told = "there is no such gate here; it is kept, and did nothing"
    why = {gate.id: told for gate in policy.gates if gate.enabled and not gate.known}
    if policy.gate(SCOPED_TESTS).enabled and policy.scoped_tests is None:
        why[SCOPED_TESTS] = "its config names no command"
    must = {gate.id for gate in policy.gates if gate.required}
    if policy.gate(JUDGE).enabled:
        why[JUDGE] = f"no model judges here (llm_failure_policy: {policy.llm_failure_policy})"
        must |= {JUDGE} if policy.llm_failure_policy == "block" else set()
    return tuple(
        GateOutcome(gate_id=gate.id, status="not_run", passed=False, required=gate.id in must, detail=why[gate.id])
        for gate in policy.gates
        if gate.id in why
    )


def verdict(
    policy: PolicyFile,
    judged: tuple[Judged, ...],
    gates: Sequence[GateOutcome],
    scans: Sequence[Coverage],
    changes: Changes = NOTHING,
) -> Verdict:
    """Return what all of it says together; exit codes: 0, 1 blocked, 10 no model answers, 13 people are asked."""
    measured = [each.coverage for each in gates if each.coverage is not None]
    every = (*gates, *gates_beside(policy, measured, changes))
    unjudged = JUDGE if policy.llm_failure_policy == "block" else None  # that is told below, by a code of its own
    counting = [each for each in every if each.gate_id != unjudged]
    reasons = [*_of_findings(judged), *_of_gates(counting), *_of_scans(scans)]
    status: GateStatus = "passed"
    code = 0
    if reasons:
        status, code = "blocked", 1
    elif policy.gate(JUDGE).enabled and policy.llm_failure_policy == "block":
        reasons.append("the gate llm_judge is on, and no model answers here (llm_failure_policy: block)")
        status, code = "error", 10
    elif policy.approval_mode != "none" and any(each.decision == "asks" for each in judged):
        count = sum(each.decision == "asks" for each in judged)
        told = f"{so_many(count, 'finding')} need{'s' * (count == 1)} a person's word"
        reasons.append(f"{told} (approval_mode: {policy.approval_mode})")
        status, code = "needs_approval", 13
    return Verdict(
        status=status, exit_code=code, reasons=tuple(reasons), judged=judged, gates=every, scans=tuple(scans)
    )


def _of_findings(judged: Sequence[Judged]) -> list[str]:
    blocking = [each.finding for each in judged if each.decision == "blocks"]
    if not blocking:
        return []
    counts = {name: sum(each.severity == name for each in blocking) for name in ("P0", "P1", "P2", "P3")}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return [f"{so_many(len(blocking), 'finding')} block{'s' * (len(blocking) == 1)}: {told}"]


def _of_gates(gates: Sequence[GateOutcome]) -> list[str]:
    return [
        f"the gate {each.gate_id} is {each.status.replace('_', ' ')}: {each.detail}"
        for each in gates
        if each.required and not each.passed
    ]


def _of_scans(scans: Sequence[Coverage]) -> list[str]:
    if not any(each.status != "not_run" for each in scans):
        return ["no scanner looked at anything"]
    how = {"not_run": "did not run", "partial": "saw a part only"}
    return [
        f"the scanner {each.scanner} is required, and {how[each.status]}" + (f": {each.reason}" if each.reason else "")
        for each in scans
        if each.required and each.status != "completed"
    ]
