"""The shapes of runs on the runtime surface."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.api.pages import PageQuery

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
    started_at: str | None
    ended_at: str | None
    queued_ms: int
    summaries: Summaries
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


class Summaries(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the run so far."""

    usage: UsageSummary


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """Why an ended run ended; `code` is the class of its error, or its state, in capitals."""

    code: str
    reason: str | None
    detail: str | None


class LastEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log."""

    event_id: str
    seq: int
    ts: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle of evidence would be bound to; `sealed` once the run has ended."""

    head_hash: str
    sealed: bool


class RuntimeCancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why."""

    reason: Annotated[Reason | None, Meta(description="Shown in the log.")] = None


class RuntimeRunsQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs."""

    status: Annotated[str | None, Meta(description="Runs that show this word.")] = None
    project_id: Annotated[str | None, Meta(description="Runs of one project; default: all that the key sees.")] = None
