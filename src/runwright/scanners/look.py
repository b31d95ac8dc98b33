"""Look through a workspace with everything that was chosen, and tell: what was found, and who looked at what.

Use, over an open `RunWorkspace` (or any `Ground`)::

    seen = await look(place, Scanners.of(settings).chosen(), ScanBounds.of(settings), redactor, clock)
    seen.findings  # the gravest first, each with all its sources
    seen.reports   # of each scanner `completed`, `partial` or `not_run`, with the reason
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from runwright.clock import Clock
from runwright.domain.finding import Finding
from runwright.domain.inventory import Inventory, Skipped
from runwright.domain.owners import Owners
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import Scanned
from runwright.sandbox.ingest import NOBODYS, examine
from runwright.sandbox.scanner import Ground, ScanBounds, Scanner


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found: an inventory of the tree, the findings, and what each scanner did."""

    inventory: Inventory
    findings: tuple[Finding, ...]
    reports: tuple[Scanned, ...]

    @property
    def untold(self) -> int:
        """Return how many findings were counted and are not among these."""
        return sum(report.findings - report.told for report in self.reports)

    def not_whole(self) -> tuple[Scanned, ...]:
        """Return the reports of those who have not looked at everything."""
        return tuple(report for report in self.reports if report.status != "completed")


async def look(
    ground: Ground,
    scanners: Sequence[Scanner],
    bounds: ScanBounds,
    redactor: Redactor,
    clock: Clock,
    *,
    left_out: Sequence[Skipped] = (),
    left_out_by: Mapping[str, int] | None = None,
    hooks: Sequence[str] = (),
    tree_hash: str | None = None,
    without: Collection[str] = (),
    owners: Owners = NOBODYS,
) -> Look:
    """Look through an open workspace: first by ourselves (secrets, signs of harm), then by each scanner in turn.

    `left_out` and `hooks` are what a checkout told; `without` names those of ours that a policy does not want, and
    `owners` says whose the files of findings are.
    """
    seen = await examine(
        ground,
        redactor,
        bounds,
        clock,
        scanners=scanners,
        left_out=left_out,
        left_out_by=left_out_by,
        hooks=hooks,
        tree_hash=tree_hash,
        without=without,
        owners=owners,
    )
    return Look(inventory=seen.inventory, findings=seen.findings, reports=seen.scans)
