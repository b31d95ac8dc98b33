"""The shapes of remediation loops."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api.runtime.delivery_schemas import LoopDelivery, LoopDeliveryOptions
from runwright.api.runtime.order_schemas import RunOrderRequest
from runwright.api.runtime.run_schemas import BudgetSummary
from runwright.domain.loop_terms import (
    GATES_MAX,
    ITERATIONS_MAX,
    LoopApprovals,
    Strategy,
    Targets,
)
from runwright.domain.quality_gate import QualityGate
from runwright.domain.runtime_terms import Mode, Severity

_Most = Annotated[int, Meta(ge=1, le=ITERATIONS_MAX)]


class LoopModels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model makes patches where no fixer does; without one there are only fixers."""

    orchestrator: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None,
        Meta(description="A route, by name or id, or `auto`: the catalog's first; default: no model is asked."),
    ] = None


class LoopRequest(RunOrderRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to repair, and within which bounds: a repository, or by `run_id` what a run has looked at."""

    run_id: Annotated[
        Annotated[str, Meta(max_length=64)] | None,
        Meta(description="A runtime run: the loop works at its repository, at the commit that it saw."),
    ] = None
    mode: Annotated[
        Mode, Meta(description="`autonomous_gated`, or `edit_gated`, in which people approve each patch.")
    ] = "autonomous_gated"
    targets: Targets = Targets()
    clean_through: Annotated[Severity, Meta(description="The mildest severity of which nothing may be left.")] = "P2"
    max_iterations: Annotated[_Most | None, Meta(description="Null: not limited; another ceiling must be.")] = 8
    max_no_progress: Annotated[
        _Most | None, Meta(description="So many iterations in a row may make nothing better. Null: not limited.")
    ] = 3
    quality_gates: Annotated[tuple[QualityGate, ...], Meta(max_length=GATES_MAX)] = ()
    strategy: Strategy = Strategy()
    approvals: LoopApprovals = LoopApprovals()
    models: LoopModels = LoopModels()
    deliver: Annotated[
        LoopDeliveryOptions | None,
        Meta(description="What becomes of its tree by itself once it has ended well; null: nothing."),
    ] = None


class LoopAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The loop that was made; its id is that of its run."""

    loop_id: str
    run_id: str
    state: str


class ExitDetail(msgspec.Struct, frozen=True, kw_only=True):
    """Why the loop ended: the stop code and its family, and the last event of its log."""

    stop_class: str
    stop_code: str
    message: str
    event_id: str


class LoopGate(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate says of the kept tree: `green`, `red`, `flaky`, `not_run`, `error`, or `pending`."""

    id: str
    status: str
    required: bool
    detail: str


class FindingCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings count against a tree, by severity; null where nobody has looked. The best is the kept one.

    `known` are those that the baseline of the base knows, `suppressed` those that people suppress: they count nowhere.
    """

    start: dict[str, int] | None
    current: dict[str, int] | None
    best: dict[str, int] | None
    targeted: dict[str, int] | None
    known: dict[str, int] | None
    suppressed: dict[str, int] | None


class PatchSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A patch: the digest of its text, and how large it is."""

    sha256: str
    files: int
    added: int
    removed: int


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What the look at a patched tree said: gates by their ids, findings that came with it, and that went."""

    gates: dict[str, str]
    new_findings: int
    fixed_findings: int


class IterationView(msgspec.Struct, frozen=True, kw_only=True):
    """One iteration: `kept`, `reverted`, `no_change` or `blocked` (with the guards that refused), and why; null: it is
    under way. `owners`: whose files it is about, by_owner.
    """  # fmt: skip

    n: int
    started_at: str
    ended_at: str | None
    patcher: str
    targeted: list[str]
    owners: list[str]
    patch: PatchSummary | None
    verify: Verified
    outcome: str | None
    why: str
    refused_by: list[str]
    approvals: list[str]
    tree_sha: str


class LoopView(msgspec.Struct, frozen=True, kw_only=True):
    """Where a loop stands. `tree_sha` and `head_sha`: the tree that it keeps, and the commit that it began with."""

    loop_id: str
    run_id: str
    state: str
    run_state: str
    iteration: int
    max_iterations: int | None
    max_no_progress: int | None
    without_progress: int
    exit_reason: str | None
    exit_detail: ExitDetail | None
    gate_status: str
    gates: list[LoopGate]
    findings: FindingCounts
    coverage: dict[str, str]
    iterations: list[IterationView]
    budget: BudgetSummary
    usage_unverified: int
    pending_approvals: list[str]
    repo: str | None
    ref: str | None
    head_sha: str | None
    tree_sha: str | None
    delivery: LoopDelivery | None
    next_action: str | None
    links: dict[str, str]
