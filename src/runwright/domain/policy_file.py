"""The policy of a repository: what blocks, what must be green, what may be changed and run, and who is asked.

It is a file of the repository, YAML or JSON, read from the base of a change and never from the change itself: so nobody
weakens their own gate. Every key is in effect, or refused with its place; a gate that nobody knows here is kept, told
of, and does nothing. Without a file the defaults count.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from runwright.domain.globs import Scope, require_glob
from runwright.domain.linear import linear
from runwright.domain.policy_approvals import ApprovalRules, approvals_of
from runwright.domain.policy_gates import (
    COVERAGE,
    JUDGE,
    OFF,
    OWNERSHIP,
    POLICY,
    SCOPED_TESTS,
    behavior_of,
    effective,
    scanner_of,
    scannings,
    spelled,
)
from runwright.domain.policy_terms import (
    FLOORS,
    Behavior,
    Budgets,
    CommandRules,
    ForbidPattern,
    Gate,
    GateRule,
    JudgeRules,
    Part,
    PatternRules,
    Scanning,
    SeverityGate,
    TamperGuards,
)
from runwright.domain.policy_text import Written, read_written
from runwright.domain.quality_gate import QualityGate
from runwright.domain.runtime_terms import SEVERITIES, Severity
from runwright.domain.scan_rules import BUILT_IN
from runwright.domain.scoped_tests import ScopedTests

VERSION = 1
FILES = tuple(f"{home}/policy.{end}" for home in (".runwright", ".sentinelayer") for end in ("yaml", "yml", "json"))
"""Where a policy is looked for; the first that is there counts."""

LlmOnly = Literal["never", "corroborated", "confident"]
LlmFailure = Literal["block", "deterministic_only", "warn", "ignore"]
ApprovalMode = Literal["none", "manual", "pr_label", "workflow_dispatch"]
Forks = Literal["block", "limited", "allow"]
_ALIASES = {"allow_with_warning": "warn", "pass": "ignore"}


class _File(Part, frozen=True):
    """The file as it is written."""

    version: int = VERSION
    spec_id: Annotated[str, Meta(max_length=200)] | None = None
    severity_gate: SeverityGate = SeverityGate()
    gates: Annotated[tuple[GateRule, ...], Meta(max_length=100)] = ()
    policy: dict[str, Any] = msgspec.field(default_factory=dict)
    quality_gates: Annotated[tuple[QualityGate, ...], Meta(max_length=50)] = ()
    scope: Scope = Scope()
    commands: CommandRules = CommandRules()
    approvals: dict[str, Any] = msgspec.field(default_factory=dict)
    budgets: Budgets = Budgets()
    tamper_guards: TamperGuards = TamperGuards()
    llm_only_blocking: LlmOnly = "corroborated"
    llm_failure_policy: LlmFailure = "block"
    approval_mode: ApprovalMode = "none"
    forks: Forks = "block"


class PolicyFile(msgspec.Struct, frozen=True, kw_only=True):
    """A policy that is valid; `name` and `digest` are those of its file, empty for the defaults."""

    name: str = ""
    digest: str = ""
    spec_id: str | None = None
    severity_gate: SeverityGate = SeverityGate()
    gates: tuple[Gate, ...] = effective(())
    scanners: dict[str, Scanning] = msgspec.field(default_factory=lambda: scannings(effective(())))
    forbid_patterns: tuple[ForbidPattern, ...] = ()
    coverage_min: float = 0.0
    quality_gates: tuple[QualityGate, ...] = ()
    scoped_tests: ScopedTests | None = None
    scope: Scope = Scope()
    commands: CommandRules = CommandRules()
    approvals: dict[str, ApprovalRules] = {}
    budgets: Budgets = Budgets()
    tamper_guards: TamperGuards = TamperGuards()
    confidence_floors: dict[Severity, float] = msgspec.field(default_factory=lambda: dict(FLOORS))
    llm_only_blocking: LlmOnly = "corroborated"
    llm_failure_policy: LlmFailure = "block"
    approval_mode: ApprovalMode = "none"
    forks: Forks = "block"

    @property
    def blocking(self) -> tuple[Severity, ...]:
        """Return the severities of which no finding that counts may be left."""
        return tuple(each for each in SEVERITIES if each in self.severity_gate.block_on)

    @property
    def warning(self) -> tuple[Severity, ...]:
        """Return the severities that are told of as warnings."""
        return tuple(each for each in SEVERITIES if each in self.severity_gate.soft_warn)

    def gate(self, ident: str) -> Gate:
        """Return one of the gates that are known."""
        return next(gate for gate in self.gates if gate.id == ident)

    def scanner(self, name: str) -> Scanning:
        """Return what it says of a scanner; one that it does not name looks, and need not have looked."""
        return self.scanners.get(name.replace("-", "_")) or Scanning(gate="security")

    def requires(self, name: str) -> bool:
        """Tell whether a scanner must have seen all of a tree: those that come with Runwright, and what is named so."""
        return name in (*BUILT_IN, POLICY) or self.scanner(name).required

    @property
    def without(self) -> tuple[str, ...]:
        """Return those that come with Runwright, and that it does not let look."""
        return tuple(name for name in BUILT_IN if not self.scanner(name).enabled)

    def behavior(self, rule_id: str) -> Behavior:
        """Return what a finding of a rule does, whose id begins with its tool."""
        tool = rule_id.partition(":")[0]
        if tool == POLICY:
            own = next((each.behavior for each in self.forbid_patterns if each.rule_id == rule_id), None)
            return own or self.gate(POLICY).behavior
        return self.gate(JUDGE).behavior if tool == JUDGE else self.scanner(scanner_of(rule_id)).behavior


def first_of(names: Iterable[str]) -> str | None:
    """Return the policy file among the names of a tree's files, if there is one."""
    there = set(names)
    return next((name for name in FILES if name in there), None)


