"""Look at a tree as it lies: what its gates say, and what its scanners find. Nothing of it is kept by that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runwright.agents.notes import Note
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import runtime_events as r
from runwright.domain.finding import Finding
from runwright.domain.loop_events import Standing
from runwright.domain.loop_rules import LoopRules
from runwright.domain.loop_terms import LoopTerms, QualityGate
from runwright.domain.next_move import left_s, reached
from runwright.domain.progress import counted
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import CheckedOut, Scanned
from runwright.domain.runtime_terms import GateStep
from runwright.domain.scan_rules import REPOSITORY, SECRETS
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.meter import Metered, Spent, charge, in_time
from runwright.executors.orchestrated.commands import Place, call_of, run_step
from runwright.executors.orchestrated.hands import Follow
from runwright.executors.orchestrated.looking import CHECKED_OUT
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.scanners.look import look as look_through

ALWAYS = frozenset({SECRETS, REPOSITORY})
"""The scanners that come with Runwright: without them no look is complete."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to look with, and by whose rules."""

    rules: LoopRules
    scanners: Sequence[Scanner]
    bounds: ScanBounds
    tools: ToolBounds
    redactor: Callable[[], Redactor]
    told: Callable[[str], Awaitable[bytes | None]]
    follow: Follow


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found, and what its scanners did, with what is told of them."""

    findings: tuple[Finding, ...]
    scans: tuple[Scanned, ...]
    notes: tuple[Note, ...]


def standing_of(findings: Sequence[Finding], scans: Sequence[Scanned], terms: LoopTerms, rules: LoopRules) -> Standing:
    """Return where a tree stands by what was found there."""
    against = rules.against(findings, terms)
    required = [each for each in scans if each.scanner in ALWAYS or rules.policy.scanner(each.scanner).required]
    return Standing(
        findings=counted(against),
        targeted=counted(each for each in against if terms.wants(each)),
        coverage={each.scanner: each.status for each in scans},
        complete=all(each.status == "completed" and each.told == each.findings for each in required),
    )


async def look(journal: Journal, place: RunWorkspace, sight: Sight, phase: str, tree_hash: str) -> Looked:
    """Look through an open workspace. Raises `Spent`."""
    ground = Metered(place, journal, f"{phase}_look")
    clock = journal.attempt.clock
    data = await sight.told(CHECKED_OUT)
    out = None if data is None else msgspec.json.decode(data, type=CheckedOut)
    looking = look_through(
        ground,
        sight.scanners,
        sight.bounds,
        sight.redactor(),
        clock,
        left_out=() if out is None else out.left_out,
        left_out_by={} if out is None else out.left_out_by,
        tree_hash=tree_hash,
    )
    seen = await in_time(journal, looking)
    if journal.course.exhausted is not None:
        raise Spent  # a scanner did not get to run its program, whatever it says of that
    notes = (
        Note("workspace.ingested", seen.inventory),
        *(Note("scan.completed", scan, "info" if scan.status == "completed" else "warning") for scan in seen.reports),
    )
    return Looked(findings=tuple(seen.findings), scans=tuple(seen.reports), notes=notes)


async def judge(
    journal: Journal, place: RunWorkspace, sight: Sight, gate: QualityGate, phase: str, tree_hash: str
) -> None:
    """Let a gate judge the tree, again if it is red and may be; what it says is written down. Raises `Spent`."""
    said: list[r.GateJudged] = []
    for number in range(1, gate.retries + 2):
        if number > 1 and not _has_room(journal):
            break
        said.append(await _judged(journal, place, sight, step_of(gate, phase, number), tree_hash))
        if said[-1].status != "red":
            break
    last = said[-1]
    flaky = len(said) > 1 and last.status == "green"
    told = sight.redactor().text("; then ".join(f"{each.status}: {each.detail}" for each in said))
    verdict = msgspec.structs.replace(
        last,
        gate_id=gate.id,
        name=gate.id,
        status="flaky" if flaky else last.status,
        detail=last.detail if len(said) == 1 else told,
        duration_ms=sum(each.duration_ms for each in said),
    )
    await journal.write([Note("gate.result", verdict, "info" if verdict.status == "green" else "warning")])
    if journal.course.exhausted is not None:
        raise Spent


def step_of(gate: QualityGate, phase: str, number: int) -> GateStep:
    """Return a try of a gate, named by the look that it belongs to."""
    name = f"{phase}_{gate.id}_{number}"
    return GateStep(step_id=name, name=gate.id, command=gate.command, timeout_seconds=gate.timeout_seconds)


def _has_room(journal: Journal) -> bool:
    if journal.course.exhausted is not None:
        return False
    limits = reached(journal.run, journal.attempt.clock.now())
    return all(limit.used < limit.limit for limit in limits if limit.limit_name in ("tool_calls", "wall_s"))


async def _judged(journal: Journal, place: RunWorkspace, sight: Sight, step: GateStep, tree_hash: str) -> r.GateJudged:
    """Run the command of a gate once; the workspace is put back behind it."""
    await charge(journal, call_of(step), step.command)
    left = left_s(journal.run, journal.attempt.clock.now())
    where = Place(
        workspace=place,
        bounds=sight.tools,
        redactor=sight.redactor(),
        attempt=journal.attempt,
        tree_hash=tree_hash,
        follow=sight.follow,
        seq=journal.run.seq,
    )
    done = await run_step(step, where, left)
    verdict = next(note.data for note in done.notes if note.type == "gate.result")
    await journal.write([note for note in done.notes if note.type != "gate.result"])
    assert isinstance(verdict, r.GateJudged)
    return verdict
