"""The loop of a runtime run: see how far it has come, do the next step, write down what came of it, and look again.

Nothing is known but by the run's course. Whoever takes it after a lost worker does what this one would have done: the
workspace is rebuilt from its last snapshot, and a step that was under way is made again in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from runwright.agents.notes import LAST, SNAPSHOT, Kept, Note
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.tools.workspace import Kept as LastSnapshot
from runwright.agents.tools.workspace import NoWorkspace, RunWorkspace
from runwright.domain import next_move as m
from runwright.domain import outcome as o
from runwright.domain import runtime_events as r
from runwright.domain.bound_terms import bound
from runwright.domain.course import Course
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run, StopKind
from runwright.domain.runtime_terms import (
    STAGES,
    AgentStep,
    ApprovalStep,
    CommandStep,
    GateStep,
    IngestStep,
    ReportStep,
    RuntimeTerms,
    ScanStep,
    Step,
    kind_of,
)
from runwright.engine.attempt import Attempt
from runwright.engine.packing import Saving
from runwright.engine.stoppable import Stoppable
from runwright.executors.orchestrated import words
from runwright.executors.orchestrated.base_files import ACCEPTED, accepted_of
from runwright.executors.orchestrated.commands import Done, Place, run_step
from runwright.executors.orchestrated.hands import Follow
from runwright.executors.orchestrated.looking import Eyes, ingest, look_through
from runwright.executors.orchestrated.turns import Turns
from runwright.sandbox.child import NotStarted
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.snapshot import TreeRefused, WorkspaceMismatch

NO_WORKSPACE, NO_SANDBOX = "workspace.none", "process.no_sandbox"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a conductor works with, beside its attempt."""

    terms: RuntimeTerms
    bounds: ToolBounds
    redactor: Callable[[], Redactor]
    workspace: Callable[[LastSnapshot | None], RunWorkspace]
    eyes: Eyes
    turns: Turns
    follow: Follow


