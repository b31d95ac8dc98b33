"""Judge a directory of this machine by the policy of its base: scan it, run its gates in the sandbox, and say.

Nothing is asked of a server or a network. Where no sandbox works nothing is judged: that is an error, never a pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.clock import Clock
from runwright.config import Settings
from runwright.domain import baseline as b
from runwright.domain import owners
from runwright.domain import suppressions as s
from runwright.domain.baseline import Baseline, Compared, compare
from runwright.domain.finding import Finding, Match, findings
from runwright.domain.gating import (
    Changes,
    Coverage,
    GateOutcome,
    Verdict,
    judge,
    none_in_scope,
    scoped_gate,
    verdict,
)
from runwright.domain.inventory import Inventory
from runwright.domain.owners import Owners
from runwright.domain.policy_file import FILES, PolicyFile, read_policy
from runwright.domain.policy_gates import JUDGE, POLICY, scanner_of
from runwright.domain.redaction import Redactor
from runwright.domain.scoped_tests import in_scope
from runwright.domain.summaries import so_many
from runwright.domain.suppressions import Suppressions, read_suppressions
from runwright.errors import PolicyInvalid
from runwright.gates.programs import programs
from runwright.gates.quality import GateBounds, run_gate, run_gates
from runwright.governance.local.environments import variables
from runwright.governance.local.here import Here
from runwright.governance.local.laying import lay_files
from runwright.sandbox.means import Means
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.sandbox.snapshot import EMPTY, Limits
from runwright.scanners.available import Scanners
from runwright.scanners.look import Look, look

FINDINGS_MAX = 10_000
"""So many findings are compared with a baseline; where there are more the gate does not pass."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody asks beside the directory: files in place of those of the base, and what to look at."""

    policy: Path | None = None
    baseline: Path | None = None
    fail_severity: str | None = None
    only_changed: bool = False
    from_fork: bool = False
    environments: tuple[Path, ...] = ()
    run_commands: bool = True


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What counts, and what is to be said of it."""

    policy: PolicyFile
    suppressions: Suppressions
    baseline: Baseline | None
    owners: Owners = Owners()
    notes: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class GateRun(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it."""

    here: Here
    rules: Rules
    verdict: Verdict
    compared: Compared
    tree_hash: str
    inventory: Inventory
    notes: tuple[str, ...]

    @property
    def unsuppressed(self) -> Compared:
        """Return what was compared without what is suppressed: nobody has to know that by a baseline."""
        left = tuple(each for each in self.compared.findings if self.rules.suppressions.of(each) is None)
        return replace(self.compared, findings=left)


def rules_of(here: Here, asked: Asked, now: datetime) -> Rules:
    """Return what counts: the files that were named, else those of the base. Raises `PolicyInvalid`, `OSError`."""
    notes: list[str] = []
    asked_of = {s.FILE, *([b.FILE] if asked.baseline is None else []), *(FILES if asked.policy is None else [])}
    for each in sorted(asked_of):
        if here.is_odd(each):
            raise PolicyInvalid.of(each, "", None, "it is a link or a directory; what counts is a file of its own")
    name = next((each for each in FILES if _of(here, each) is not None), None)
    if asked.policy is not None:
        policy = read_policy(asked.policy.read_bytes(), str(asked.policy))
    else:
        policy = PolicyFile() if name is None else read_policy(_of(here, name) or b"", name)
    if here.base is None:
        why = "there is no commit yet" if here.is_repository else "this is no git repository"
        notes.append(f"{why}: the policy is that of the directory itself")
    hidden = _of(here, s.FILE)
    suppressions = Suppressions() if hidden is None else read_suppressions(hidden, now)
    known: Baseline | None
    if asked.baseline is not None:
        known = b.read_baseline(asked.baseline.read_bytes(), str(asked.baseline))
    else:
        data = _of(here, b.FILE)
        known = None if data is None else b.read_baseline(data)
    if asked.fail_severity is not None:
        policy = _failing_from(policy, asked.fail_severity)
    changed = [each for each in (*FILES, s.FILE, b.FILE) if here.base is not None and _differs(here, each)]
    notes += [f"{each} differs from the base; the base's counts" for each in changed if each in asked_of]
    notes += [f"the suppression of {each.about} is none: {why}" for each, why in suppressions.void]
    if policy.gate(JUDGE).enabled and policy.llm_failure_policy in ("warn", "deterministic_only"):
        notes.append("no model answers here: the gate llm_judge did not run")
    owned = next((data for each in owners.FILES if (data := _of(here, each)) is not None), b"")
    whose = owners.read_owners(owned[: owners.MAX_BYTES].decode("utf-8", "replace"))
    notes += [f"line {line} of CODEOWNERS is no rule: {why}" for line, why in whose.void[: owners.VOID_TOLD]]
    return Rules(
        policy=policy,
        suppressions=suppressions,
        baseline=known,
        owners=whose,
        notes=tuple(notes),
        changed=tuple(each for each in changed if each in FILES),
    )