def read_policy(data: bytes, name: str) -> PolicyFile:
    """Return the policy of a file. Raises `PolicyInvalid` with the place of what is wrong."""
    written = read_written(data, name)
    value = {} if written.value is None else written.value
    if not isinstance(value, dict):
        raise written.invalid("", "a policy is a mapping of keys to values")
    version = value.get("version", VERSION)
    if not isinstance(version, int) or isinstance(version, bool) or version != VERSION:
        raise written.invalid("version", f"this is for version {VERSION} of policies, and not for {version!r}")
    failure = value.get("llm_failure_policy")
    if isinstance(failure, str) and failure in _ALIASES:
        value = value | {"llm_failure_policy": _ALIASES[failure]}
    return _checked(written, written.read(_File, value), sha256(data).hexdigest())


def _checked(written: Written, file: _File, digest: str) -> PolicyFile:
    gates = effective(file.gates, written)
    both = set(file.severity_gate.block_on) & set(file.severity_gate.soft_warn)
    if both:
        raise written.invalid("severity_gate.soft_warn", f"{min(both)} blocks already; it stands in one of the two")
    rules = _pattern_rules(written, file, gates)
    _require_scope(written, file.scope)
    taken = {gate.id for gate in gates if gate.enabled and (gate.id in OFF or not gate.known)}
    _require_commands(written, file, frozenset(taken | ({COVERAGE} if rules.coverage_min else set())))
    return PolicyFile(
        name=written.name,
        digest=digest,
        spec_id=file.spec_id,
        severity_gate=file.severity_gate,
        gates=gates,
        scanners=scannings(gates, written),
        forbid_patterns=rules.forbid_patterns,
        coverage_min=_share(rules.coverage_min),
        quality_gates=file.quality_gates,
        scoped_tests=_scoped_tests(written, file, gates),
        scope=file.scope,
        commands=file.commands,
        approvals=approvals_of(written, file.approvals),
        budgets=file.budgets,
        tamper_guards=file.tamper_guards,
        confidence_floors=_floors(written, gates),
        llm_only_blocking=file.llm_only_blocking,
        llm_failure_policy=file.llm_failure_policy,
        approval_mode=file.approval_mode,
        forks=file.forks,
    )


def _pattern_rules(written: Written, file: _File, gates: tuple[Gate, ...]) -> PatternRules:
    """Return the rules of the gate `policy`: what its config names counts before what `policy` itself does."""
    place = next(at for at, gate in enumerate(gates) if gate.id == POLICY)
    config = gates[place].config
    rules = written.read(PatternRules, file.policy, "policy")
    inner = written.read(PatternRules, config, f"gates[{place}].config")
    for at, each in ((f"gates[{place}].config", inner), ("policy", rules)):
        _require_patterns(written, each, f"{at}.forbid_patterns")
    rules = replace(rules, **{key: getattr(inner, key) for key in config})
    usual = gates[place].behavior
    found = (replace(each, behavior=behavior_of(each.behavior, each.hard, usual)) for each in rules.forbid_patterns)
    return replace(rules, forbid_patterns=tuple(found) if gates[place].enabled else ())