class Conductor:
    """Drives one attempt."""

    def __init__(self, attempt: Attempt, means: Means) -> None:
        self._attempt = attempt
        self._means = means
        self._run = attempt.run
        self._stoppable = Stoppable(attempt, self._heeds)
        self._workspace: RunWorkspace | None = None
        self._once_only = False

    async def run(self) -> o.Outcome:
        """Go on until the run ends, waits, or is asked to stop; no process of it is left then."""
        try:
            return await self._stoppable.run(self._moves(), name="conductor")
        except NoWorkspace as why:
            return self._attempt.failed("NoWorkspace", str(why), retryable=False, code=NO_WORKSPACE)
        except WorkspaceMismatch as why:
            return self._attempt.failed("WorkspaceMismatch", str(why), retryable=False, code=WorkspaceMismatch.code)
        except CheckoutRefused as why:
            return self._attempt.failed("CheckoutRefused", str(why), retryable=why.retryable, code=why.code)
        except TreeRefused as why:
            return self._attempt.failed("CheckoutRefused", str(why), retryable=False, code="repo.too_large")
        except NotStarted as why:
            return self._attempt.failed("SandboxFailed", str(why), retryable=False, code=NO_SANDBOX)
        finally:
            if self._workspace is not None:
                await self._workspace.close()

    def _heeds(self, kind: StopKind) -> bool:
        """Tell whether a stop breaks off what is under way; a pause lets a command end that may not be made again."""
        return not (self._once_only and kind == "pause")

    @property
    def _course(self) -> Course:
        assert self._run.course is not None
        return self._run.course

    @property
    def _terms(self) -> RuntimeTerms:
        """Return the terms that hold."""
        return bound(self._run).spec.runtime or self._means.terms

    async def _moves(self) -> o.Outcome:
        while self._attempt.stop_requested is None:
            ended = await self._do(m.next_move(self._run, self._attempt.clock.now()))
            if ended is not None:
                return ended
        return o.Stopped()

    async def _do(self, move: m.Move) -> o.Outcome | None:
        text = self._means.redactor().text
        match move:
            case m.Begin(ApprovalStep() as step, again):
                await self._save(self._opening(step, again=again))
                return self._attempt.request_approval(words.asks(step, self._means.terms, self._course))
            case m.Begin(AgentStep() as step, again):
                return await self._turns(step, again=again)
            case m.Begin(step, again, left_s):
                self._once_only = isinstance(step, CommandStep) and step.effect == "unsafe"
                await self._step(step, left_s, again=again)
                self._once_only = False
            case m.Allowed(step):
                await self._save([words.ended(step, Done("succeeded"))])
            case m.Skip(steps):
                done = Done("skipped", text("a step before it failed"))
                await self._save([words.ended(step, done) for step in steps])
            case m.Warn(limits):
                await self._save([Note("budget.warning", limit, "warning") for limit in limits])
            case m.Exhaust(limit):
                await self._save([Note("budget.exhausted", limit, "warning")])
            case m.Deny():
                await self._save(words.denied(move, text))
            case m.GiveUp(step, paused):
                told = words.unknown(paused=paused)
                await self._save([words.ended(step, Done("outcome_unknown", text(told)))])
                code = "step.outcome_unknown"
                return self._attempt.failed("OutcomeUnknown", f"{step.title}: {told}", retryable=False, code=code)
            case m.Report():
                await self._save([Note("output.narrative", r.Narrative(text(m.narrative(self._run))))])
            case m.Finish(stop, gate_status):
                ended = self._attempt.completed(words.result(self._course, stop, gate_status))
                return replace(ended, stop=stop, gate_status=gate_status)
        return None

    async def _save(self, notes: Sequence[Note], kept: Sequence[Kept] = ()) -> Run:
        """Write down what happened; the run is known as it stands then."""
        attempt = self._attempt
        self._run = await attempt.append(await attempt.pack([Saving(notes), Saving((), kept)]))
        return self._run

    # --- steps --------------------------------------------------------------------------------------------------------

    def _opening(self, step: Step, *, again: bool) -> list[Note]:
        begun = words.begun(step, self._attempt.run.lease_epoch, again=again)
        clones = isinstance(step, IngestStep) and self._means.terms.repo is not None
        stage = "CLONING" if clones else STAGES[kind_of(step)]
        moved = Note("run.stage_changed", r.StageChanged(before=self._course.stage, after=stage))
        return [*([moved] if self._course.stage != stage else []), begun]

    async def _step(self, step: Step, left_s: float | None, *, again: bool) -> None:
        opening = self._opening(step, again=again)
        began = self._attempt.clock.monotonic()
        match step:
            case CommandStep() | GateStep():
                await self._save([*opening, words.called(step)])
                done = await run_step(step, await self._place(), left_s)
            case ReportStep():
                await self._save(opening)
                told = self._means.redactor().text(m.narrative(self._run))
                done = Done("succeeded", notes=(Note("output.narrative", r.Narrative(told)),))
            case IngestStep():
                await self._save(opening)
                place = await self._place()
                done = await ingest(
                    self._means.terms,
                    self._course,
                    place.workspace,
                    self._means.eyes,
                    self._means.redactor(),
                    say=self._attempt.emit,
                )
            case ScanStep():
                await self._save(opening)
                place = await self._place()
                kept = (await self._attempt.stored(ACCEPTED, look=True)).get(LAST, {})
                done = await look_through(
                    self._course, place.workspace, self._means.eyes, self._means.redactor(), accepted_of(kept)
                )
            case ApprovalStep():
                raise AssertionError(step)  # it is asked, and done when it is decided
            case AgentStep():
                raise AssertionError(step)  # it takes its turns
        duration_ms = int((self._attempt.clock.monotonic() - began) * 1000)
        notes, kept = words.done(step, done, duration_ms)
        await self._save(notes, kept)

    async def _turns(self, step: AgentStep, *, again: bool) -> o.Outcome | None:
        await self._save(self._opening(step, again=again))
        if self._workspace is not None:  # the loop has one of its own, rebuilt from the same snapshot
            await self._workspace.close()
            self._workspace = None
        began = self._attempt.clock.monotonic()
        came = await replace(self._means.turns, terms=self._terms).take(step, self._attempt, self._run)
        self._stoppable.heed()
        duration_ms = int((self._attempt.clock.monotonic() - began) * 1000)
        if isinstance(came, Done):
            await self._save([words.ended(step, came, duration_ms)])
            return None
        if isinstance(came, o.Failed):
            await self._save([words.ended(step, Done("failed", came.message), duration_ms)])
        return came

    async def _place(self) -> Place:
        """Return the workspace, rebuilt if it is not there yet."""
        if self._workspace is None:
            snapshot = self._course.snapshot
            last = None if snapshot is None else LastSnapshot(snapshot.tree_hash, self._load)
            self._workspace = self._means.workspace(last)
        await self._workspace.open()
        means = self._means
        snapshot = self._course.snapshot
        return Place(
            workspace=self._workspace,
            bounds=means.bounds,
            redactor=means.redactor(),
            attempt=self._attempt,
            tree_hash=None if snapshot is None else snapshot.tree_hash,
            follow=means.follow,
            seq=self._run.seq,
            wall_s=self._terms.budget.wall_s,
        )

    async def _load(self) -> bytes:
        return await self._attempt.stored_bytes(SNAPSHOT, LAST)
