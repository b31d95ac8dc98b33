"""What the policy of the base says of a delivery: which paths it may change, and what it takes that people allow it.

That of the tree that is delivered has no say: a change can neither widen its own scope nor make its approval easier.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from runwright.domain.commit_plan import Change
from runwright.domain.delivery_terms import Action
from runwright.domain.guards.paths import outside
from runwright.domain.policy_approvals import ApprovalRules, together
from runwright.domain.policy_file import FILES, PolicyFile, read_policy
from runwright.errors import PolicyInvalid
from runwright.forges.port import Refused
from runwright.sandbox import beneath
from runwright.sandbox.checkout import Base

POLICY_MAX = 1 << 20


def policy_of(base: Base | None, place: Path | None) -> PolicyFile:
    """Return the policy of the commit that a delivery builds upon; the defaults where it has none. Raises `Refused`."""
    if base is None or place is None:
        return PolicyFile()
    found = ((name, _read(base, place, name)) for name in FILES)
    name, data = next(((name, data) for name, data in found if data is not None), ("", b""))
    try:
        return read_policy(data, name) if name else PolicyFile()
    except PolicyInvalid as why:
        raise Refused("TOOL_FAILED", f"the policy of the base says what may be done: {why}", retryable=False) from None


def require_scope(policy: PolicyFile, changes: Sequence[Change]) -> None:
    """Raise `Refused` (`PATH_OUT_OF_SCOPE`) where a commit changes, adds or takes away what the policy keeps as it is.

    A file that was renamed is one that is gone and one that is new: both places count.
    """
    found = [*outside([change.path for change in changes], policy)]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise Refused("PATH_OUT_OF_SCOPE", f"{found[0].path}{more}: {found[0].message}")


def rules_of(policy: PolicyFile, actions: Sequence[Action]) -> ApprovalRules:
    """Return the strictest that a policy says of what is to be done. Raises `Refused`."""
    try:
        return together(policy.approvals[action] for action in actions if action in policy.approvals)
    except ValueError as why:
        raise Refused("TOOL_FAILED", f"the policy of the base says who may allow it: {why}", retryable=False) from None


def _read(base: Base, place: Path, name: str) -> bytes | None:
    if name.encode() in base.kept:
        raise Refused("TOOL_FAILED", f"the policy of the base ({name}) was not checked out", retryable=False)
    *parents, last = name.split("/")
    try:
        with beneath.directory(place, tuple(parents)) as fd, os.fdopen(beneath.opened(fd, last, name), "rb") as file:
            data = file.read(POLICY_MAX + 1)
    except FileNotFoundError:
        return None
    except (OSError, beneath.Outside) as why:
        raise Refused("TOOL_FAILED", f"the policy of the base cannot be read: {why}", retryable=False) from None
    if len(data) > POLICY_MAX:
        raise Refused("TOOL_FAILED", f"the policy of the base has more than {POLICY_MAX} bytes", retryable=False)
    return data
