"""How far a runtime run has come: a fold of its log that is kept beside the run, written in the same transaction.

Who decides what is next, whoever has the run, and who shows where it stands, read this and nothing else.
"""

from __future__ import annotations

import msgspec

from runwright.domain.base_policy import PolicyRead
from runwright.domain.delivery_events import DeliveryCourse
from runwright.domain.loop_course import LoopCourse
from runwright.domain.verdict import GateStanding, GateStatus, Stop
from runwright.domain.workspace import WorkspaceSnapshot

STAGES_KEPT = 50
"""So many of the stages that a run has come through are kept; a run with more steps tells the rest in its log."""


class Untaken(msgspec.Struct, frozen=True, array_like=True):
    """What a person typed and the command was not given yet."""

    input_id: str
    bytes: int


class OpenStep(msgspec.Struct, frozen=True):
    """A step that was begun under a lease and has not ended; its calls that have not ended, what it asks, and what
    people typed for it that it was not given yet. `paused`: the run was, while it was under way.
    """  # fmt: skip

    step_id: str
    kind: str
    lease_epoch: int
    at: int
    calls: tuple[str, ...] = ()
    checkpoint_id: str | None = None
    untaken: tuple[Untaken, ...] = ()
    paused: bool = False


class DoneStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step that has ended; one that `blocks` lets only gates and reports follow."""

    step_id: str
    kind: str
    name: str
    status: str
    exit_code: int | None = None
    duration_ms: int = 0
    detail: str = ""
    blocks: bool = False


class Findings(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many findings there are: open ones by severity, those that a baseline knows and that people suppress, which
    are not open, and what became of all. `scanned`: somebody looked.
    """  # fmt: skip

    open: dict[str, int] = {}
    opened: int = 0
    new: int = 0
    unchanged: int = 0
    fixed: int = 0
    suppressed: int = 0
    scanned: bool = False


class StageAt(msgspec.Struct, frozen=True, array_like=True):
    """When a run came to a stage (µs)."""

    stage: str
    at: int


class Course(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Where a runtime run stands. `pending` names the approvals that it waits for, `warned` the limits it told of;
    `laid_hash` is the tree that was checked out, of `ref` by its whole name; `policy` what stands there of such runs.
    """

    stage: str = "QUEUED"
    stages: tuple[StageAt, ...] = ()
    open: OpenStep | None = None
    done: tuple[DoneStep, ...] = ()
    gates: tuple[GateStanding, ...] = ()
    findings: Findings = Findings()
    tool_calls: int = 0
    warned: tuple[str, ...] = ()
    exhausted: str | None = None
    denied: str | None = None
    pending: tuple[str, ...] = ()
    decided: dict[str, str] = {}
    head_sha: str | None = None
    snapshot: WorkspaceSnapshot | None = None
    narrative: str = ""
    stop: Stop | None = None
    gate_status: GateStatus = "skipped"
    loop: LoopCourse | None = None
    """Where its remediation loop stands, if it is one."""
    laid_hash: str | None = None
    ref: str | None = None
    delivery: DeliveryCourse | None = None
    policy: PolicyRead | None = None

    def has_done(self, step_id: str) -> bool:
        """Tell whether a step has ended, or was skipped."""
        return any(step.step_id == step_id for step in self.done)

    @property
    def blocked(self) -> bool:
        """Tell whether a step has failed, or a required gate is not green: only gates and reports follow."""
        return any(step.blocks for step in self.done)
