"""The shapes of runs on the runtime surface."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api.pages import PageQuery
from runwright.api.runtime.order_schemas import RunOrderRequest
from runwright.domain.runtime_terms import STEPS_MAX, Mode, RuntimeProfile, Step

Reason = Annotated[str, Meta(max_length=1_000)]


class RuntimeRun(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands: the fourteen fields that the original's client reads, and ours.

    What only orchestrated runs have (mode, profile, repo, iterations) is null for others.
    """

    run_id: str
    status: str
    mode: str | None
    runtime_profile: str | None
    repo: str | None
    ref: str | None
    orchestrator_model: str | None
    subagent_model: str | None
    created_at: str
    updated_at: str
    max_iterations: int | None
    current_iteration: int | None
    current_stage: str
    total_events: int
    kind: str
    state: str
    reason: str | None
    trace_id: str
    objective: str | None
    labels: dict[str, str]
    started_at: str | None
    ended_at: str | None
    queued_ms: int
    stage_history: list[StageAt]
    summaries: Summaries
    pending_approvals: list[str]
    gate_status: str
    stop: Stop | None
    last_event: LastEvent
    evidence: Sealed


class UsageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What the run has used of models so far; a cost of null is unknown."""

    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cost_microusd: int | None
    cost_usd: float | None


class StageAt(msgspec.Struct, frozen=True, kw_only=True):
    """When the run came to a stage."""

    stage: str
    at: str


class FindingsSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How many findings are open, by severity (`total`), and what became of all of them; `scanned`: somebody looked.

    Those that a baseline knows (`unchanged`) and that people suppress are not open.
    """

    P0: int
    P1: int
    P2: int
    P3: int
    total: int
    new: int
    unchanged: int
    fixed: int
    suppressed: int
    scanned: bool


class GateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate said last: `green`, `red`, `not_run` or `error`; and where it has not been, `pending`."""

    id: str
    name: str
    status: str
    required: bool
    detail: str


class StepSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Where a step stands: `pending`, `running`, or how it ended; `interrupted`: the run ended in the middle of it."""

    id: str
    kind: str
    name: str
    status: str
    exit_code: int | None
    duration_ms: int | None
    detail: str


class LimitSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How far a limit of the budget is used."""

    used: int
    limit: int
    pct: int


class BudgetSummary(msgspec.Struct, frozen=True, kw_only=True):
    """How far the budget is used: `normal`, `warning` or `exhausted`; what is not limited is null.

    Money is in millionths of a US dollar.
    """

    state: str
    warn_at_pct: int | None
    cost_microusd: LimitSummary | None
    tokens: LimitSummary | None
    tool_calls: LimitSummary | None
    runtime_seconds: LimitSummary | None


class Summaries(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the run so far."""

    findings: FindingsSummary
    gates: list[GateSummary]
    steps: list[StepSummary]
    usage: UsageSummary
    budget: BudgetSummary
    narrative: str


class Stop(msgspec.Struct, frozen=True, kw_only=True, rename={"stop_class": "class"}):
    """Why an ended run ended. Of a runtime run `code` is the stop code and `class` its family, `exit_code` what a
    process that waited for it should exit with; of others `code` is the class of the error, or the state, in capitals.
    """

    stop_class: str | None
    code: str
    reason: str | None
    detail: str | None
    exit_code: int | None


class LastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log."""

    event_id: str
    seq: int
    ts: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle of evidence would be bound to; `sealed` once the run has ended."""

    head_hash: str
    sealed: bool


class RuntimeModels(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which models the steps of the kind `agent` ask; pinned, with their prices, when the run is made."""

    orchestrator: Annotated[
        Annotated[str, Meta(min_length=1, max_length=128)] | None,
        Meta(description="A route, by name or id, or `auto`: the catalog's first; default: the default persona's."),
    ] = None


class RuntimeRunRequest(RunOrderRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do, and within which bounds. Nothing is required: the least is to look at an empty workspace."""

    mode: Annotated[
        Mode,
        Meta(description="`advice` and `audit_readonly` mount the workspace read-only; the gated modes may write."),
    ] = "audit_readonly"
    runtime_profile: Annotated[
        RuntimeProfile | None,
        Meta(description="`container_write` needs a gated mode; default: what the mode allows."),
    ] = None
    steps: Annotated[tuple[Step, ...], Meta(min_length=1, max_length=STEPS_MAX)] | None = None
    pipeline: Annotated[str | None, Meta(description="Steps by name instead; default: `audit`.")] = None
    models: RuntimeModels = RuntimeModels()


class StatusQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether to answer at once."""

    wait: Annotated[float, Meta(ge=0, le=60, description="Wait at most so many seconds for something new.")] = 0
    since_seq: Annotated[
        Annotated[int, Meta(ge=0, le=10**15)] | None,
        Meta(description="What is new comes after this; default: after `If-None-Match`, or now."),
    ] = None


class RuntimeCancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Annotated[Reason | None, Meta(description="Shown in the log.")] = None


class RuntimeRunsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs."""

    status: Annotated[str | None, Meta(description="Runs that show this word.")] = None
    project_id: Annotated[str | None, Meta(description="Runs of one project; default: all that the key sees.")] = None
