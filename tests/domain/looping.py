"""A remediation loop played without a machine: an imagined tree, patches, gates and costs, and the log that they make.

Whoever plays knows what a worker knows: the run, and the findings that are kept with the tree. All else is lost when it
dies, which it may between any two events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain import loop_events as e
from runwright.domain import next_turn as t
from runwright.domain import progress as p
from runwright.domain import runtime_events as r
from runwright.domain.agent_events import BudgetReached
from runwright.domain.agent_terms import Budget
from runwright.domain.approval import Expired, Have
from runwright.domain.events import Draft
from runwright.domain.finding import Finding, Severity
from runwright.domain.loop_terms import LLM, LoopTerms
from runwright.domain.next_move import reached
from runwright.domain.orchestration import course_of, follow
from runwright.domain.patching_plan import Attempt, Bench
from runwright.domain.redaction import RedactedText, compose
from runwright.domain.run import Run, Usage
from runwright.domain.runtime_terms import RuntimeTerms
from tests.domain.specimens import SECOND, SPECIMENS, T0

FIXERS = ("ruff", "dependencies")
TURNS_MAX = 2_000


def finding(name: str, severity: Severity = "P1", file: str = "app.py", rule: str = "t:r") -> Finding:
    """Return a finding."""
    return Finding(
        finding_id=f"fnd_{name}", fingerprint=name, severity=severity, rule_id=rule, message="m", file=file,
        line=1, end_line=1, tool="t", confidence=1.0, sources=("t",),
    )  # fmt: skip


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """What a patch does to the imagined tree, and what it takes to make it."""

    fixes: tuple[str, ...] = ()
    brings: tuple[Finding, ...] = ()
    breaks: tuple[str, ...] = ()
    mends: tuple[str, ...] = ()
    guard: str | None = None
    tokens: int = 0
    seconds: int = 0


Patches = Callable[[str, tuple[str, ...]], Patch | None]
"""What a patcher proposes for what is targeted."""


class Play:
    """One loop. `dies` says whether its worker dies before an event; `says` what people answer."""

    def __init__(
        self,
        findings: tuple[Finding, ...],
        patches: Patches,
        *,
        red: tuple[str, ...] = (),
        budget: Budget | None = None,
        dies: Iterator[bool] | None = None,
        says: str = "approved",
        **terms: Any,
    ) -> None:
        runtime = RuntimeTerms(mode="autonomous_gated", budget=budget or Budget(), loop=LoopTerms(**terms))
        some = SPECIMENS["runtime executing"]().standing
        spec = replace(some.spec, kind="loop", executor="omar", runtime=runtime)
        self.run: Run = replace(some, spec=spec, course=course_of(runtime), usage=Usage(), since_at=T0, active_us=0)
        self.kept: tuple[Finding, ...] = findings
        self.red = red
        self.log: list[tuple[Draft, int]] = []
        self.now = T0
        self.most: dict[str, int] = {}
        self.measures: list[p.Measure] = []
        self.turns: list[t.Turn] = []
        self._patches = patches
        self._dies = dies
        self._says = says
        self.scanner = "completed"

    @property
    def loop_terms(self) -> LoopTerms:
        """Return the terms."""
        assert self.run.spec.runtime is not None
        assert self.run.spec.runtime.loop is not None
        return self.run.spec.runtime.loop

    @property
    def loop(self) -> Any:
        """Return where it stands."""
        assert self.run.course is not None
        return self.run.course.loop

    def to_the_end(self) -> str:
        """Play until the loop has said why it stops; return its reason."""
        for _ in range(TURNS_MAX):
            turn = t.next_turn(self.run, self._bench(), self.now)
            self.turns.append(turn)
            if isinstance(turn, t.Finish | t.Unable | t.Cease):
                assert isinstance(turn, t.Finish), turn
                return str(self.loop.exit_reason)
            try:
                self._do(turn)
            except _Died:
                continue
        raise AssertionError("the loop does not end")

    def _bench(self) -> Bench:
        wanted = tuple(each for each in self.kept if self.loop_terms.wants(each))
        red = p.red_gates(self.loop.gates, self.loop_terms)
        return Bench(fixers=FIXERS, model=not self.loop.model_failed, findings=wanted, red=red)

    def _do(self, turn: t.Turn) -> None:
        match turn:
            case t.Begin():
                self._say(
                    "loop.started",
                    self._started(),
                )
            case t.Survey(gates):
                for gate in gates:
                    self._gate(gate.id, self.red, "0")
                standing = self._standing(self.kept)
                opened = [Draft("finding.opened", compose(each)) for each in self.kept]
                self._append(*opened, Draft("loop.surveyed", compose(e.LoopSurveyed(tree_hash="0", standing=standing))))
            case t.Warn(limits):
                self._append(*(Draft("budget.warning", compose(each)) for each in limits))
            case t.Exhaust(limit):
                self._say("budget.exhausted", limit)
            case t.Try(n, attempt):
                self._try(n, attempt)
            case t.Propose(iteration):
                patch = self._patches(LLM, iteration.targeted)
                if self._asked_model(patch):
                    if patch is None:
                        self._over(iteration.n, "no_change", "no patch")
                    else:
                        self._append(*self._proposal(iteration.n, LLM, patch))
            case t.Ask() | t.AskFirst():
                self._decide()
            case t.Verify(iteration, gates):
                self._verify(iteration.n, iteration.patcher, iteration.targeted, gates)
            case t.Abandon(iteration, why):
                self._over(iteration.n, "blocked", why)
            case t.Halt(stop):
                told = e.LoopStopped(
                    exit_reason="x",
                    stop_class=stop.stop_class,
                    stop_code=stop.code,
                    iterations=0,
                    gate_status="unknown",
                )
                self._say("loop.stopped", told)
            case _:
                raise AssertionError(turn)

    def _try(self, n: int, attempt: Attempt) -> None:
        begun = e.IterationStarted(
            n=n,
            patcher=attempt.patcher,
            batch=attempt.batch.key,
            targeted=attempt.batch.targeted,
            tree_hash="0",
        )
        if attempt.patcher == LLM:
            self._say("iteration.started", begun)
        elif (patch := self._patches(attempt.patcher, attempt.batch.targeted)) is None:
            self._say("fixer.passed", e.FixerPassed(fixer=attempt.patcher, batch=attempt.batch.key, findings=1))
        else:
            self._append(Draft("iteration.started", compose(begun)), *self._proposal(n, attempt.patcher, patch))

    # --- what happens -------------------------------------------------------------------------------------------------

    def _started(self) -> e.LoopStarted:
        terms = self.run.spec.runtime
        assert terms is not None
        return e.LoopStarted(terms=self.loop_terms, budget=terms.budget, fixers=FIXERS, tree_hash="0")

    def _proposal(self, n: int, patcher: str, patch: Patch) -> list[Draft]:
        facts = e.PatchFacts(patcher=patcher, sha256="0", files=1, added=1, removed=1)
        said = [Draft("patch.proposed", compose(e.PatchProposed(n=n, patch=facts, paths=())))]
        if patch.guard is not None:
            reason = RedactedText("no")
            refused = e.PatchRefused(n=n, guard=patch.guard, subject=reason, reason=reason)
            said.append(Draft("patch.refused", compose(refused)))
        return said

    def _asked_model(self, patch: Patch | None) -> bool:
        """Reserve what a call may use, and use some of it; tell whether there was room."""
        tokens = 1 if patch is None else patch.tokens
        for limit in reached(self.run, self.now):
            if limit.limit_name in ("tokens", "cost_microusd"):
                if limit.used + 1 > limit.limit:
                    self._say("budget.exhausted", limit)
                    return False
                tokens = min(tokens, limit.limit - limit.used)
        self._spend_seconds(0 if patch is None else patch.seconds)
        usage = self.run.usage
        used = replace(usage, output_tokens=usage.output_tokens + tokens, cost_microusd=usage.cost_microusd + tokens)
        self.run = replace(self.run, usage=used)
        return True

    def _spend_seconds(self, seconds: int) -> None:
        left = next(
            (each.limit - each.used for each in reached(self.run, self.now) if each.limit_name == "wall_s"), seconds
        )
        self.now += min(seconds, max(left, 0)) * SECOND  # what takes longer is ended then

    def _gate(self, gate_id: str, red: tuple[str, ...], tree: str) -> bool:
        assert self.run.course is not None
        ident = f"{self.loop.count}_{gate_id}"
        if ident not in self.loop.calls:
            over = next((each for each in reached(self.run, self.now) if each.limit_name == "tool_calls"), None)
            if over is not None and over.used + 1 > over.limit:
                self._say("budget.exhausted", over)
                return False
        call = a.ToolCall(tool_call_id=ident, tool_name="gate", arguments={}, risk="medium", args_sha256="0")
        self._say("tool.call", call)
        status: Any = "red" if gate_id in red else "green"
        judged = r.GateJudged(
            gate_id=gate_id, name=gate_id, status=status, required=True, detail=RedactedText(""), tree_hash=tree
        )
        self._say("gate.result", judged)
        return True

    def _standing(self, findings: tuple[Finding, ...]) -> e.Standing:
        wanted = [each for each in findings if self.loop_terms.wants(each)]
        coverage: Any = {"s": self.scanner}
        return e.Standing(
            findings=p.counted(findings),
            targeted=p.counted(wanted),
            coverage=coverage,
            complete=self.scanner == "completed",
        )

    def _verify(self, n: int, patcher: str, targeted: tuple[str, ...], gates: Any) -> None:
        patch = self._patches(patcher, targeted)
        assert patch is not None
        red = tuple(each for each in (*self.red, *patch.breaks) if each not in patch.mends)
        for gate in gates:
            if not self._gate(gate.id, red, str(n)):
                return
        after = tuple(each for each in self.kept if each.fingerprint not in patch.fixes) + patch.brings
        change, standing = p.changed(self.kept, after), self._standing(after)
        assert self.loop.standing is not None
        before = (self.loop.standing, self.loop.gates)
        why = p.why_not_kept(before, (standing, self.loop.seen), change.new, self.loop_terms)
        if why is not None:
            self._over(n, "reverted", why)
            return
        drafts = [Draft("finding.opened", compose(each)) for each in change.new]
        for each in change.fixed:
            fixed = e.FindingFixed(
                finding_id=each.finding_id, fingerprint=each.fingerprint, severity=each.severity, rule_id=each.rule_id,
                file=RedactedText(each.file), tree_hash="1",
            )  # fmt: skip
            drafts.append(Draft("finding.fixed", compose(fixed)))
        self._append(*drafts, self._ended(n, "kept", "better", standing))
        self.kept, self.red = change.now, red

    def _ended(self, n: int, outcome: Any, why: str, standing: e.Standing | None = None) -> Draft:
        data = e.IterationEnded(
            n=n, outcome=outcome, why=RedactedText(why), tree_hash=str(n), gates={}, standing=standing
        )
        return Draft("iteration.completed", compose(data))

    def _over(self, n: int, outcome: str, why: str) -> None:
        self._append(self._ended(n, outcome, why))

    def _decide(self) -> None:
        have = Have(0, 1)
        told = Expired(checkpoint_id="apr_1", gate_id="write", expires_at="", quorum=have)
        self._say(f"approval.{self._says}", told)

    def _say(self, type_: str, data: Any) -> None:
        self._append(Draft(type_, compose(data)))

    def _append(self, *drafts: Draft) -> None:
        """Write, all or nothing: before that, the worker may die."""
        if self._dies is not None and next(self._dies, False):
            raise _Died
        self.log += [(draft, self.now) for draft in drafts]
        assert self.run.course is not None
        self.run = replace(self.run, course=follow(self.run.course, drafts, self.now))
        for limit in reached(self.run, self.now):
            self.most[limit.limit_name] = limit.used - limit.limit
        if self.loop.standing is not None:
            self.measures.append(p.measure(self.loop.standing, self.loop.gates, self.loop_terms))

    def refolded(self) -> Any:
        """Return the course that the log folds into."""
        assert self.run.spec.runtime is not None
        course = course_of(self.run.spec.runtime)
        for draft, at in self.log:
            course = follow(course, [draft], at)
        return course

    def warned(self) -> list[str]:
        """Return the limits of which the log warns."""
        return [
            msgspec.json.decode(each.data, type=BudgetReached).name
            for each, _ in self.log
            if each.type == "budget.warning"
        ]


class _Died(Exception):
    pass
