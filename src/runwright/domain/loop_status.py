"""What a loop shows of itself in one word: the state that it is in, and the color of its gates."""

from __future__ import annotations

from typing import Literal

from runwright.domain.bound_terms import bound
from runwright.domain.loop_course import LoopCourse
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.progress import not_green
from runwright.domain.run import Run

GateColor = Literal["green", "red", "unknown"]
LoopState = Literal[
    "pending",
    "scanning",
    "planning",
    "awaiting_approval",
    "patching",
    "verifying",
    "reconciling",
    "delivering",
    "succeeded",
    "exhausted",
    "denied",
    "cancelled",
    "failed",
    "erased",
]
"""`reconciling`: the loop has said why it ends, and its run is about to; `delivering`: it has, and is delivered;
`erased`: its run completed, and what came of it was erased, or removed by retention."""
_ENDS: dict[str, LoopState] = {
    "clean": "succeeded",
    "policy_denied": "denied",
    "approval_denied": "denied",
    "approval_expired": "denied",
    "cancelled": "cancelled",
    "infra_error": "failed",
}
_BARE: dict[str, LoopState] = {"failed": "failed", "completed": "erased"}
"""The states of a loop of which no more is known than that of its run."""


def gate_color(loop: LoopCourse, terms: LoopTerms) -> GateColor:
    """Return whether the required gates are green in the tree that is kept; a gate that did not run is not."""
    if loop.standing is None:
        return "unknown"
    return "red" if not_green(loop.gates, terms) else "green"


def state_of(run: Run) -> LoopState:
    """Return where a loop is."""
    runtime = bound(run).spec.runtime
    loop = None if run.course is None else run.course.loop
    if loop is None or runtime is None or runtime.loop is None:
        return _BARE.get(run.state, "cancelled" if run.terminal else "pending")
    if run.terminal:
        return _ENDS.get(loop.exit_reason or "infra_error", "exhausted")
    if loop.stop is not None:
        return "reconciling"
    if not loop.begun:
        return "pending"
    if loop.standing is None:
        return "scanning"
    if run.state == "waiting" and run.reason == "approval":
        return "awaiting_approval"
    if loop.open is None:
        return "planning"
    return "patching" if loop.open.patch is None else "verifying"