def _scoped_tests(written: Written, file: _File, gates: tuple[Gate, ...]) -> ScopedTests | None:
    """Return what the gate `scoped_tests` is told, and see that `ownership` is told nothing: it needs nothing."""
    owning = next(at for at, gate in enumerate(gates) if gate.id == OWNERSHIP)
    written.read(Part, gates[owning].config, f"gates[{owning}].config")
    place = next(at for at, gate in enumerate(gates) if gate.id == SCOPED_TESTS)
    if not gates[place].enabled or not gates[place].config:
        return None
    at = f"gates[{place}].config"
    rules = written.read(ScopedTests, gates[place].config, at)
    globs = {"tests": rules.tests, "idle": rules.idle}
    globs |= {f"map[{n}].{key}": getattr(each, key) for n, each in enumerate(rules.map) for key in ("paths", "tests")}
    for key, found in globs.items():
        _require_globs(written, found, f"{at}.{key}")
    if not file.commands.allows(rules.command):
        message = f"{rules.command[0]} is none of the programs that commands.allow names: the gate could never run"
        raise written.invalid(f"{at}.command", message)
    return rules


def _require_patterns(written: Written, rules: PatternRules, place: str) -> None:
    seen: set[str] = set()
    for at, each in enumerate(rules.forbid_patterns):
        try:
            expression = linear(each.pattern)
        except ValueError as wrong:
            raise written.invalid(f"{place}[{at}].pattern", str(wrong)) from None
        if expression.search(b"") is not None:
            raise written.invalid(f"{place}[{at}].pattern", "it matches where nothing stands, and so every line")
        _require_globs(written, (each.files,), f"{place}[{at}].in", listed=False)
        if each.rule_id in seen:
            raise written.invalid(f"{place}[{at}]", f"the rule {each.rule_id} stands there twice")
        seen.add(each.rule_id)


def _require_scope(written: Written, scope: Scope) -> None:
    _require_globs(written, scope.allow, "scope.allow")
    _require_globs(written, scope.deny, "scope.deny")


def _require_globs(written: Written, globs: tuple[str, ...], place: str, *, listed: bool = True) -> None:
    for at, glob in enumerate(globs):
        try:
            require_glob(glob)
        except ValueError as wrong:
            raise written.invalid(f"{place}[{at}]" if listed else place, str(wrong)) from None


def _require_commands(written: Written, file: _File, taken: frozenset[str]) -> None:
    commands = file.commands
    if commands.network != "deny" or commands.domains:
        place = "commands.network" if commands.network != "deny" else "commands.domains"
        raise written.invalid(place, "commands have no network here, and none can be opened; write network: deny")
    seen: set[str] = set()
    for at, gate in enumerate(file.quality_gates):
        if gate.id in seen:
            raise written.invalid(f"quality_gates[{at}].id", f"the gate {gate.id} stands there twice")
        seen.add(gate.id)
        if spelled(gate.id) in taken:
            raise written.invalid(f"quality_gates[{at}].id", f"{spelled(gate.id)} is a gate of the policy itself")
        if not commands.allows(gate.command):
            message = f"{gate.command[0]} is none of the programs that commands.allow names: the gate could never run"
            raise written.invalid(f"quality_gates[{at}].command", message)


def _floors(written: Written, gates: tuple[Gate, ...]) -> dict[Severity, float]:
    place = next(at for at, gate in enumerate(gates) if gate.id == JUDGE)
    at = f"gates[{place}].config"
    asked = written.read(JudgeRules, gates[place].config, at).confidence_floors
    for severity, floor in asked.items():
        if floor < FLOORS[severity]:
            message = f"it may be higher than {FLOORS[severity]}, and not lower"
            raise written.invalid(f"{at}.confidence_floors.{severity}", message)
    return FLOORS | asked


def _share(coverage: float) -> float:
    """Return a share of 1, of what may be written per cent."""
    return coverage / 100 if coverage > 1 else coverage
