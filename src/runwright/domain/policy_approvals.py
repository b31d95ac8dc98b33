"""The approvals of a policy: about what people are asked, what it takes that they allow it, and what nobody asks.

A key that nothing would ever ask for is refused, with what to do instead: who writes it believes to be asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from msgspec.structs import replace

from runwright.domain.approval import DECIDERS, Excluded, Quorum, Roles, TtlSeconds, decidable
from runwright.domain.delivery_terms import ACTIONS
from runwright.domain.loop_terms import LoopApproval
from runwright.domain.policy_terms import Part
from runwright.domain.policy_text import Written
from runwright.domain.runtime_terms import ApprovalStep

Asking = TypeVar("Asking", LoopApproval, ApprovalStep)

PLAN, WRITE = "plan", "write"
ASKED = (PLAN, WRITE, *ACTIONS)
"""About what people are asked: what a run or loop is about to do, a patch of a loop, and what a delivery does."""
_NOBODY_ASKS = "nobody is asked about that; there are"
_UNASKED = {
    "merge": "nothing is merged here: say at the forge how many must approve a pull request",
    "budget_raise": "no run over a repository asks for more than it was made with: bound it by `budgets`",
    "exec_network": "commands have no network here, and none can be opened",
    "policy_exception": "there are none: change the policy, or suppress a finding (.runwright/suppressions.yaml)",
    "baseline_accept": "a baseline is a file of the repository, accepted by whoever lets its change in",
    "evidence_release": "evidence is exported by whoever has the scope for it",
}


class ApprovalRules(Part, frozen=True):
    """What it takes that people allow something."""

    quorum: Quorum = 1
    roles: Roles | None = None
    exclude_actors: Excluded = ()
    ttl_seconds: TtlSeconds | None = None


def together(rules: Iterable[ApprovalRules]) -> ApprovalRules:
    """Return what it takes that people allow several things at once: of each the strictest.

    Raises `ValueError` where no role may allow all of them.
    """
    found = ApprovalRules()
    for each in rules:
        named = [roles for roles in (found.roles, each.roles) if roles is not None]
        shared = tuple(role for role in named[0] if all(role in roles for roles in named)) if named else None
        if shared == ():
            raise ValueError("no role may allow all of it")
        times = [ttl for ttl in (found.ttl_seconds, each.ttl_seconds) if ttl is not None]
        found = ApprovalRules(
            quorum=max(found.quorum, each.quorum),
            roles=shared,
            exclude_actors=tuple(dict.fromkeys((*found.exclude_actors, *each.exclude_actors))),
            ttl_seconds=min(times, default=None),
        )
    return found


def strictest(asked: Asking, rules: ApprovalRules) -> Asking:
    """Return how an order asks people, no easier than a policy lets it.

    Raises `ValueError` where no role may decide that both name.
    """
    own = ApprovalRules(
        quorum=asked.quorum, roles=asked.roles, exclude_actors=asked.exclude_actors, ttl_seconds=asked.ttl_seconds
    )
    held = together([own, rules])
    return replace(
        asked,
        quorum=held.quorum,
        roles=held.roles or asked.roles,
        exclude_actors=held.exclude_actors,
        ttl_seconds=held.ttl_seconds or asked.ttl_seconds,
    )


def approvals_of(written: Written, said: Mapping[str, object]) -> dict[str, ApprovalRules]:
    """Return what a policy says of each thing. Raises `PolicyInvalid` for what nobody asks, or nobody could allow."""
    return {key: _rules(written, key, each) for key, each in said.items()}


def _rules(written: Written, key: str, said: object) -> ApprovalRules:
    place = f"approvals.{key}"
    if key in _UNASKED:
        raise written.invalid(place, f"nothing asks for that, and it would be without effect. {_UNASKED[key]}")
    if key not in ASKED:
        raise written.invalid(place, f"{_NOBODY_ASKS} {', '.join(ASKED)}")
    rules = written.read(ApprovalRules, said, place)
    if rules.roles is not None and not decidable(rules.roles):
        raise written.invalid(f"{place}.roles", f"none of them may decide; name one of {', '.join(DECIDERS)}")
    return rules
