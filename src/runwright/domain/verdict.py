"""How runtime runs end: the stop codes with their classes, and the status of the gate.

A run that ends by a ceiling, a denial or a red gate has done its job: it is `completed`, and its code says why. A
run that `failed` could not do its job.
"""

from __future__ import annotations

from typing import Literal

import msgspec

StopClass = Literal[
    "clean",
    "budget_exhausted",
    "blocked_by_policy",
    "awaiting_hitl",
    "infra_error",
    "validation_error",
    "manual_stop",
]
GateStatus = Literal["passed", "blocked", "needs_approval", "error", "skipped"]
"""`skipped`: nothing was there to be judged; `error`: what was to be judged did not come about."""

BY_GATE = -1


class Row(msgspec.Struct, frozen=True):
    """What a code stands for: its class, the state in which the run ends, and the exit code of a process that asks."""

    stop_class: StopClass
    state: Literal["completed", "failed", "cancelled"]
    exit_code: int


STOPS: dict[str, Row] = {
    "NONE": Row("clean", "completed", BY_GATE),
    "FINDINGS_REMAIN": Row("clean", "completed", 1),
    "GATE_NOT_GREEN": Row("clean", "completed", 1),
    "STEP_FAILED": Row("validation_error", "completed", 1),
    "MAX_TOKENS_EXCEEDED": Row("budget_exhausted", "completed", BY_GATE),
    "MAX_COST_EXCEEDED": Row("budget_exhausted", "completed", BY_GATE),
    "MAX_RUNTIME_EXCEEDED": Row("budget_exhausted", "completed", BY_GATE),
    "MAX_TOOL_CALLS_EXCEEDED": Row("budget_exhausted", "completed", BY_GATE),
    "MAX_ITERATIONS": Row("budget_exhausted", "completed", BY_GATE),
    "DIMINISHING_RETURNS": Row("budget_exhausted", "completed", BY_GATE),
    "PATH_OUT_OF_SCOPE": Row("blocked_by_policy", "completed", 1),
    "NETWORK_DOMAIN_VIOLATION": Row("blocked_by_policy", "completed", 1),
    "TOOL_DENIED": Row("blocked_by_policy", "completed", 1),
    "POLICY_DENIED": Row("blocked_by_policy", "completed", 1),
    "FORK_BLOCKED": Row("blocked_by_policy", "completed", 12),
    "APPROVAL_DENIED": Row("blocked_by_policy", "completed", 13),
    "APPROVAL_EXPIRED": Row("awaiting_hitl", "completed", 13),
    "MANUAL_STOP": Row("manual_stop", "cancelled", 1),
    "LLM_UNAVAILABLE": Row("infra_error", "failed", 10),
    "CONFIG_INVALID": Row("validation_error", "failed", 2),
    "WORKSPACE_MISSING": Row("validation_error", "failed", 2),
    "APPROVAL_SUBJECT_MISMATCH": Row("blocked_by_policy", "completed", 13),
    "NOTHING_TO_COMMIT": Row("validation_error", "completed", 1),
    "PROTECTED_BRANCH": Row("blocked_by_policy", "completed", 1),
    "PUSH_REJECTED": Row("blocked_by_policy", "completed", 1),
    "BASE_MOVED": Row("validation_error", "completed", 1),
    "FORGE_ERROR": Row("infra_error", "completed", 10),
    "TOOL_FAILED": Row("infra_error", "completed", 2),
    "OUTCOME_UNKNOWN": Row("infra_error", "failed", 2),
    "INFRA_ERROR": Row("infra_error", "failed", 2),
}
"""Every code; `BY_GATE`: 1 where the gate is not passed, else 0."""

BY_LIMIT = {
    "tokens": "MAX_TOKENS_EXCEEDED",
    "cost_microusd": "MAX_COST_EXCEEDED",
    "wall_s": "MAX_RUNTIME_EXCEEDED",
    "tool_calls": "MAX_TOOL_CALLS_EXCEEDED",
}
"""The code of a run that came to the end of a limit."""

_OF_FAILURES = {
    "step.outcome_unknown": "OUTCOME_UNKNOWN",
    "workspace.mismatch": "WORKSPACE_MISSING",
    "workspace.none": "WORKSPACE_MISSING",
}


class GateStanding(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a gate said last, of which tree."""

    gate_id: str
    name: str
    status: str
    required: bool
    detail: str = ""
    tree_hash: str | None = None
    coverage: float | None = None


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """One time that a gate's command was run: the end of what it said, and what its report of coverage measured.

    `unmeasured`: why that says nothing, where one was asked for.
    """

    status: Literal["green", "red", "not_run"]
    exit_code: int | None
    duration_ms: int
    detail: str
    output: str = ""
    coverage: float | None = None
    unmeasured: str = ""


class Stop(msgspec.Struct, frozen=True):
    """Why a run ended: a code of `STOPS`, and what there is to say beside it."""

    code: str
    detail: str = ""

    @property
    def stop_class(self) -> StopClass:
        """Return the family of the code."""
        return STOPS[self.code].stop_class

    def exit_code(self, gate: GateStatus) -> int:
        """Return what a process that waited for the run should exit with."""
        code = STOPS[self.code].exit_code
        return code if code != BY_GATE else int(gate in ("blocked", "error", "needs_approval"))


def of_failure(code: str | None) -> str:
    """Return the stop code of a run that failed with an error's code."""
    if code is not None and code.startswith("providers."):
        return "LLM_UNAVAILABLE"
    if code is not None and code.startswith(("repo.", "ref.", "policy.")):
        return "CONFIG_INVALID"
    return _OF_FAILURES.get(code or "", "INFRA_ERROR")
