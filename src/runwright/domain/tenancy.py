"""Who acts, and within which walls.

An `Actor` is made once per request by `auth` and never changes. Every read goes through its organization
and projects; every write is attributed to `Actor.label`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.errors import MissingScope

SCOPES: dict[str, str] = {
    "jobs:read": "read jobs and their versions",
    "jobs:write": "create, change and delete jobs",
    "jobs:trigger": "start runs of jobs",
    "runs:read": "read runs, their events and records",
    "webhooks:write": "create, change and delete webhook subscriptions, read their deliveries and send them again",
    "secrets:write": "create, replace and delete secrets and environments, list them without values",
    "runs:write": "cancel, pause, resume and replay runs, drain workers, pause queues",
    "metrics:read": "read the metrics of the server",
    "workers:connect": "claim runs and execute them",
    "keys:manage": "create, rotate and revoke API keys",
    "threads:read": "read threads, their messages and runs, and what runs ask",
    "threads:write": "create, change and delete threads, add messages, start runs and answer them",
    "agents:manage": "create personas; create, change and delete routes and providers; set budgets",
    "prompts:read": "read what models were told, whole outputs of tools, and the workspaces of agent runs",
    "models:read": "read personas, routes and providers, without keys",
    "usage:read": "read what models used and cost, and budgets",
    "approvals:decide": "approve or deny what runs ask for: people alone may, not services, not runs",
    "terminal:write": "type for commands that take input, and resize their terminals: people alone may",
    "kpi:read": "compare windows of ended runs, and list the runs behind a number",
    "evidence:export": "export the evidence of runs in full, or for an auditor; what is public needs runs:read alone",
    "audit:read": "read and verify the audit log of the organization",
    "data:erase": "erase the data of runs that have ended",
    "admin": "everything, in the whole organization",
}
"""Every scope that a route of this server asks for, with what it allows."""

SCHEDULE = "system:cron"
"""The label of whoever starts the runs of schedules, and cancels those that overlap."""

DEPENDENCIES = "system:dependencies"
"""The label of whoever lets runs go on, or ends them, that wait for runs of other jobs."""

THREADS = "system:threads"
"""The label of whoever gives runs their turn in a thread, and ends those that another takes the place of."""

Role = Literal["viewer", "operator", "approver", "admin"]

_VIEWER = frozenset({"jobs:read", "runs:read", "threads:read", "models:read", "usage:read", "kpi:read"})
_OPERATOR = _VIEWER | {
    "jobs:write",
    "jobs:trigger",
    "runs:write",
    "webhooks:write",
    "secrets:write",
    "metrics:read",
    "workers:connect",
    "threads:write",
    "agents:manage",
    "prompts:read",
    "evidence:export",
    "terminal:write",
}
ROLES: dict[Role, frozenset[str]] = {
    "viewer": _VIEWER,
    "operator": _OPERATOR,
    "approver": _VIEWER | {"evidence:export", "approvals:decide"},
    "admin": frozenset({"admin"}),
}
"""What the members of each role may do, weakest first; an approver decides, and operates nothing."""


def narrowed(given: frozenset[str], by: frozenset[str]) -> frozenset[str]:
    """Return the scopes that both sets allow; `admin` stands for all of them."""
    if "admin" in by:
        return given
    return by if "admin" in given else given & by


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """One authenticated caller: a user, by a key or a JWT, a service by its key, or the server itself.

    `project_id` is set when the caller is bound to one project; `None` means every project of the organization. `role`
    is that of the membership which the scopes come from, if there is one; at `expires_at` the credentials end.
    """

    kind: str
    id: str
    org_id: str
    project_id: str | None = None
    scopes: frozenset[str] = frozenset()
    key_id: str | None = None
    name: str | None = None
    email: str | None = None
    role: Role | None = None
    expires_at: int | None = None

    @property
    def label(self) -> str:
        """Return the string that events and the audit log carry, such as `user:user_…`."""
        return f"{self.kind}:{self.id}"

    @property
    def user_id(self) -> str | None:
        """Return the user behind the caller, or None for a service or the server."""
        return self.id if self.kind == "user" else None

    def allows(self, scope: str) -> bool:
        """Tell whether the caller holds `scope`; `admin` holds all of them, no scope holds nothing."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: str) -> None:
        """Raise `MissingScope` unless the caller holds `scope`."""
        if not self.allows(scope):
            raise MissingScope(scope)

    def sees(self, org_id: str, project_id: str) -> bool:
        """Tell whether a record of that organization and project is the caller's to see."""
        return org_id == self.org_id and self.project_id in (None, project_id)


class Cause(msgspec.Struct, frozen=True):
    """Why a state changed: who did it, the reason given, and the request that asked.

    `last_seen_seq`: how much of the log who asked had seen.
    """

    actor: str
    reason: str | None = None
    request_id: str | None = None
    last_seen_seq: int | None = None


def system(component: str, reason: str | None = None) -> Cause:
    """Return the cause of a change that a loop of the server makes by itself."""
    return Cause(f"system:{component}", reason)
