"""Get a patch from a fixer or a model; what it is, and what the guards have against it, is written down at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from runwright.agents.notes import Note
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import outcome as o
from runwright.domain.finding import Finding
from runwright.domain.loop_course import OpenIteration
from runwright.domain.loop_events import FixerPassed
from runwright.domain.loop_rules import LoopRules
from runwright.domain.loop_terms import LLM
from runwright.domain.next_step import EXHAUSTED, TOO_LONG, UNPRICED
from runwright.domain.patch import Patch, PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.patching_plan import GATE, Attempt
from runwright.domain.redaction import Redactor
from runwright.executors.omar import patching, words
from runwright.executors.omar.asking import ask, is_flaky, printed
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.meter import Metered, Spent, in_time
from runwright.executors.omar.prompt import Red, former, prompt
from runwright.executors.orchestrated.turns import Turns
from runwright.fixers.port import Fixer

_NO_PATCH = (TOO_LONG, UNPRICED)
PROVIDERS = "providers."


class Proposing(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to make a patch over the tree that is kept."""

    journal: Journal
    rules: LoopRules
    fixers: Sequence[Fixer]
    turns: Turns
    redactor: Callable[[], Redactor]
    place: Callable[[], Awaitable[RunWorkspace]]
    findings: Sequence[Finding]
    bounds: PatchBounds

    async def try_(self, n: int, attempt: Attempt) -> Patch | None:
        """Begin an iteration: of the model, which is asked then; or of a fixer, if it has a patch. Raises `Spent`."""
        journal = self.journal
        start = patching.begun(n, attempt, journal.loop.tree_hash)
        if attempt.patcher == LLM:
            await journal.write([start])
            return None
        fixer = next(each for each in self.fixers if each.name == attempt.patcher)
        place = await self.place()
        ground = Metered(place, journal, f"{n}_{attempt.batch.key}_{fixer.name}")
        try:
            patch = await in_time(journal, fixer.propose(ground, attempt.batch.findings, self.bounds))
        except PatchRefused:
            patch = None
        await place.put_back()
        if journal.course.exhausted is not None:
            raise Spent
        if patch is None:
            told = FixerPassed(fixer=fixer.name, batch=attempt.batch.key, findings=len(attempt.batch.findings))
            await journal.write([Note("fixer.passed", told)])
            return None
        await self._write(n, attempt.patcher, patch, [start])
        return patch

    async def ask(self, iteration: OpenIteration) -> Patch | o.Outcome | None:
        """Ask the model for the patch of an iteration; None where it gave none, and the log says why."""
        journal, text = self.journal, self.redactor().text
        await journal.write(journal.moved("REASONING"))
        came = await ask(journal, self.turns, await self._said(iteration))
        await journal.write([])
        match came:
            case o.Completed(output=output):
                return await self._answered(iteration, str(output or ""))
            case o.Failed(code=code) if code == EXHAUSTED:
                return None  # the log says which limit, and the next turn ends the iteration
            case o.Failed(code=code) if code in _NO_PATCH:
                await self._none(iteration, f"the model was not asked: {came.message}")
                return None
            case o.Failed(code=code) if code is not None and code.startswith(PROVIDERS):
                if journal.terms.strategy.llm_failure_policy == "block":
                    return came
                why = text(f"no model answered: {came.message}")
                await journal.write([words.ended(iteration, "no_change", why, journal, model_failed=True)])
                return None
            case _:
                return came

    async def _answered(self, iteration: OpenIteration, answer: str) -> Patch | None:
        try:
            patch = patching.answered(answer, (await self.place()).files, self.redactor(), self.bounds)
        except PatchRefused as why:
            await self._none(iteration, f"the answer is no patch of this tree: {why}")
            return None
        await self._write(iteration.n, LLM, patch, [])
        return patch

    async def _none(self, iteration: OpenIteration, why: str) -> None:
        note = words.ended(iteration, "no_change", self.redactor().text(why), self.journal)
        await self.journal.write([note])

    async def _write(self, n: int, patcher: str, patch: Patch, before: Sequence[Note]) -> None:
        """Write a patch down with what the guards have against it, and keep its text."""
        against = patching.refused(patch, self.rules.policy, self.journal.terms)
        notes = [*before, *patching.proposed(n, patcher, patch, against, self.rules.owners, self.redactor())]
        await self.journal.write(notes, [patching.kept(n, patch)])

    async def _said(self, iteration: OpenIteration) -> list[str]:
        journal = self.journal
        wanted = [each for each in self.findings if each.fingerprint in iteration.targeted]
        red = [await self._red(each.removeprefix(GATE)) for each in iteration.targeted if each.startswith(GATE)]
        same = [each for each in journal.loop.iterations if (each.patcher, each.targeted) == (LLM, iteration.targeted)]
        kept = await journal.attempt.stored(patching.PATCH, look=True) if same else {}
        texts = {n: str(value["diff"]) for n, value in kept.items()}
        task = prompt(wanted, red, (await self.place()).files, journal.terms)
        return [task, *former(same, texts)]

    async def _red(self, gate_id: str) -> Red:
        """Return what a red gate printed; what it said, where it is no command."""
        journal = self.journal
        gate = journal.terms.gate(gate_id)
        if gate is None:
            return Red(gate_id, next((each.detail for each in journal.loop.gates if each.gate_id == gate_id), ""))
        return Red(gate_id, await printed(journal, self.turns, gate), flaky=is_flaky(journal, gate))
