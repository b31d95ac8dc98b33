"""The loop: see how far it has come, take the next turn, write down what came of it, and look again.

Nothing is known but by the run's course and by what is kept with it: the last kept tree, its findings, the policy of
its base, and the patch of the iteration under way. Whoever takes the loop after a lost worker does what this one would
have done, in a workspace rebuilt from the tree that was kept last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.agents.notes import LAST, SNAPSHOT, Note
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import Kept as LastSnapshot
from runwright.agents.tools.workspace import NoWorkspace, RunWorkspace
from runwright.domain import next_turn as t
from runwright.domain import outcome as o
from runwright.domain import patching_plan
from runwright.domain.finding import Finding
from runwright.domain.loop_course import OpenIteration
from runwright.domain.loop_events import LoopSurveyed
from runwright.domain.loop_rules import LoopRules
from runwright.domain.patch import Patch, PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.policy_file import PolicyFile
from runwright.domain.progress import changed, red_gates, why_not_kept
from runwright.domain.quality_gate import QualityGate
from runwright.domain.redaction import Redactor
from runwright.domain.runtime_events import Narrative
from runwright.engine.attempt import Attempt
from runwright.engine.stoppable import Stoppable
from runwright.executors.omar import patching, words
from runwright.executors.omar.beginning import begin, beneath_of, rules_of
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.meter import Spent
from runwright.executors.omar.proposing import Proposing
from runwright.executors.omar.surveying import Looked, Sight, judge, judge_beside, look, standing_of
from runwright.executors.orchestrated.looking import Eyes, comparing, opened
from runwright.executors.orchestrated.turns import Turns
from runwright.fixers.apply import apply
from runwright.fixers.port import Fixer
from runwright.sandbox.child import NotStarted
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.scanner import Scanner
from runwright.sandbox.snapshot import TreeRefused, WorkspaceMismatch
from runwright.scanners.available import Base

NO_WORKSPACE, NO_SANDBOX, INCOMPLETE = "workspace.none", "process.no_sandbox", "scan.incomplete"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a loop works with, beside its attempt."""

    tools: ToolBounds
    patches: PatchBounds
    redactor: Callable[[], Redactor]
    workspace: Callable[[LastSnapshot | None], RunWorkspace]
    eyes: Eyes
    scanners: Callable[[PolicyFile, Base], tuple[Scanner, ...]]
    fixers: tuple[Fixer, ...]
    turns: Turns


