"""The steps that look: check the repository out, and look through what lies in the workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.agents.notes import Note
from runwright.agents.tools.workspace import RunWorkspace, Snapshot
from runwright.clock import Clock
from runwright.domain.accepted import Accepted, SuppressedFinding
from runwright.domain.base_policy import PolicyRead, bounds
from runwright.domain.course import Course
from runwright.domain.finding import Finding
from runwright.domain.inventory import Skipped
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import CheckedOut
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.executors.orchestrated.base_files import COUNTS, noted, policy_of, policy_text
from runwright.executors.orchestrated.commands import Done
from runwright.sandbox.checkout import Checkout, Repositories
from runwright.sandbox.refusal import CheckoutRefused
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.sandbox.snapshot import EMPTY
from runwright.scanners.look import look

CHECKED_OUT = "workspace.checked_out"
COMPARED_MAX = 5_000
"""So many findings of a tree are compared with those of another; of one that has more nothing is taken as accepted."""
TOLD_MAX = 200
"""So many of the files that a checkout left out are told by name; the others are counted."""


class Eyes(msgspec.Struct, frozen=True, kw_only=True):
    """What the looking steps work with. `told` reads what the log says of an event type, last of all."""

    repositories: Repositories | None
    scanners: tuple[Scanner, ...]
    bounds: ScanBounds
    clock: Clock
    told: Callable[[str], Awaitable[bytes | None]]
    attempts_max: int
    retry_s: float


async def check_out(
    terms: RuntimeTerms,
    course: Course,
    place: RunWorkspace,
    eyes: Eyes,
    redactor: Redactor,
    *,
    say: Callable[[Note], None],
) -> Done:
    """Lay the files of the run's commit into its workspace, or none for a run without a repository.

    One that cannot be reached just now is asked again. Raises `CheckoutRefused`, `TreeRefused`, `NotStarted`.
    """
    if terms.repo is None or eyes.repositories is None:
        return Done("succeeded", redactor.text("the workspace is empty"))
    repositories, repo = eyes.repositories, terms.repo
    for number in count(1):
        try:
            found, snapshot = await place.lay(
                lambda files: repositories.check_out(files, repo, terms.ref, head_sha=course.head_sha)
            )
            break
        except CheckoutRefused as why:
            if not why.retryable or number >= eyes.attempts_max:
                raise
            rest_s = eyes.retry_s * 2 ** (number - 1)
            say(Note("log", {"code": why.code, "attempt": number}, "warning", f"{why}; again in {rest_s:g} s"))
            await eyes.clock.sleep(rest_s)
    told = _told(terms.repo, found, snapshot)
    said = redactor.text(f"{told.files} files of {found.head_sha or 'no commit'}")
    return Done("succeeded", said, snapshot=snapshot, notes=(Note(CHECKED_OUT, told),))


async def ingest(
    terms: RuntimeTerms,
    course: Course,
    place: RunWorkspace,
    eyes: Eyes,
    redactor: Redactor,
    *,
    say: Callable[[Note], None],
) -> Done:
    """Check the repository out, read what its policy says of the run, and keep what its people live with; not what they
    live with, where the run wrote something before.

    Raises `PolicyInvalid` for a policy that is none, where it could have bounded a step of the run.
    """
    done = await check_out(terms, course, place, eyes, redactor, say=say)
    laid = laid_of(done)
    if laid is None:
        return done
    if bounds(terms.steps):
        policy = policy_of(*policy_text(place.files, laid))
        said = [Note("policy.read", PolicyRead.of(policy))] if policy.name else []
        done = replace(done, notes=(*done.notes, *said))
    if course.snapshot is not None:
        return done
    warned, kept = noted(place.files, laid, eyes.clock.now(), redactor)
    return replace(done, notes=(*done.notes, *warned), kept=(kept,))


def laid_of(done: Done) -> CheckedOut | None:
    """Return what a checkout laid out; None where there was no repository."""
    return next((note.data for note in done.notes if note.type == CHECKED_OUT), None)


def _told(repo: str, found: Checkout, snapshot: Snapshot | None) -> CheckedOut:
    return CheckedOut(
        repo=repo,
        ref=found.ref,
        head_sha=found.head_sha,
        tree_hash=EMPTY if snapshot is None else snapshot.tree_hash,
        files=0 if snapshot is None else snapshot.told.files,
        bytes=0 if snapshot is None else snapshot.told.bytes,
        archive_sha256=None if snapshot is None else snapshot.told.archive_sha256,
        left_out=tuple(sorted(found.left_out, key=lambda each: each.path not in COUNTS)[:TOLD_MAX]),
        left_out_by=dict(Counter(each.reason for each in found.left_out)),
        hooks=found.hooks[:TOLD_MAX],
    )


def comparing(bounds: ScanBounds) -> ScanBounds:
    """Return the bounds of a look whose findings are compared: it must see all of them."""
    return replace(bounds, findings_max=max(bounds.findings_max, COMPARED_MAX))


def opened(found: Finding) -> Note:
    """Return what is written of a finding: that it is open, or that people live with it."""
    if isinstance(found, SuppressedFinding):
        return Note("finding.suppressed", found)
    return Note("finding.opened", found, "info" if found.baseline_state == "unchanged" else "warning")


async def look_through(course: Course, place: RunWorkspace, eyes: Eyes, redactor: Redactor, accepted: Accepted) -> Done:
    """Look through the workspace; findings are no failure of the step, and what people live with is told as that."""
    data = await eyes.told(CHECKED_OUT)
    out: dict[str, Any] = {} if data is None else msgspec.json.decode(data)
    seen = await look(
        place,
        eyes.scanners,
        comparing(eyes.bounds) if accepted.accepts else eyes.bounds,
        redactor,
        eyes.clock,
        left_out=msgspec.convert(out.get("left_out", []), tuple[Skipped, ...]),
        left_out_by=out.get("left_out_by", {}),
        hooks=out.get("hooks", []),
        tree_hash=EMPTY if course.snapshot is None else course.snapshot.tree_hash,
        owners=accepted.owners,
    )
    if seen.untold:
        accepted = Accepted()  # the gravest are told, and not those that somebody accepted in place of others
    found = [accepted.told(each, redactor.text) for each in accepted.compared(seen.findings)]
    notes = (
        Note("workspace.ingested", seen.inventory),
        *(Note("scan.completed", scan, "info" if scan.status == "completed" else "warning") for scan in seen.reports),
        *(opened(each) for each in found),
    )
    lived = sum(isinstance(each, SuppressedFinding) or each.baseline_state == "unchanged" for each in found)
    told = f"{len(found)} findings" + (f", of which people live with {lived}" if lived else "")
    return Done("succeeded", redactor.text(told), notes=notes)
