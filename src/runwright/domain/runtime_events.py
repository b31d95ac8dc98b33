"""The shapes of what the logs of runtime runs say; the catalogue is `events`.

A command of such a run is told as a call of the tool `command`, and what it writes as `terminal.output`; what models
say and use is told as in the logs of agents.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Raw

from runwright.domain.agent_events import TokenUsage
from runwright.domain.redaction import RedactedText
from runwright.domain.run import State, ValueRef
from runwright.domain.verdict import GateStatus, StopClass
from runwright.domain.workspace import WorkspaceSnapshot

StepStatus = Literal["succeeded", "failed", "denied", "skipped", "outcome_unknown"]
GateResultStatus = Literal["green", "red", "not_run", "error", "flaky"]


class RuntimeStarted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.started` as the first event of a runtime run: the whole configuration, and its best-known parts apart."""

    mode: str
    runtime_profile: str
    repo: str | None
    ref: str | None
    head_sha: str | None
    objective: RedactedText
    orchestrator_model: str | None
    steps: tuple[str, ...]
    spec_digest: str
    trace_id: str
    spec: Raw
    state: State
    due_at: int | None = None
    expires_at: int | None = None
    reason: str | None = None
    key: str = ""


class StageChanged(msgspec.Struct, frozen=True, kw_only=True, rename={"before": "from", "after": "to"}):
    """`run.stage_changed`: the run has come to another stage."""

    before: str
    after: str


class StepBegun(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`step.started` of a runtime run; `again`: a worker was lost, or the run was paused, while it was under way."""

    step_id: str
    kind: str
    name: str
    lease_epoch: int
    again: bool = False


class StepEnded(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`step.completed` of a runtime run: it will not be made again. `snapshot`: what it left in the workspace."""

    step_id: str
    kind: str
    name: str
    status: StepStatus
    duration_ms: int = 0
    exit_code: int | None = None
    detail: RedactedText | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    snapshot: WorkspaceSnapshot | None = None


class GateTry(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a gate's command was run."""

    status: GateResultStatus
    exit_code: int | None
    duration_ms: int
    detail: RedactedText


class GateJudged(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`gate.result`: what a gate says of the tree; one that did not run says that, and is not green.

    `tries` are told where a red one was tried again; `coverage` where its report told a share of lines.
    """

    gate_id: str
    name: str
    status: GateResultStatus
    required: bool
    detail: RedactedText
    exit_code: int | None = None
    duration_ms: int = 0
    tree_hash: str | None = None
    coverage: float | None = None
    tries: tuple[GateTry, ...] = ()


class PolicyDenied(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`policy.denied`: what the run was about to do is not allowed by its policy; it was not done, or undone.

    The run ends by it, unless it is about a call of a tool (`tool_call_id`): its model is told, and the run goes on.
    """

    rule_id: str
    subject: RedactedText
    decision: str
    reason: str
    code: str
    tool_call_id: str | None = None


class Narrative(msgspec.Struct, frozen=True):
    """`output.narrative`: what the run tells people of itself."""

    text: RedactedText


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did and used, added up; a cost of null is unknown."""

    steps: int
    tool_calls: int
    usage: TokenUsage
    cost_microusd: int | None


class RuntimeCompleted(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.completed` of a runtime run: why it ended, and what the gate says."""

    attempt: int
    duration_ms: int
    result: ValueRef | None
    stop_class: StopClass
    stop_code: str
    gate_status: GateStatus
    totals: Totals
    detail: RedactedText | None = None


class RuntimeFailed(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.failed` of a runtime run: it could not do its job; where a model's provider refused, `details` say why."""

    reason: str
    error_class: str
    error: RedactedText
    retryable: bool
    attempt: int
    dead_lettered: bool
    duration_ms: int
    stop_class: StopClass
    stop_code: str
    gate_status: GateStatus
    code: str | None = None
    traceback: RedactedText | None = None
    details: dict[str, Any] | None = None


class RuntimeCancelled(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`run.cancelled` of a runtime run."""

    reason: str
    stop_class: StopClass
    stop_code: str
    gate_status: GateStatus
    confirmed: bool | None = None
    note: str | None = None
    request_id: str | None = None
    last_seen_seq: int | None = None


RECORDS: dict[str, tuple[Literal["lifecycle", "output", "governance"], type[msgspec.Struct]]] = {
    "run.stage_changed": ("lifecycle", StageChanged),
    "gate.result": ("governance", GateJudged),
    "policy.denied": ("governance", PolicyDenied),
    "output.narrative": ("output", Narrative),
}
"""What the executing side of a runtime run alone appends: type → its kind and shape."""
