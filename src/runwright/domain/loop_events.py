"""The shapes of what the log of a remediation loop says beside what all runtime runs say; the catalogue is `events`.

A call of a gate, a scanner's or a fixer's program is told as a `tool.call`, a verdict as a `gate.result`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.domain.agent_terms import Budget
from runwright.domain.finding import Severity, Status
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.redaction import RedactedText
from runwright.domain.workspace import WorkspaceSnapshot

Outcome = Literal["kept", "reverted", "no_change", "blocked"]
"""What became of an iteration: its patch is part of the tree now; it made nothing better, or something worse; there was
none; it was not let through."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at a whole tree said: all open findings, and those that the loop is to repair, by severity.

    `known` are those that the baseline knows, `suppressed` those that people suppress: neither is open. `coverage` is
    what each scanner did; the look is `complete` when every one that is required did all of it.
    """

    findings: dict[str, int]
    targeted: dict[str, int]
    known: dict[str, int] = {}
    suppressed: dict[str, int] = {}
    coverage: dict[str, Status]
    complete: bool


class PatchFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a patch: who made it, the digest of its text, and how large it is."""

    patcher: str
    sha256: str
    files: int
    added: int
    removed: int


class LoopStarted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`loop.started`: the workspace holds the tree that is to be repaired, and the policy is that of its base.

    `terms` and `budget` are those that hold from here on: what was asked for, within what the policy says.
    `policy_file` is where the repository says it, None where it says none; `snapshot` None: the tree is empty.
    """

    terms: LoopTerms
    budget: Budget
    fixers: tuple[str, ...]
    tree_hash: str
    policy_file: str | None = None
    policy_sha256: str | None = None
    snapshot: WorkspaceSnapshot | None = None


class LoopSurveyed(msgspec.Struct, frozen=True, kw_only=True):
    """`loop.surveyed`: where the loop begins: what its scanners and gates say of the tree before any patch."""

    tree_hash: str
    standing: Standing


class FixerPassed(msgspec.Struct, frozen=True, kw_only=True):
    """`fixer.passed`: a fixer has nothing to propose for these findings of this tree, and is not asked again."""

    fixer: str
    batch: str
    findings: int


class IterationStarted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`iteration.started`: the loop tries to repair these findings (or gates) of this tree, by this patcher.

    `owners`: whose files they are, where batches are made by owner.
    """

    n: int
    patcher: str
    batch: str
    targeted: tuple[str, ...]
    tree_hash: str
    owners: tuple[str, ...] = ()


class PatchProposed(msgspec.Struct, frozen=True, kw_only=True):
    """`patch.proposed`: there is a patch; its text is kept beside the log, by its digest.

    `owned` are those of its files that somebody owns, as the base says: of a path in which something is hidden nobody
    can tell that later.
    """

    n: int
    patch: PatchFacts
    paths: tuple[RedactedText, ...]
    owned: tuple[RedactedText, ...] = ()


class PatchRefused(msgspec.Struct, frozen=True, kw_only=True):
    """`patch.refused`: a guard did not let a patch through; it was not applied."""

    n: int
    guard: str
    subject: RedactedText
    reason: RedactedText


class FindingFixed(msgspec.Struct, frozen=True, kw_only=True):
    """`finding.fixed`: a rescan of the tree with the patch does not find it any more; `was` is what it counted as."""

    finding_id: str
    fingerprint: str
    severity: Severity
    rule_id: str
    file: RedactedText
    tree_hash: str
    was: Literal["open", "unchanged", "suppressed"] = "open"


class IterationEnded(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`iteration.completed`: what became of it, and why. `standing` and `snapshot`: where the tree was kept."""

    n: int
    outcome: Outcome
    why: RedactedText
    tree_hash: str
    gates: dict[str, str]
    new_findings: int = 0
    fixed_findings: int = 0
    model_failed: bool = False
    standing: Standing | None = None
    snapshot: WorkspaceSnapshot | None = None


class LoopStopped(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`loop.stopped`: the loop goes on no more, and why."""

    exit_reason: str
    stop_class: str
    stop_code: str
    iterations: int
    gate_status: Literal["green", "red", "unknown"]
    detail: RedactedText | None = None


RECORDS: dict[str, tuple[Literal["lifecycle", "checkpoint", "governance", "finding"], type[msgspec.Struct]]] = {
    "loop.started": ("checkpoint", LoopStarted),
    "loop.surveyed": ("checkpoint", LoopSurveyed),
    "fixer.passed": ("checkpoint", FixerPassed),
    "iteration.started": ("checkpoint", IterationStarted),
    "patch.proposed": ("checkpoint", PatchProposed),
    "patch.refused": ("governance", PatchRefused),
    "finding.fixed": ("finding", FindingFixed),
    "iteration.completed": ("checkpoint", IterationEnded),
    "loop.stopped": ("checkpoint", LoopStopped),
}
"""What the executing side of a loop appends: type → its kind and shape."""