def _of(here: Here, path: str) -> bytes | None:
    return here.of_tree(path) if here.base is None else here.of_base(path)


def _differs(here: Here, path: str) -> bool:
    return here.of_base(path) != here.of_tree(path)


def _failing_from(policy: PolicyFile, severity: str) -> PolicyFile:
    order = ("P0", "P1", "P2", "P3")
    blocking = () if severity == "none" else order[: order.index(severity) + 1]
    warning = tuple(each for each in policy.warning if each not in blocking)
    return replace(policy, severity_gate=replace(policy.severity_gate, block_on=blocking, soft_warn=warning))


class Local:
    """Judges one directory. `means` are to be closed by whoever made them."""

    def __init__(self, here: Here, rules: Rules, asked: Asked, settings: Settings, means: Means, clock: Clock) -> None:
        self._here = here
        self._rules = rules
        self._asked = asked
        self._settings = settings
        self._clock = clock
        self._redactor = Redactor()
        limits = Limits(settings.runtime_workspace_max_files, settings.runtime_workspace_max_bytes)
        self._tools = replace(ToolBounds.of(settings), tree=limits)
        self._place = RunWorkspace(means, "", self._tools, "gate", None)

    async def judged(self) -> GateRun:
        """Scan, run the gates, and say. Raises `TreeRefused`, `NotStarted`."""
        try:
            here, settings = self._here, self._settings
            left_out, snapshot = await self._place.lay(
                lambda into: asyncio.to_thread(
                    lay_files, here.root, here.paths, into, settings.repository_file_max_bytes
                )
            )
            tree_hash = EMPTY if snapshot is None else snapshot.tree_hash
            seen = await look(
                self._place,
                self._scanners(),
                replace(ScanBounds.of(settings), findings_max=FINDINGS_MAX),
                self._redactor,
                self._clock,
                left_out=left_out,
                tree_hash=tree_hash,
                without=self._rules.policy.without,
                owners=self._rules.owners,
            )
            return self._told(seen, tree_hash, await self._gates())
        finally:
            await self._place.close()

    def _scanners(self) -> tuple[Scanner, ...]:
        return Scanners.of(self._settings).of_policy(self._rules.policy, self._here.beneath_base)

    async def _gates(self) -> tuple[GateOutcome, ...]:
        policy = self._rules.policy
        if not self._asked.run_commands or (self._asked.from_fork and policy.forks == "limited"):
            told = (
                "commands are not run for a fork (forks: limited)" if self._asked.from_fork else "it was not asked for"
            )
            scoped = scoped_gate(policy)
            every = policy.quality_gates if scoped is None else (*policy.quality_gates, scoped)
            return tuple(_not_run(gate.id, gate.required, told) for gate in every)
        bounds = GateBounds(
            memory_bytes=self._tools.memory_bytes,
            cpus=self._tools.cpus,
            env=variables(self._asked.environments),
            programs=programs(_programs(policy), self._asked.environments),
        )
        gates = await run_gates(policy, self._place, bounds, self._redactor, self._clock)
        return (*gates, *await self._scoped(bounds))

    async def _scoped(self, bounds: GateBounds) -> tuple[GateOutcome, ...]:
        policy, here = self._rules.policy, self._here
        if policy.scoped_tests is None:
            return ()
        tests = in_scope(policy.scoped_tests, sorted(here.changed), here.paths)
        gate = scoped_gate(policy, tests or ())
        if gate is None or tests == ():
            return (none_in_scope(policy),)
        told = "all tests" if tests is None else f"{so_many(len(tests), 'file')} of tests"
        said = await run_gate(gate, policy, self._place, bounds, self._redactor, self._clock)
        return (replace(said, detail=f"{told}: {said.detail}"),)

    def _told(self, seen: Look, tree_hash: str, gates: Sequence[GateOutcome]) -> GateRun:
        rules, policy = self._rules, self._rules.policy
        text, changed = self._redactor.text, sorted(self._here.changed)
        told = {text(path) for path in changed}  # as findings are told
        found = [*seen.findings, *_changed_policy(rules.changed, rules.owners)]
        absent = {*policy.without, *(each.scanner for each in seen.not_whole())}
        compared = compare(found, rules.baseline, self._here.moves, absent=absent)
        subject = [each for each in compared.findings if not self._asked.only_changed or each.file in told]
        scans = tuple(_coverage(seen, policy))
        changes = Changes(
            files=tuple(map(text, changed)),
            ownerless=tuple(text(path) for path in changed if not rules.owners.of(path)),
            ruled=bool(rules.owners.rules),
        )
        untold = _untold(seen)
        said = verdict(policy, judge(subject, policy, rules.suppressions), (*gates, *untold), scans, changes)
        unused = rules.suppressions.unused(compared.findings)
        more = [f"the suppression of {each.about} covers nothing any more" for each in unused]
        return GateRun(
            here=self._here,
            rules=rules,
            verdict=said,
            compared=compared,
            tree_hash=tree_hash,
            inventory=seen.inventory,
            notes=(*rules.notes, *more, *_blind(seen.inventory, compared)),
        )


