"""The parts of a policy file, each with what it means where it is not named; the file itself is `policy_file`."""

from __future__ import annotations

from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.agent_terms import Budget
from runwright.domain.command_terms import StepId
from runwright.domain.linear import PATTERN_MAX
from runwright.domain.quality_gate import RelativePath
from runwright.domain.runtime_terms import Severity

Behavior = Literal["deny", "ask", "allow"]
"""What a finding does: `deny` counts against the gate, `ask` and `allow` are told only (`ask` may ask a person)."""

_Id = Annotated[str, Meta(min_length=1, max_length=64)]
_Floor = Annotated[float, Meta(ge=0, le=1)]
_Count = Annotated[int, Meta(ge=1, le=10**12)]
FLOORS: dict[Severity, float] = {"P0": 0.8, "P1": 0.8, "P2": 0.85, "P3": 0.95}
"""How sure a model must be of a finding for it to be told at all; a policy may ask for more, never for less."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a policy; a key that it does not have is refused."""


class SeverityGate(Part, frozen=True):
    """Which severities block, and which are told of as warnings."""

    block_on: tuple[Severity, ...] = ("P0", "P1")
    soft_warn: tuple[Severity, ...] = ("P2",)


class GateRule(Part, frozen=True):
    """A gate as it is written; `hard` is the older word for a behaviour."""

    id: _Id
    enabled: bool = True
    behavior: Behavior | None = None
    hard: bool | None = None
    required: bool | None = None
    config: dict[str, Any] = msgspec.field(default_factory=dict)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """A gate as it counts: its id as we spell it, and what it does. One that is not `known` is kept, and does nothing.

    `required`: whether it is red, and not only told of, that it did not run.
    """

    id: str
    known: bool
    enabled: bool
    behavior: Behavior
    required: bool
    config: dict[str, Any] = {}


class Scanning(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy says of a scanner: its gate, whether it looks, and whether it must have looked.

    `rules` and `database` are paths in the repository, for those that take them.
    """

    gate: str
    enabled: bool = True
    required: bool = False
    behavior: Behavior = "deny"
    rules: str | None = None
    database: str | None = None


class ScannerOptions(Part, frozen=True):
    """What a gate's `config` says of a scanner beyond `true` and `false`."""

    enabled: bool = True
    required: bool | None = None
    rules: RelativePath | None = None
    database: RelativePath | None = None


class ForbidPattern(Part, frozen=True):
    """An expression that no line may match, in the files of a pattern; `hard` is the older word for a behaviour."""

    pattern: Annotated[str, Meta(min_length=1, max_length=PATTERN_MAX)]
    files: Annotated[str, Meta(min_length=1, max_length=200)] = msgspec.field(name="in", default="**")
    id: StepId | None = None
    severity: Severity = "P2"
    behavior: Behavior | None = None
    hard: bool | None = None
    message: Annotated[str, Meta(min_length=1, max_length=500)] | None = None

    @property
    def rule_id(self) -> str:
        """Return the rule of its findings: its own id, or one by what it looks for."""
        name = self.id or sha256(f"{self.pattern}\0{self.files}".encode()).hexdigest()[:12]
        return f"policy:{name}"

    @property
    def told(self) -> str:
        """Return what a finding of it says."""
        return self.message or f"the policy forbids /{self.pattern}/ here"


class PatternRules(Part, frozen=True):
    """What the gate `policy` looks at; `coverage_min` is a share (0.8) or per cent (80)."""

    forbid_patterns: Annotated[tuple[ForbidPattern, ...], Meta(max_length=100)] = ()
    coverage_min: Annotated[float, Meta(ge=0, le=100)] = 0.0


class JudgeRules(Part, frozen=True):
    """What a judging model's findings must reach to count."""

    confidence_floors: dict[Severity, _Floor] = msgspec.field(default_factory=dict)


class CommandRules(Part, frozen=True):
    """Which programs may be run; None: all. None of them has a network, whatever is written here."""

    allow: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=200)] | None = None
    network: Literal["deny", "allow"] = "deny"
    domains: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=253)], ...], Meta(max_length=100)] = ()

    def allows(self, command: tuple[str, ...]) -> bool:
        """Tell whether a command may be run: by the name of its program, without the directories before it."""
        program = command[0].rpartition("/")[2]
        return self.allow is None or any(fnmatchcase(program, allowed) for allowed in self.allow)


class Budgets(Part, frozen=True):
    """How much one run or loop may use, at most, whatever it asks for."""

    max_cost_usd: Annotated[float, Meta(gt=0, le=1_000_000)] | None = None
    max_tokens: _Count | None = None
    max_runtime_seconds: _Count | None = None
    max_tool_calls: _Count | None = None
    max_iterations: Annotated[int, Meta(ge=1, le=1_000)] | None = None

    @property
    def budget(self) -> Budget:
        """Return the limits as runs have them; the iterations are the loop's own."""
        cost = None if self.max_cost_usd is None else max(1, round(self.max_cost_usd * 1_000_000))
        return Budget(
            cost_microusd=cost,
            tokens=self.max_tokens,
            tool_calls=self.max_tool_calls,
            wall_s=self.max_runtime_seconds,
        )


class TamperGuards(Part, frozen=True):
    """Which ways of making a gate pass without mending anything are refused.

    `forbid_test_deletion`: tests that are deleted, skipped or assert less; `forbid_new_suppressions`: remarks and lists
    that hide findings; `forbid_gate_edits`: gates and their thresholds. Sizes: of one patch. The policy itself needs no
    guard: it is read from the base, whatever a patch says.
    """

    forbid_test_deletion: bool = True
    forbid_new_suppressions: bool = True
    forbid_gate_edits: bool = True
    max_files: Annotated[int, Meta(ge=1, le=10_000)] = 50
    max_changed_lines: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
