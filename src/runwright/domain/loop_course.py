"""Where a remediation loop stands, beside what is kept of every runtime run: a part of the run's `Course`.

What an iteration did counts only once it has ended: until then another worker makes it again, over the tree that was
kept last. The log folds into it by `loop_fold`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.domain import loop_events as e
from runwright.domain.agent_terms import Budget
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.verdict import GateStanding, Stop, Tried

ExitReason = Literal[
    "clean",
    "max_iterations",
    "budget_tokens",
    "budget_cost",
    "budget_runtime",
    "budget_tool_calls",
    "no_progress",
    "policy_denied",
    "approval_denied",
    "approval_expired",
    "cancelled",
    "infra_error",
]
EXITS: dict[str, ExitReason] = {
    "NONE": "clean",
    "MAX_ITERATIONS": "max_iterations",
    "MAX_TOKENS_EXCEEDED": "budget_tokens",
    "MAX_COST_EXCEEDED": "budget_cost",
    "MAX_RUNTIME_EXCEEDED": "budget_runtime",
    "MAX_TOOL_CALLS_EXCEEDED": "budget_tool_calls",
    "DIMINISHING_RETURNS": "no_progress",
    "PATH_OUT_OF_SCOPE": "policy_denied",
    "NETWORK_DOMAIN_VIOLATION": "policy_denied",
    "TOOL_DENIED": "policy_denied",
    "POLICY_DENIED": "policy_denied",
    "FORK_BLOCKED": "policy_denied",
    "APPROVAL_DENIED": "approval_denied",
    "APPROVAL_EXPIRED": "approval_expired",
    "MANUAL_STOP": "cancelled",
}
"""Stop code → why the loop ended; every other code is one of a loop that could not do its job."""
KEPT = 100
"""So many iterations are kept beside the run; the log has all of them."""


class OpenIteration(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An iteration that has not ended; `checkpoint_id` is what it asks, `decided` what people said."""

    n: int
    at: int
    patcher: str
    batch: str
    targeted: tuple[str, ...]
    owners: tuple[str, ...] = ()
    patch: e.PatchFacts | None = None
    refused: tuple[str, ...] = ()
    checkpoint_id: str | None = None
    decided: str | None = None
    paths: tuple[str, ...] = ()
    owned: tuple[str, ...] = ()

    @property
    def ownerless(self) -> tuple[str, ...]:
        """Return the files of its patch that nobody owns."""
        return tuple(path for path in self.paths if path not in self.owned)


class Iteration(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An iteration that has ended; `findings` are those that were open in its tree, where that was looked at."""

    n: int
    began_at: int
    ended_at: int
    patcher: str
    targeted: tuple[str, ...]
    outcome: e.Outcome
    why: str
    tree_hash: str
    owners: tuple[str, ...] = ()
    gates: dict[str, str] = {}
    patch: e.PatchFacts | None = None
    refused: tuple[str, ...] = ()
    new_findings: int = 0
    fixed_findings: int = 0
    checkpoint_id: str | None = None


class LoopCourse(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a loop stands. `standing` is what is known of the kept tree, and `gates` what its gates said.

    `idle` counts the iterations since the tree became better; `tried` what was tried on it and came to nothing (batch
    by patcher → how often; 0: the fixer had nothing to propose). `calls`, `answers` and `seen` belong to the look under
    way: the commands that were begun, what came of those that have ended (of a gate's, what it says of the tree), and
    what the gates said by them. `changed` are the files that kept patches touch, `ownerless` those of them that nobody
    owns; `plan` is what people said of the whole.
    """

    begun: bool = False
    plan: str | None = None
    terms: LoopTerms | None = None
    budget: Budget | None = None
    standing: e.Standing | None = None
    start: e.Standing | None = None
    gates: tuple[GateStanding, ...] = ()
    open: OpenIteration | None = None
    iterations: tuple[Iteration, ...] = ()
    count: int = 0
    idle: int = 0
    tried: dict[str, int] = {}
    calls: tuple[str, ...] = ()
    answers: dict[str, Tried | None] = {}
    seen: tuple[GateStanding, ...] = ()
    seen_tree: str = ""
    tree_hash: str = ""
    changed: tuple[str, ...] = ()
    ownerless: tuple[str, ...] = ()
    model_failed: bool = False
    unverified: int = 0
    stop: Stop | None = None

    @property
    def exit_reason(self) -> ExitReason | None:
        """Return why the loop ended; None while it goes on."""
        return None if self.stop is None else EXITS.get(self.stop.code, "infra_error")


def tried_as(patcher: str, batch: str) -> str:
    """Return under which name it is kept that a patcher tried a batch."""
    return f"{patcher}|{batch}"