def _programs(policy: PolicyFile) -> Iterable[str]:
    scoped = scoped_gate(policy)
    return (gate.command[0] for gate in (*policy.quality_gates, *([] if scoped is None else [scoped])))


def _changed_policy(changed: Iterable[str], owners: Owners) -> list[Finding]:
    """Return a finding for each policy file that is not that of the base: people should see that it changes."""
    told = "the policy is changed here; it counts once this is merged"
    return findings(
        Match(
            rule_id=f"{POLICY}:policy-changed",
            severity="P2",
            message=told,
            tool=POLICY,
            file=file,
            owners=owners.of(file),
        )
        for file in changed
    )


def _blind(inventory: Inventory, compared: Compared) -> Iterable[str]:
    """Yield what nobody has looked into, and what therefore nobody knows."""
    by = sorted((reason, count) for reason, count in inventory.skipped_by.items() if reason != "link")
    if by:
        told = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in by)
        yield f"not looked into: {told}"
    if compared.unseen:
        tools = sorted({scanner_of(each.rule_id) for each in compared.unseen})
        yield f"known before, and not looked for by {', '.join(tools)}: {len(compared.unseen)}"


def _coverage(seen: Look, policy: PolicyFile) -> Iterable[Coverage]:
    for report in seen.reports:
        yield Coverage(
            scanner=report.scanner,
            gate=POLICY if report.scanner == POLICY else policy.scanner(report.scanner).gate,
            status=report.status,
            required=policy.requires(report.scanner),
            findings=report.findings,
            files=report.files,
            reason=report.reason,
        )


def _untold(seen: Look) -> tuple[GateOutcome, ...]:
    """Return a gate that is not run, where findings were counted that nobody compared: any of them might block."""
    if not seen.untold:
        return ()
    by = [(report.findings - report.told, report.scanner) for report in seen.reports]
    named = ", ".join(f"{more} of {scanner}" for more, scanner in by if more)
    told = f"{seen.untold} findings more were counted than can be compared ({FINDINGS_MAX}): {named}"
    return (_not_run("findings", True, told),)


def _not_run(gate_id: str, required: bool, told: str) -> GateOutcome:
    return GateOutcome(gate_id=gate_id, status="not_run", passed=False, required=required, detail=told)
