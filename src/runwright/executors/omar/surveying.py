"""Look at a tree as it lies: what its gates say, and what its scanners find. Nothing of it is kept by that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runwright.agents.notes import Note
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import runtime_events as r
from runwright.domain.finding import Finding
from runwright.domain.gating import Changes, GateOutcome, gates_beside
from runwright.domain.loop_events import Standing
from runwright.domain.loop_rules import LoopRules
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.next_move import left_s, reached
from runwright.domain.progress import counted
from runwright.domain.quality_gate import QualityGate
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import CheckedOut, Scanned
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.meter import Judging, Metered, Spent, in_time
from runwright.executors.orchestrated.looking import CHECKED_OUT
from runwright.gates.programs import programs
from runwright.gates.quality import GateBounds, run_gate
from runwright.sandbox.child import NotStarted
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.scanners.look import look as look_through


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to look with, and by whose rules."""

    rules: LoopRules
    scanners: Sequence[Scanner]
    bounds: ScanBounds
    tools: ToolBounds
    redactor: Callable[[], Redactor]
    told: Callable[[str], Awaitable[bytes | None]]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found, and what its scanners did, with what is told of them."""

    findings: tuple[Finding, ...]
    scans: tuple[Scanned, ...]
    notes: tuple[Note, ...]


def standing_of(findings: Sequence[Finding], scans: Sequence[Scanned], terms: LoopTerms, rules: LoopRules) -> Standing:
    """Return where a tree stands by what was found there."""
    weighed = rules.weighed(findings, terms)
    required = [each for each in scans if rules.policy.requires(each.scanner)]
    return Standing(
        findings=counted(weighed.against),
        targeted=counted(each for each in weighed.against if terms.wants(each)),
        known=counted(weighed.known),
        suppressed=counted(weighed.suppressed),
        coverage={each.scanner: each.status for each in scans},
        complete=any(each.status != "not_run" for each in scans)
        and all(each.status == "completed" and each.told == each.findings for each in required),
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
        without=sight.rules.policy.without,
        owners=sight.rules.owners,
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
    bench = Judging(place, journal, f"{phase}_{gate.id}")
    tools = sight.tools
    bounds = GateBounds(
        memory_bytes=tools.memory_bytes,
        cpus=tools.cpus,
        output_max_bytes=tools.output_max_bytes,
        env={"RUNWRIGHT_RUN_ID": journal.run.run_id},
        programs=programs([gate.command[0]]),
        left_s=lambda: left_s(journal.run, journal.attempt.clock.now()),
        may_retry=lambda: _may_retry(journal, call_id_of(gate, phase, 2)),
        made=bench.made,
        tell=bench.tell,
    )
    try:
        said = await run_gate(gate, sight.rules.policy, bench, bounds, sight.redactor(), journal.attempt.clock)
    except NotStarted:
        await bench.forgo()
        raise
    await _say(journal, [said], tree_hash, sight)
    if journal.course.exhausted is not None:
        raise Spent


def call_id_of(gate: QualityGate, phase: str, number: int) -> str:
    """Return the id of a try of a gate, by the look that it belongs to."""
    return f"cmd_{phase}_{gate.id}_{number}"


async def judge_beside(journal: Journal, sight: Sight, tree_hash: str) -> None:
    """Write down what the gates of the policy say that are no commands, once all that are have judged the tree."""
    told = {gate.gate_id for gate in journal.loop.seen}
    measured = [gate.coverage for gate in journal.loop.seen if gate.coverage is not None]
    loop, opened = journal.loop, journal.loop.open
    files, ownerless = ((), ()) if opened is None else (opened.paths, opened.ownerless)
    changes = Changes(
        files=tuple(dict.fromkeys((*loop.changed, *files))),
        ownerless=tuple(dict.fromkeys((*loop.ownerless, *ownerless))),
        ruled=bool(sight.rules.owners.rules),
    )
    said = [each for each in gates_beside(sight.rules.policy, measured, changes) if each.gate_id not in told]
    await _say(journal, said, tree_hash, sight)


async def _say(journal: Journal, said: Sequence[GateOutcome], tree_hash: str, sight: Sight) -> None:
    text = sight.redactor().text
    notes: list[Note] = []
    for each in said:
        tries = tuple(
            r.GateTry(status=one.status, exit_code=one.exit_code, duration_ms=one.duration_ms, detail=text(one.detail))
            for one in each.tries
        )
        verdict = r.GateJudged(
            gate_id=each.gate_id,
            name=each.gate_id,
            status=each.status,
            required=each.required,
            detail=text(each.detail),
            exit_code=tries[-1].exit_code if tries else None,
            duration_ms=sum(one.duration_ms for one in tries),
            tree_hash=tree_hash,
            coverage=each.coverage,
            tries=tries if len(tries) > 1 else (),
        )
        notes.append(Note("gate.result", verdict, "info" if each.passed else "warning"))
    if notes:
        await journal.write(notes)


def _may_retry(journal: Journal, call_id: str) -> bool:
    """Tell whether the budget has room for a second try; one that a lost worker had begun has been counted."""
    if journal.course.exhausted is not None:
        return False
    limits = reached(journal.run, journal.attempt.clock.now())
    spent = {limit.limit_name for limit in limits if limit.used >= limit.limit}
    return "wall_s" not in spent and ("tool_calls" not in spent or call_id in journal.loop.calls)
