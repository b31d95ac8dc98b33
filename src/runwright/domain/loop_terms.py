"""What a remediation loop was asked to be: what it is to repair, by whom, what must be green, and how far it may go.

All of it is fixed when the loop is made, and is part of the `RuntimeTerms` of its run. The budget of the run holds
beside the ceilings that stand here.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain.approval import DECIDERS, Excluded, Quorum, Risk, Roles, TtlSeconds
from runwright.domain.delivery_wanted import LoopDelivery
from runwright.domain.finding import Finding, Severity
from runwright.domain.quality_gate import QualityGate

ITERATIONS_MAX = 50
GATES_MAX = 20
DIFF_LINES_MAX = 20_000
DETERMINISTIC, LLM = "deterministic", "llm"

PatcherKind = Literal["deterministic", "llm"]
Batch = Literal["one_finding", "by_file", "by_owner"]
LlmFailurePolicy = Literal["block", "deterministic_only", "warn", "ignore"]
SEVERITIES: tuple[Severity, ...] = ("P0", "P1", "P2", "P3")
HARM: tuple[Severity, ...] = ("P0", "P1", "P2")
"""The severities of which no patch may bring a new finding, whatever the loop is to repair."""

_Path = Annotated[str, Meta(min_length=1, max_length=1_024)]
_Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]


class _Struct(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What all of these are."""


class Targets(_Struct, frozen=True):
    """Which findings the loop is to repair: all of the severities that must be clean, or only some of those.

    `paths` are patterns of which a finding's file matches one; `*` stands for any text.
    """

    severities: Annotated[tuple[Severity, ...], Meta(max_length=4)] | None = None
    fingerprints: Annotated[tuple[_Fingerprint, ...], Meta(max_length=500)] = ()
    paths: Annotated[tuple[_Path, ...], Meta(max_length=200)] = ()


class Strategy(_Struct, frozen=True):
    """Who makes patches, in this order: first deterministic fixers, then a model; and how large a patch may be.

    `batch` is what one patch of the model is to repair; a fixer is given as many files as a patch may change, by_owner
    those of one owner. Who owns what is said by the CODEOWNERS of the base; what nobody owns goes by directory.
    `llm_failure_policy`: what becomes of the loop when no model answers.
    """

    patchers: Annotated[tuple[PatcherKind, ...], Meta(min_length=1, max_length=2)] = ("deterministic", "llm")
    batch: Batch = "by_file"
    max_files_per_patch: Annotated[int, Meta(ge=1, le=200)] = 20
    max_diff_lines: Annotated[int, Meta(ge=1, le=DIFF_LINES_MAX)] = 800
    llm_failure_policy: LlmFailurePolicy = "block"


class LoopApproval(_Struct, frozen=True):
    """Who is asked; a denial, also by silence, ends the loop."""

    quorum: Quorum = 1
    risk: Risk = "medium"
    roles: Roles = DECIDERS
    exclude_actors: Excluded = ()
    ttl_seconds: TtlSeconds = 86_400


class LoopApprovals(_Struct, frozen=True):
    """What people are asked in the course of the loop: once, to let it begin to repair; and before each patch."""

    plan: LoopApproval | None = None
    patch: LoopApproval | None = None


class LoopTerms(_Struct, frozen=True):
    """The terms of a loop. Of its ceilings None is none; a loop has at least one, here or in its budget.

    `deliver`: what becomes of its tree by itself, once it has ended well. `policy_gates` are what the policy requires
    beside commands, by its names; `block_on` the severities that it lets nothing pass with, beside those of the order.
    """

    targets: Targets = Targets()
    max_iterations: Annotated[int, Meta(ge=1)] | None = 8
    max_no_progress: Annotated[int, Meta(ge=1)] | None = 3
    quality_gates: tuple[QualityGate, ...] = ()
    policy_gates: tuple[str, ...] = ()
    block_on: tuple[Severity, ...] = ()
    strategy: Strategy = Strategy()
    approvals: LoopApprovals = LoopApprovals()
    clean_through: Severity = "P2"
    deliver: LoopDelivery | None = None

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Return the severities that must be clean."""
        through = SEVERITIES[: SEVERITIES.index(self.clean_through) + 1]
        named = self.targets.severities
        return through if named is None else tuple(each for each in through if each in named)

    @property
    def harmful(self) -> tuple[Severity, ...]:
        """Return the severities of which a patch may bring no new finding."""
        return tuple(each for each in SEVERITIES if each in HARM or each in self.severities)

    @property
    def required(self) -> tuple[str, ...]:
        """Return the ids of the gates that must be green."""
        return (*(gate.id for gate in self.quality_gates if gate.required), *self.policy_gates)

    def wants(self, finding: Finding) -> bool:
        """Tell whether a finding is one that the loop is to repair."""
        targets = self.targets
        named = not targets.fingerprints or finding.fingerprint in targets.fingerprints
        placed = not targets.paths or any(fnmatchcase(finding.file, path) for path in targets.paths)
        return finding.severity in self.severities and named and placed

    def gate(self, gate_id: str) -> QualityGate | None:
        """Return a gate by its id."""
        return next((gate for gate in self.quality_gates if gate.id == gate_id), None)
