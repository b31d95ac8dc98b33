"""What the API answers about runs on the runtime surface."""

from datetime import datetime
from typing import Any

import msgspec

from runwright.client.models import Record


class RuntimeUsage(msgspec.Struct, kw_only=True):
    """What was used of models; a cost of None is unknown, not nothing."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_microusd: int | None = None
    cost_usd: float | None = None
    provider: str | None = None
    model: str | None = None
    estimated: bool = False


class RuntimeRun(Record, kw_only=True):
    """Where a run of any kind stands; `status` is in the words of the surface that made it."""

    run_id: str
    status: str = ""
    mode: str | None = None
    runtime_profile: str | None = None
    repo: str | None = None
    ref: str | None = None
    orchestrator_model: str | None = None
    subagent_model: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    max_iterations: int | None = None
    current_iteration: int | None = None
    current_stage: str = ""
    total_events: int = 0
    kind: str = ""
    state: str = ""
    reason: str | None = None
    trace_id: str = ""
    objective: str | None = None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    queued_ms: int = 0
    stage_history: list[dict[str, Any]] = msgspec.field(default_factory=list)
    pending_approvals: list[str] = msgspec.field(default_factory=list)
    gate_status: str = ""
    summaries: dict[str, Any] = msgspec.field(default_factory=dict)
    stop: dict[str, Any] | None = None
    last_event: dict[str, Any] = msgspec.field(default_factory=dict)
    evidence: dict[str, Any] = msgspec.field(default_factory=dict)


class RuntimeEvent(msgspec.Struct, kw_only=True):
    """An event of a run; `hash` covers it and `prev_hash`, that of the one before."""

    event_id: str
    run_id: str
    seq: int
    ts: datetime
    type: str
    legacy_type: str = ""
    kind: str = ""
    level: str = "info"
    actor: str = ""
    actor_detail: dict[str, str] = {}
    payload: dict[str, Any] = {}
    usage: RuntimeUsage = msgspec.field(default_factory=RuntimeUsage)
    duration_ms: int = 0
    token_usage: int = 0
    cost_usd: float | None = None
    hash: str = ""
    prev_hash: str = ""
    erased: bool = False


class EventsPage(Record, kw_only=True):
    """Events in their order, none once all were read."""

    run_id: str
    events: list[RuntimeEvent] = msgspec.field(default_factory=list)
    next_after_event_id: str | None = None
    has_more: bool = False
    head_seq: int = 0
    head_hash: str = ""
