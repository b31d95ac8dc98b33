"""Begin a loop: lay out the tree of its commit, read the policy that stands there, and say what holds from here on."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from runwright.agents.notes import LAST, Kept, Note
from runwright.agents.tools.workspace import RunWorkspace
from runwright.domain import runtime_events as r
from runwright.domain.loop_events import LoopStarted
from runwright.domain.loop_policy import within
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.policy_file import FILES, PolicyFile, read_policy
from runwright.domain.redaction import RedactedText, Redactor
from runwright.errors import PolicyInvalid
from runwright.executors.omar import patching, words
from runwright.executors.omar.journal import Journal
from runwright.executors.omar.prompt import names_of
from runwright.executors.orchestrated.looking import Eyes, check_out
from runwright.fixers.apply import reader
from runwright.fixers.port import Fixer
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.snapshot import EMPTY
from runwright.scanners.available import Base


async def begin(
    journal: Journal,
    place: RunWorkspace,
    eyes: Eyes,
    fixers: Sequence[Fixer],
    redactor: Redactor,
) -> tuple[PolicyFile, dict[str, str]]:
    """Return the policy of the base, with what its scanners take from there; the log says what holds.

    Raises `PolicyInvalid`, and what a checkout raises.
    """
    await journal.write(journal.moved("CLONING"))
    done = await check_out(journal.runtime, journal.course, place, eyes, redactor, say=journal.attempt.emit)
    policy, written = policy_of(place.files)
    terms, budget = within(journal.terms, journal.runtime.budget, policy)
    archive, snapshot = words.snapshot_of(done.snapshot)
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
    said = Kept(words.POLICY, LAST, {"name": policy.name, "text": written, "base": base})
    await journal.write(notes, [*archive, said] if policy.name else archive)
    return policy, base


def base_of(files: Beneath, policy: PolicyFile) -> dict[str, str]:
    """Return the rules and advisories that scanners take from the base: no patch changes them for its own look."""
    read = reader(files, patching.BOUNDS)
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


def policy_of(files: Beneath) -> tuple[PolicyFile, str]:
    """Return the policy of a tree, and its text; the defaults where the tree has none. Raises `PolicyInvalid`."""
    read = reader(files, patching.BOUNDS)
    for name in FILES:
        try:
            data = read(name)
        except PatchRefused as why:
            raise PolicyInvalid.of(name, "", None, str(why)) from None
        if data is not None:
            policy = read_policy(data, name)
            return policy, data.decode()
    return PolicyFile(), ""


def _denied(gate_id: str, program: RedactedText) -> Note:
    reason = RedactedText("the program of a gate is none that the policy allows: nothing could be verified")
    data = r.PolicyDenied(
        rule_id=f"gate.{gate_id}", subject=program, decision="deny", reason=reason, code="TOOL_DENIED"
    )
    return Note("policy.denied", data, "warning")
