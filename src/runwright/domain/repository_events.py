"""The shapes of what a log says of a repository that was checked out, and of the looks at what it holds."""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.domain.accepted import SuppressedFinding
from runwright.domain.base_policy import PolicyRead
from runwright.domain.finding import Finding, Status
from runwright.domain.inventory import Inventory, Skipped


class CheckedOut(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`workspace.checked_out`: the workspace holds the tree of a commit, but for what was left out, by reason.

    A repository without a commit has no `head_sha`, and an empty tree. `hooks` were found in a repository of this
    machine; they were not taken along. Any worker rebuilds the tree from the archive; nothing is fetched again.
    """

    repo: str
    ref: str | None
    head_sha: str | None
    tree_hash: str
    files: int
    bytes: int
    archive_sha256: str | None = None
    left_out: tuple[Skipped, ...] = ()
    left_out_by: dict[str, int] = {}
    hooks: tuple[str, ...] = ()


class Scanned(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`scan.completed`: what a scanner did. One that did not run says so: that is not the same as no findings.

    `findings` is how many there were, of which `told` are in the log: the gravest of a scanner that found too many.
    """

    scanner: str
    status: Status
    files: int
    findings: int
    told: int
    reason: str | None = None
    tree_hash: str | None = None
    duration_ms: int = 0


RECORDS: dict[str, tuple[Literal["checkpoint", "finding", "governance"], type[msgspec.Struct]]] = {
    "workspace.checked_out": ("checkpoint", CheckedOut),
    "policy.read": ("governance", PolicyRead),
    "workspace.ingested": ("checkpoint", Inventory),
    "scan.completed": ("finding", Scanned),
    "finding.opened": ("finding", Finding),
    "finding.suppressed": ("finding", SuppressedFinding),
}
"""What the executing side of a run over a repository appends: type → its kind and shape."""