class Remedy:
    """Drives one attempt of a loop."""

    def __init__(self, attempt: Attempt, means: Means) -> None:
        self._attempt = attempt
        self._means = means
        self._journal = Journal(attempt)
        self._stoppable = Stoppable(attempt)
        self._workspace: RunWorkspace | None = None
        self._rules = LoopRules()
        self._base: dict[str, str] = {}
        self._findings: tuple[Finding, ...] = ()
        self._patch: Patch | None = None

    async def run(self) -> o.Outcome:
        """Go on until the loop ends, waits, or is asked to stop; no process and no workspace of it is left then."""
        try:
            return await self._stoppable.run(self._turns(), name="remedy")
        except (NoWorkspace, NotStarted, WorkspaceMismatch, CheckoutRefused, TreeRefused) as why:
            return self._unable(why)
        finally:
            await self._forget_workspace()

    def _unable(self, why: Exception) -> o.Failed:
        codes: dict[type[Exception], str] = {
            NoWorkspace: NO_WORKSPACE,
            NotStarted: NO_SANDBOX,
            WorkspaceMismatch: WorkspaceMismatch.code,
            TreeRefused: "repo.too_large",
        }
        code = why.code if isinstance(why, CheckoutRefused) else codes[type(why)]
        return self._attempt.failed(type(why).__name__, str(why), retryable=False, code=code)

    # --- turns --------------------------------------------------------------------------------------------------------

    async def _turns(self) -> o.Outcome:
        await self._remember()
        while True:
            turn = t.next_turn(self._journal.run, self._bench(), self._attempt.clock.now())
            try:
                ended = await self._take(turn)
            except Spent:
                ended = None  # the log says of what; the next turn ends what was begun
                await self._forget_workspace()
            if ended is not None:
                return ended

    async def _remember(self) -> None:
        """Take up what is kept with the course."""
        if not self._journal.loop.begun:
            return
        written = (await self._stored(words.POLICY)).get(LAST)
        if written is not None:
            self._rules = rules_of(written)
            self._base = dict(written["base"])
        found = (await self._stored(words.FINDINGS)).get(LAST, [])
        self._findings = msgspec.convert(found, tuple[Finding, ...])

    async def _stored(self, kind: str) -> dict[str, Any]:
        return await self._attempt.stored(kind, look=True)

    def _bench(self) -> patching_plan.Bench:
        journal = self._journal
        terms, loop = journal.terms, journal.loop
        wanted = [each for each in self._rules.weighed(self._findings, terms).against if terms.wants(each)]
        scopes = self._rules.policy.scope, journal.runtime.policy.paths
        allowed = tuple(each for each in wanted if all(scope.allows(each.file) for scope in scopes))
        able = journal.runtime.agent is not None
        alone = terms.strategy.llm_failure_policy == "deterministic_only" and loop.model_failed
        return patching_plan.Bench(
            fixers=tuple(fixer.name for fixer in self._means.fixers),
            model=able and not alone,
            findings=allowed,
            red=red_gates(loop.gates, terms),
            out_of_scope=len(wanted) - len(allowed),
        )

    async def _take(self, turn: t.Turn) -> o.Outcome | None:
        journal, text = self._journal, self._means.redactor().text
        match turn:
            case t.Cease():
                return o.Stopped()
            case t.Begin():
                means = self._means
                self._rules, self._base = await begin(
                    journal, await self._place(), means.eyes, means.fixers, means.redactor()
                )
            case t.Survey():
                await self._survey(turn)
            case t.AskFirst():
                return await self._ask_first()
            case t.Try(n, attempt):
                await self._try(n, attempt)
            case t.Propose(iteration):
                return await self._propose(iteration)
            case t.Ask(iteration):
                return await self._ask(iteration)
            case t.Verify(iteration, gates):
                await self._verify(iteration, gates)
            case t.Abandon(iteration, why):
                await self._over(words.ended(iteration, "blocked", text(why), journal))
            case t.Warn(limits):
                await journal.write([Note("budget.warning", limit, "warning") for limit in limits])
            case t.Exhaust(limit):
                await journal.write([Note("budget.exhausted", limit, "warning")])
            case t.Halt(stop):
                await journal.write(words.stopped(stop, journal, text))
            case t.Unable(why):
                return self._attempt.failed("ScanIncomplete", why, retryable=False, code=INCOMPLETE)
            case t.Finish(stop, gate_status):
                ended = self._attempt.completed(words.result(journal, stop, gate_status))
                return replace(ended, stop=stop, gate_status=gate_status)
        return None

    async def _ask_first(self) -> o.Outcome:
        journal = self._journal
        await journal.write(journal.moved("AWAITING_APPROVAL"))
        return self._attempt.request_approval(words.asks_first(journal, self._bench()))

    async def _try(self, n: int, attempt: patching_plan.Attempt) -> None:
        journal = self._journal
        if journal.course.stage == "AWAITING_APPROVAL":
            await journal.write(journal.moved("REASONING"))
        self._patch = await self._proposing().try_(n, attempt)

    def _proposing(self) -> Proposing:
        means = self._means
        return Proposing(
            journal=self._journal,
            rules=self._rules,
            fixers=means.fixers,
            turns=means.turns,
            redactor=means.redactor,
            place=self._place,
            findings=self._findings,
            bounds=means.patches,
        )

    async def _propose(self, iteration: OpenIteration) -> o.Outcome | None:
        try:
            came = await self._proposing().ask(iteration)
        finally:
            self._stoppable.heed()
        if came is None or isinstance(came, Patch):
            self._patch = came
            return None
        return came

    async def _ask(self, iteration: OpenIteration) -> o.Outcome | None:
        try:
            patch = await self._patch_of(iteration)
        except PatchRefused as why:
            await self._over(self._blocked(iteration, why))
            return None
        await self._journal.write(self._journal.moved("AWAITING_APPROVAL"))
        return self._attempt.request_approval(words.asks(iteration, patch, self._journal))

    # --- looking, and keeping -----------------------------------------------------------------------------------------

    def _sight(self) -> Sight:
        means = self._means
        return Sight(
            rules=self._rules,
            scanners=means.scanners(self._rules.policy, beneath_of(self._base)),
            bounds=comparing(means.eyes.bounds),
            tools=means.tools,
            redactor=means.redactor,
            told=means.eyes.told,
        )

    async def _survey(self, turn: t.Survey) -> None:
        journal, sight = self._journal, self._sight()
        place, tree = await self._place(), journal.loop.tree_hash
        await journal.write(journal.moved("SCANNING"))
        for gate in turn.gates:
            await judge(journal, place, sight, gate, "0", tree)
        await judge_beside(journal, sight, tree)
        seen = await look(journal, place, sight, "0", tree)
        found, text = self._rules.compared(seen.findings), sight.redactor().text
        standing = standing_of(found, seen.scans, journal.terms, self._rules)
        left_out = self._rules.narrative(self._rules.weighed(found, journal.terms))
        notes = [
            *seen.notes,
            *(opened(self._rules.told(each, text)) for each in found),
            *([Note("output.narrative", Narrative(text(left_out)))] if left_out else ()),
            Note("loop.surveyed", LoopSurveyed(tree_hash=tree, standing=standing)),
        ]
        await journal.write(notes, [words.kept_findings(found)])
        self._findings = found

    async def _verify(self, iteration: OpenIteration, gates: Sequence[QualityGate]) -> None:
        """Apply the patch, and look at the tree with it; keep that tree if it is better, else forget it."""
        journal, text = self._journal, self._means.redactor().text
        try:
            patch = await self._patch_of(iteration)
            place = await self._place()
            apply(patch, place.files, self._means.patches)
            snapshot = await place.settle()
        except (PatchRefused, TreeRefused) as why:
            await self._over(self._blocked(iteration, why))
            return
        if snapshot is None:
            await self._over(words.ended(iteration, "no_change", text("the patch changes nothing"), journal))
            return
        hides = patching.hidden(patch, self._means.eyes.bounds)
        if hides is not None:
            note = words.ended(iteration, "reverted", text(hides), journal, tree_hash=snapshot.tree_hash)
            await self._over(note)
            return
        seen = await self._looked(iteration, gates, place, snapshot.tree_hash)
        was, loop = journal.loop.standing, journal.loop
        assert was is not None
        change = changed(self._findings, seen.findings)
        standing = standing_of(change.now, seen.scans, journal.terms, self._rules)
        against = [each for each in change.new if self._rules.denies(each)]
        why_not = why_not_kept((was, loop.gates), (standing, loop.seen), against, journal.terms)
        if why_not is not None:
            note = words.ended(iteration, "reverted", text(why_not), journal, change, tree_hash=snapshot.tree_hash)
            await self._over(note, seen)
            return
        notes, kept = words.kept(iteration, change, seen, standing, snapshot, journal, self._rules, text)
        await journal.write(notes, kept)
        self._findings, self._patch = change.now, None

    def _blocked(self, iteration: OpenIteration, why: Exception) -> Note:
        told = self._means.redactor().text(f"the patch cannot be applied: {why}")
        return words.ended(iteration, "blocked", told, self._journal)

    async def _looked(
        self, iteration: OpenIteration, gates: Sequence[QualityGate], place: RunWorkspace, tree: str
    ) -> Looked:
        """Look at the tree with the patch: by these gates, which have not judged it yet, and by the scanners."""
        journal, sight = self._journal, self._sight()
        await journal.write(journal.moved("VERIFYING"))
        for gate in gates if journal.loop.seen_tree in ("", tree) else journal.terms.quality_gates:
            await judge(journal, place, sight, gate, str(iteration.n), tree)
        await judge_beside(journal, sight, tree)
        return await look(journal, place, sight, str(iteration.n), tree)

    async def _over(self, ended: Note, seen: Looked | None = None) -> None:
        """End an iteration that came to nothing; the next begins in a workspace of the tree that was kept."""
        await self._journal.write([*(seen.notes if seen is not None else ()), ended])
        self._patch = None
        await self._forget_workspace()

    async def _patch_of(self, iteration: OpenIteration) -> Patch:
        """Return the patch of an iteration, as it was proposed. Raises `PatchRefused` where it is not that any more."""
        assert iteration.patch is not None
        if self._patch is None:
            texts = await self._stored(patching.PATCH)
            kept = texts.get(str(iteration.n))
            if kept is None:
                raise PatchRefused("missing", "its text is not there any more")
            self._patch = patching.reread(kept["diff"], (await self._place()).files, self._means.patches)
        if self._patch.sha256 != iteration.patch.sha256:
            raise PatchRefused("mismatch", "it is not the one that was proposed")
        return self._patch

    # --- the workspace ------------------------------------------------------------------------------------------------

    async def _place(self) -> RunWorkspace:
        """Return the workspace, rebuilt from the tree that was kept last if it is not there."""
        if self._workspace is None:
            snapshot = self._journal.course.snapshot
            last = None if snapshot is None else LastSnapshot(snapshot.tree_hash, self._load)
            self._workspace = self._means.workspace(last)
        await self._workspace.open()
        return self._workspace

    async def _load(self) -> bytes:
        return await self._attempt.stored_bytes(SNAPSHOT, LAST)

    async def _forget_workspace(self) -> None:
        if self._workspace is not None:
            was, self._workspace = self._workspace, None
            await was.close()
