"""Patches on their way into a tree: proposed, guarded, kept by their text, and applied."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from runwright.agents.notes import Kept, Note
from runwright.domain import loop_events as e
from runwright.domain.answer import parse_answer
from runwright.domain.globs import Scope
from runwright.domain.guards import Refusal, refusals
from runwright.domain.inventory import SKIPS
from runwright.domain.loop_terms import DIFF_LINES_MAX, LoopTerms
from runwright.domain.masked import resolve_masked
from runwright.domain.owners import Owners
from runwright.domain.patch import Patch, PatchBounds, diff_stats
from runwright.domain.patching_plan import Attempt
from runwright.domain.policy_file import PolicyFile
from runwright.domain.policy_terms import TamperGuards
from runwright.domain.quality_gate import QualityGate
from runwright.domain.redaction import Redactor
from runwright.domain.unified import parse_unified
from runwright.fixers.apply import reader, resolved
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.ingest import overlooked
from runwright.sandbox.scanner import ScanBounds

PATCH = "patch"
"""The kind of values that hold the text of a patch, by the number of its iteration."""


class Guarding(msgspec.Struct, frozen=True):
    """What the guards are told: the policy, with the gates that hold for the loop."""

    scope: Scope
    tamper_guards: TamperGuards
    quality_gates: tuple[QualityGate, ...]


def refused(patch: Patch, policy: PolicyFile, terms: LoopTerms) -> tuple[Refusal, ...]:
    """Return why a patch is not let through; nothing where it is."""
    strategy = terms.strategy
    guarding = Guarding(policy.scope, policy.tamper_guards, terms.quality_gates)
    return refusals(
        patch.before,
        patch.after,
        guarding,
        max_files=strategy.max_files_per_patch,
        max_lines=strategy.max_diff_lines,
    )


def begun(n: int, attempt: Attempt, tree_hash: str) -> Note:
    """Return `iteration.started`."""
    batch = attempt.batch
    data = e.IterationStarted(
        n=n,
        patcher=attempt.patcher,
        batch=batch.key,
        targeted=batch.targeted,
        tree_hash=tree_hash,
        owners=batch.owners,
    )
    return Note("iteration.started", data)


def proposed(
    n: int, patcher: str, patch: Patch, against: Sequence[Refusal], owners: Owners, redactor: Redactor
) -> list[Note]:
    """Return `patch.proposed`, and what the guards have against it."""
    stats, clean = diff_stats(patch), redactor.text
    facts = e.PatchFacts(
        patcher=patcher, sha256=patch.sha256, files=stats.files, added=stats.added, removed=stats.removed
    )
    nobodys = {clean(path) for path in patch.paths if not owners.of(path)}
    paths = tuple(clean(path) for path in patch.paths)
    told = e.PatchProposed(n=n, patch=facts, paths=paths, owned=tuple(each for each in paths if each not in nobodys))
    notes = [Note("patch.proposed", told)]
    for each in against:
        subject = f"{each.path}:{each.line}" if each.line else each.path
        data = e.PatchRefused(n=n, guard=each.guard, subject=clean(subject), reason=clean(each.message))
        notes.append(Note("patch.refused", data, "warning"))
    return notes


def kept(n: int, patch: Patch) -> Kept:
    """Return the text of a patch as it is kept beside the log."""
    return Kept(PATCH, str(n), {"diff": patch.text})


def hidden(patch: Patch, bounds: ScanBounds) -> str | None:
    """Return what a patch hides from every look; None of one after which all that it touches is looked into."""
    for change in patch.changes:
        if change.after is None:
            continue
        why = overlooked(change.after.encode(), bounds)
        was = None if change.before is None else overlooked(change.before.encode(), bounds)
        if why is not None and was is None:
            return f"nobody would look into {change.path} any more: {SKIPS[why]}"
    return None


def reread(text: str, files: Beneath, bounds: PatchBounds) -> Patch:
    """Return the patch of a kept text, over the tree that it was made of. Raises `PatchRefused` for another tree.

    However much more its text is than what it was made of: that was within the bounds, and guards bound its lines.
    """
    most = 4 * bounds.files * bounds.file_bytes
    wide = replace(bounds, bytes=max(bounds.bytes, most), hunks=max(bounds.hunks, DIFF_LINES_MAX))
    return resolved(parse_unified(text, wide), files, wide)


def answered(text: str, files: Beneath, redactor: Redactor, bounds: PatchBounds) -> Patch:
    """Return the patch that a model's answer is over a tree, which it saw redacted. Raises `PatchRefused`."""
    return resolve_masked(parse_answer(text, bounds), reader(files, bounds), redactor.text, bounds)
