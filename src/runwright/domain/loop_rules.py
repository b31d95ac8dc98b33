"""What counts against the tree of a loop: by the policy, the suppressions and the baseline of its base.

All of it is read once, when the loop begins, and as of then: no patch changes what judges it, and whoever goes on
after a lost worker counts the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from runwright.domain.accepted import Accepted
from runwright.domain.finding import Finding
from runwright.domain.gating import behavior
from runwright.domain.loop_terms import LoopTerms
from runwright.domain.owners import VOID_TOLD
from runwright.domain.policy_file import PolicyFile


class Weighed(NamedTuple):
    """The findings of a tree: those that count against it, and those that people live with."""

    against: tuple[Finding, ...]
    known: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]


class LoopRules(Accepted, frozen=True, kw_only=True):
    """The files of the base that say what counts; the defaults where it has none."""

    policy: PolicyFile = msgspec.field(default_factory=PolicyFile)

    def denies(self, finding: Finding) -> bool:
        """Tell whether the policy lets a finding count at all; others are told of, and nothing more.

        A patch may bring none of these: people live with what is there, and not with what a loop adds.
        """
        return behavior(finding, self.policy) == "deny"

    def weighed(self, findings: Sequence[Finding], terms: LoopTerms) -> Weighed:
        """Return what the findings of a tree are; one that the baseline knows counts if it is targeted by name."""
        named = terms.targets.fingerprints
        against: list[Finding] = []
        known: list[Finding] = []
        suppressed: list[Finding] = []
        for found, compared in zip(findings, self.compared(findings), strict=True):
            if self.suppressions.of(found) is not None:
                suppressed.append(found)
            elif compared.baseline_state == "unchanged" and found.fingerprint not in named:
                known.append(found)
            elif self.denies(found):
                against.append(found)
        return Weighed(tuple(against), tuple(known), tuple(suppressed))

    def narrative(self, weighed: Weighed) -> str | None:
        """Return what is to be said of findings that do not count, and of suppressions; None of none."""
        said = [f"{len(weighed.suppressed)} findings are suppressed"] if weighed.suppressed else []
        said += [f"{len(weighed.known)} are known by the baseline"] if weighed.known else []
        said += [f"line {line} of CODEOWNERS is no rule: {why}" for line, why in self.owners.void[:VOID_TOLD]]
        return "; ".join((*said, *self.void())) or None
