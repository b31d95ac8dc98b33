"""What a runtime run was asked to be: in which mode, over which repository, by which steps, and how far it may go.

All of it is fixed when the run is created, and is part of its `Spec`. A mode is kept outside of the model and of the
commands: where it does not let a run write, the workspace is mounted read-only.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain.agent_terms import AgentTerms, Budget, Tool
from runwright.domain.approval import DECIDERS, Excluded, Quorum, Risk, Roles, TtlSeconds
from runwright.domain.command_terms import Seconds, StepId, Words
from runwright.domain.delivery_terms import DeliveryTerms
from runwright.domain.globs import Scope
from runwright.domain.loop_terms import LoopTerms

Mode = Literal["advice", "audit_readonly", "edit_gated", "autonomous_gated"]
MODES: tuple[Mode, ...] = ("advice", "audit_readonly", "edit_gated", "autonomous_gated")
WRITES: frozenset[str] = frozenset({"edit_gated", "autonomous_gated"})
"""The modes in which a run may change its workspace; in the others it is mounted read-only."""

RuntimeProfile = Literal["container_readonly", "container_write"]
Severity = Literal["P0", "P1", "P2", "P3"]
SEVERITIES: tuple[Severity, ...] = ("P0", "P1", "P2", "P3")
Stage = Literal[
    "QUEUED",
    "CLONING",
    "INGESTING",
    "SCANNING",
    "RUNNING",
    "REASONING",
    "RECONCILING",
    "VERIFYING",
    "AWAITING_APPROVAL",
    "SEALING",
    "DONE",
]

STEPS_MAX = 100
StepName = Annotated[str, Meta(min_length=1, max_length=200)]


class _Step(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="kind"
):
    """What all steps have: an id that no other step of the run has (default: its place), and a name for people."""

    step_id: StepId | None = None
    name: StepName | None = None

    @property
    def ident(self) -> str:
        """Return its id; whoever pinned the step gave it one."""
        return self.step_id or ""

    @property
    def title(self) -> str:
        """Return what people read."""
        return self.name or self.ident


class IngestStep(_Step, frozen=True, tag="ingest"):
    """Make the workspace and tell what lies in it."""


class ScanStep(_Step, frozen=True, tag="scan"):
    """Look through the workspace for secrets and signs of harm; what is found is told as findings."""


class CommandStep(_Step, frozen=True, kw_only=True, tag="command"):
    """Run a command in the sandbox: an argument list, no shell, no network.

    `effect`: whether it may be made again where nobody knows how far it came; `on_failure`: whether the run goes on
    when it fails. `tty`: it has a terminal in place of two pipes; `stdin`: people may type for it.
    """

    command: Words
    timeout_seconds: Seconds = 600.0
    tty: bool = False
    stdin: bool = False
    effect: Literal["idempotent", "unsafe"] = "idempotent"
    on_failure: Literal["stop", "continue"] = "stop"


class GateStep(_Step, frozen=True, kw_only=True, tag="gate"):
    """Run a command whose exit code is a verdict: 0 is green. A gate that did not run is not green.

    `tty`: it has a terminal in place of two pipes. Nobody types for it: what people decide is an approval.
    """

    command: Words
    timeout_seconds: Seconds = 600.0
    tty: bool = False
    required: bool = True


class ApprovalStep(_Step, frozen=True, kw_only=True, tag="approval"):
    """Ask people to allow what follows: the tree as it is, and the steps to come. A denial, also by silence, ends the
    run.
    """

    summary: Annotated[str, Meta(min_length=1, max_length=4096)]
    gate_id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}(?!\n)$", max_length=64)] = "plan"
    risk: Risk = "medium"
    quorum: Quorum = 1
    roles: Roles = DECIDERS
    exclude_actors: Excluded = ()
    ttl_seconds: TtlSeconds = 86_400


class AgentStep(_Step, frozen=True, kw_only=True, tag="agent"):
    """Give a model a task; it works with tools over the workspace until it has its last word.

    `max_turns`: how often it is asked, at most; `on_failure`: whether the run goes on when it does not get there.
    """

    task: Annotated[str, Meta(min_length=1, max_length=65_536)]
    max_turns: Annotated[int, Meta(ge=1, le=1_000)] = 50
    on_failure: Literal["stop", "continue"] = "stop"


class ReportStep(_Step, frozen=True, tag="report"):
    """Tell in words what came of the run so far."""


Step = IngestStep | ScanStep | CommandStep | GateStep | AgentStep | ApprovalStep | ReportStep
KINDS: dict[type, str] = {
    IngestStep: "ingest",
    ScanStep: "scan",
    CommandStep: "command",
    GateStep: "gate",
    AgentStep: "agent",
    ApprovalStep: "approval",
    ReportStep: "report",
}
STAGES: dict[str, Stage] = {
    "ingest": "INGESTING",
    "scan": "SCANNING",
    "command": "RUNNING",
    "gate": "VERIFYING",
    "agent": "REASONING",
    "approval": "AWAITING_APPROVAL",
    "report": "RECONCILING",
}
"""The stage in which a run is while a step of a kind is under way."""

PIPELINES: dict[str, tuple[Step, ...]] = {
    "audit": (IngestStep(step_id="ingest"), ScanStep(step_id="scan"), ReportStep(step_id="report"))
}
"""Steps by name; a run that names none, and has no steps of its own, has those of `audit`."""


class RunPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What commands may be run, which paths they and tools may change, and whether they have a network: they have none.

    `commands` are names of programs, `*` stands for any text; None: every program. `paths` are patterns.
    """

    commands: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=200)] | None = (
        None
    )
    paths: Scope = Scope()
    network: Literal["deny", "allow"] = "deny"

    def allows(self, command: tuple[str, ...]) -> bool:
        """Tell whether a command may be run: by the name of its program, without the directories before it."""
        if self.commands is None:
            return True
        program = command[0].rpartition("/")[2]
        return any(fnmatchcase(program, allowed) for allowed in self.commands)


class GateTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the verdict over the run looks at: the worst severity of an open finding that it passes is below this."""

    severity_gate: Literal["P0", "P1", "P2", "none"] = "P1"

    @property
    def blocking(self) -> tuple[Severity, ...]:
        """Return the severities of which no open finding may be left."""
        if self.severity_gate == "none":
            return ()
        return SEVERITIES[: SEVERITIES.index(self.severity_gate) + 1]


class RuntimeTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The terms of a runtime run. `repo` None is an empty workspace; `agent` is the model behind its agent steps."""

    mode: Mode = "audit_readonly"
    runtime_profile: RuntimeProfile = "container_readonly"
    repo: str | None = None
    ref: str | None = None
    head_sha: str | None = None
    objective: str = ""
    steps: tuple[Step, ...] = ()
    agent: AgentTerms | None = None
    budget: Budget = Budget()
    warn_at_pct: int = 80
    policy: RunPolicy = RunPolicy()
    gate: GateTerms = GateTerms()
    loop: LoopTerms | None = None
    delivery: DeliveryTerms | None = None

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the tools that its models may have: none has a network, and none escapes the policy on commands."""
        return ("files",) if self.policy.commands is not None else ("shell", "files", "python")

    @property
    def delivers(self) -> bool:
        """Tell whether what the run makes is to be delivered by itself."""
        return self.loop is not None and self.loop.deliver is not None

    @property
    def writable(self) -> bool:
        """Tell whether the run may change its workspace."""
        return self.mode in WRITES and self.runtime_profile == "container_write"


def kind_of(step: Step) -> str:
    """Return what a step is, as the wire and the log say it."""
    return KINDS[type(step)]


def pinned(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the steps, each with an id: its own, or one by its place. Raises `ValueError` for one that two have."""
    found: list[Step] = []
    taken = {step.step_id for step in steps if step.step_id is not None}
    for place, step in enumerate(steps, 1):
        ident = step.step_id or f"{kind_of(step)}-{place}"
        if step.step_id is None and ident in taken:
            raise ValueError(f"{ident} is the id of two steps; name each of them otherwise")
        found.append(msgspec.structs.replace(step, step_id=ident))
    idents = [step.ident for step in found]
    twice = next((ident for ident in idents if idents.count(ident) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is the id of two steps; name each of them otherwise")
    return tuple(found)
