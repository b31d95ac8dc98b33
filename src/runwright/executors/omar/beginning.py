"""Begin a loop: lay out the tree of its commit, read the policy that stands there, and say what holds from here on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from runwright.agents.notes import LAST, Kept, Note, kept_of
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import runtime_events as r
from runwright.domain.loop_events import LoopStarted
from runwright.domain.loop_policy import within
from runwright.domain.loop_rules import LoopRules
from runwright.domain.patch import PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.policy_file import PolicyFile
from runwright.domain.redaction import RedactedText, Redactor
from runwright.domain.repository_events import CheckedOut
from runwright.executors.omar import words
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.prompt import names_of
from runwright.executors.orchestrated import base_files
from runwright.executors.orchestrated.looking import Eyes, check_out, laid_of
from runwright.fixers.apply import reader
from runwright.fixers.port import Fixer
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.snapshot import EMPTY
from runwright.scanners.available import Base

READ = PatchBounds()
"""How large a file of the base may be that says what counts."""


async def begin(
    journal: Journal,
    place: RunWorkspace,
    eyes: Eyes,
    fixers: Sequence[Fixer],
    redactor: Redactor,
) -> tuple[LoopRules, dict[str, str]]:
    """Return what counts by the files of the base, with what scanners take from there; the log says what holds.

    Raises `PolicyInvalid`, and what a checkout raises.
    """
    await journal.write(journal.moved("CLONING"))
    done = await check_out(journal.runtime, journal.course, place, eyes, redactor, say=journal.attempt.emit)
    written = written_of(place.files, laid_of(done), journal.attempt.clock.now())
    rules = rules_of(written)
    policy = rules.policy
    terms, budget = within(journal.terms, journal.runtime.budget, policy)
    snapshot = None if done.snapshot is None else done.snapshot.told
    started = LoopStarted(
        terms=terms,
        budget=budget,
        fixers=tuple(fixer.name for fixer in fixers),
        tree_hash=EMPTY if snapshot is None else snapshot.tree_hash,
        policy_file=policy.name or None,
        policy_sha256=policy.digest or None,
        snapshot=snapshot,
    )
    notes = [*done.notes, Note("loop.started", started)]
    notes += [
        _denied(gate.id, redactor.text(gate.command[0]))
        for gate in terms.quality_gates
        if not (policy.commands.allows(gate.command) and journal.runtime.policy.allows(gate.command))
    ]
    base = base_of(place.files, policy)
    said = Kept(words.POLICY, LAST, {**written, "base": base})
    await journal.write(notes, [*kept_of(done.snapshot), said])
    return rules, base


def base_of(files: Beneath, policy: PolicyFile) -> dict[str, str]:
    """Return the rules and advisories that scanners take from the base: no patch changes them for its own look."""
    read = reader(files, READ, setting=None)
    roots = [root for said in policy.scanners.values() for root in (said.rules, said.database) if root is not None]
    found: dict[str, str] = {}
    for name in names_of(files) if roots else ():
        if any(name == root.rstrip("/") or name.startswith(f"{root.rstrip('/')}/") for root in roots):
            with contextlib.suppress(PatchRefused):
                found[name] = (read(name) or b"").decode("utf-8", "replace")
    return found


def beneath_of(base: Mapping[str, str]) -> Base:
    """Return how scanners read what was taken from the base."""

    def beneath(path: str) -> dict[str, bytes]:
        root = path.rstrip("/")
        return {name: text.encode() for name, text in base.items() if name == root or name.startswith(f"{root}/")}

    return beneath


def written_of(files: Beneath, laid: CheckedOut | None, at: int) -> dict[str, Any]:
    """Return the texts of the base that say what counts: policy, suppressions, baseline. Raises `PolicyInvalid`."""
    name, text = base_files.policy_text(files, laid)
    return {"name": name, "text": text, **base_files.written_of(files, laid, at)}


def rules_of(written: Mapping[str, Any]) -> LoopRules:
    """Return what the texts say, as of the instant that is kept with them. Raises `PolicyInvalid`."""
    return LoopRules(
        policy=base_files.policy_of(written["name"], written["text"]),
        suppressions=base_files.suppressions_of(written),
        baseline=base_files.baseline_of(written),
        owners=base_files.owners_of(written),
    )


def _denied(gate_id: str, program: RedactedText) -> Note:
    reason = RedactedText("the program of a gate is none that the policy allows: nothing could be verified")
    data = r.PolicyDenied(
        rule_id=f"gate.{gate_id}", subject=program, decision="deny", reason=reason, code="TOOL_DENIED"
    )
    return Note("policy.denied", data, "warning")
