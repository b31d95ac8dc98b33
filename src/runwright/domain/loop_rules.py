"""What counts against the tree of a loop: by the policy, the suppressions and the baseline of its base.

All of it is read once, when the loop begins, and as of then: no patch changes what judges it, and whoever goes on
after a lost worker counts the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runwright.domain.baseline import Baseline, compare
from runwright.domain.finding import Finding
from runwright.domain.gating import behavior
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.owners import Owners
from runwright.domain.policy_file import PolicyFile
from runwright.domain.suppressions import Suppressions

VOID_TOLD = 5


class LoopRules(msgspec.Struct, frozen=True, kw_only=True):
    """The files of the base that say what counts; the defaults where it has none."""

    policy: PolicyFile = msgspec.field(default_factory=PolicyFile)
    suppressions: Suppressions = Suppressions()
    baseline: Baseline | None = None
    owners: Owners = Owners()

    def denies(self, finding: Finding) -> bool:
        """Tell whether the policy lets a finding count at all; others are told of, and nothing more.

        A patch may bring none of these: people live with what is there, and not with what a loop adds.
        """
        return behavior(finding, self.policy) == "deny"

    def against(self, findings: Sequence[Finding], terms: LoopTerms) -> tuple[Finding, ...]:
        """Return which of the findings of a tree count against it.

        Not those that people suppress, and not those that the baseline knows, unless they are targeted by name.
        """
        named = terms.targets.fingerprints
        compared = compare(findings, self.baseline).findings
        return tuple(
            found
            for found, state in zip(findings, (each.baseline_state for each in compared), strict=True)
            if self.denies(found)
            and self.suppressions.of(found) is None
            and (state != "unchanged" or found.fingerprint in named)
        )

    def told(self, findings: Sequence[Finding], terms: LoopTerms) -> str | None:
        """Return what is to be said of findings that the policy denies and that do not count; None of none."""
        denied = [each for each in findings if self.denies(each)]
        hidden = sum(self.suppressions.of(each) is not None for each in denied)
        known = len(denied) - hidden - len(self.against(denied, terms))
        said = [f"{hidden} findings are suppressed"] if hidden else []
        said += [f"{known} are known by the baseline"] if known else []
        said += [f"line {line} of CODEOWNERS is no rule: {why}" for line, why in self.owners.void[:VOID_TOLD]]
        said += [f"the suppression of {each.about} is none: {why}" for each, why in self.suppressions.void]
        return "; ".join(said) or None
