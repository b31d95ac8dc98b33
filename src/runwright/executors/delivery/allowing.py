"""What it takes that people allow a delivery: as the policy says that stands in the commit it builds upon.

That of the tree that is delivered has no say: a change cannot make its own approval easier.
"""

from __future__ import annotations

import os
from pathlib import Path

from runwright.domain.delivery_terms import DeliveryTerms
from runwright.domain.policy_file import FILES, read_policy
from runwright.domain.policy_terms import ApprovalRules, together
from runwright.errors import PolicyInvalid
from runwright.forges.port import Refused
from runwright.sandbox import beneath

POLICY_MAX = 1 << 20


def rules_of(delivery: DeliveryTerms, base: Path | None) -> ApprovalRules:
    """Return the strictest that the policy of the base says of what is to be done. Raises `Refused`."""
    found = None if base is None else next((each for name in FILES if (each := _read(base, name)) is not None), None)
    if found is None:
        return ApprovalRules()
    name, data = found
    try:
        policy = read_policy(data, name)
        return together(policy.approvals[action] for action in delivery.actions if action in policy.approvals)
    except (PolicyInvalid, ValueError) as why:
        raise Refused("TOOL_FAILED", f"the policy of the base says who may allow it: {why}", retryable=False) from None


def _read(base: Path, name: str) -> tuple[str, bytes] | None:
    *parents, last = name.split("/")
    try:
        with beneath.directory(base, tuple(parents)) as fd, os.fdopen(beneath.opened(fd, last, name), "rb") as file:
            data = file.read(POLICY_MAX + 1)
    except FileNotFoundError:
        return None
    except (OSError, beneath.Outside) as why:
        raise Refused("TOOL_FAILED", f"the policy of the base cannot be read: {why}", retryable=False) from None
    if len(data) > POLICY_MAX:
        raise Refused("TOOL_FAILED", f"the policy of the base has more than {POLICY_MAX} bytes", retryable=False)
    return name, data
