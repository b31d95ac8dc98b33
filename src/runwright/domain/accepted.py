"""What the people of a repository say of findings: which ones they live with, and who owns which file.

It is read from the base, once, as of when a run began: whatever is changed after that, by whomever, adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec
from msgspec.structs import asdict

from runwright.domain.baseline import Baseline, compare
from runwright.domain.finding import Finding
from runwright.domain.owners import Owners
from runwright.domain.redaction import RedactedText
from runwright.domain.suppressions import Suppression, Suppressions


class SuppressedFinding(Finding, frozen=True, omit_defaults=True, kw_only=True):
    """`finding.suppressed`: it is there, and people live with it: why, who says so, and until when."""

    reason: RedactedText
    owner: RedactedText
    expires_at: str


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The suppressions and the baseline that hold, and who owns which file; nothing by default."""

    suppressions: Suppressions = Suppressions()
    baseline: Baseline | None = None
    owners: Owners = Owners()

    @property
    def accepts(self) -> bool:
        """Tell whether there is anything that people live with."""
        return bool(self.suppressions.active) or self.baseline is not None

    def compared(self, findings: Iterable[Finding]) -> tuple[Finding, ...]:
        """Return the findings of one look, each with its state against the baseline."""
        return compare(tuple(findings), self.baseline).findings

    def told(self, finding: Finding, text: Callable[[str], RedactedText]) -> Finding:
        """Return a finding as it is told: as suppressed where it is."""
        hidden = self.suppressions.of(finding)
        return finding if hidden is None else _suppressed(finding, hidden, text)

    def void(self) -> tuple[str, ...]:
        """Return which suppressions are none, each with the reason."""
        return tuple(f"the suppression of {each.about} is none: {why}" for each, why in self.suppressions.void)


def _suppressed(finding: Finding, by: Suppression, text: Callable[[str], RedactedText]) -> SuppressedFinding:
    return SuppressedFinding(
        **asdict(finding), reason=text(by.reason), owner=text(by.owner), expires_at=text(by.expires_at)
    )
