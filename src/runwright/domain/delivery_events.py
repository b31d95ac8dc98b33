"""What the log of a delivery says, and how far a delivery has come by it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec.structs import replace

from runwright.domain.delivery_terms import Action
from runwright.domain.redaction import RedactedText
from runwright.domain.workspace import WorkspaceSnapshot

Code = Literal[
    "RUN_NOT_FOUND", "RUN_NOT_TERMINAL_OR_PAUSED", "MODE_NOT_WRITE_CAPABLE", "APPROVAL_MISSING", "APPROVAL_DENIED",
    "APPROVAL_EXPIRED", "APPROVAL_SUBJECT_MISMATCH", "WORKSPACE_MISSING", "NOTHING_TO_COMMIT", "GATE_NOT_GREEN",
    "PROTECTED_BRANCH", "PUSH_REJECTED", "FORGE_ERROR", "TOOL_FAILED", "SKIPPED_FAIL_FAST", "BASE_MOVED", "IN_PROGRESS",
    "CANCELLED", "PATH_OUT_OF_SCOPE",
]  # fmt: skip
"""Why a run was not delivered."""


class Changes(msgspec.Struct, frozen=True):
    """How much a commit changes."""

    added: int
    changed: int
    deleted: int


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery.prepared`: the commit is known by its digest; nobody outside has it yet. `snapshot` is what it holds.

    `kept`: files of the base that the checkout had left out; the commit has them as they were.
    """

    commit_sha: str
    tree_sha: str
    base_sha: str | None
    branch: str
    changes: Changes
    kept: int
    snapshot: WorkspaceSnapshot


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery.committed`: the commit stands; the value `bundle` of the run holds it for `git fetch`."""

    commit_sha: str
    tree_sha: str
    base_sha: str | None
    branch: str
    repo: str
    run_id: str
    checkpoint_id: str
    bundle_sha256: str
    bundle_bytes: int


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery.pushed`: the branch of the repository has the commit; `unchanged`: it had it before."""

    commit_sha: str
    branch: str
    repo: str
    forge: str
    unchanged: bool


class PullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request; `reused`: it was open for the branch before."""

    provider: str
    number: int
    url: str
    reused: bool


class PrOpened(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery.pr_opened`: a pull request is open for the branch. `warning`: what of it the forge did not take."""

    provider: str
    number: int
    url: str
    reused: bool
    commit_sha: str
    branch: str
    warning: RedactedText | None = None


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """`delivery.refused`: an action did not come about, and the delivery ends."""

    action: Action
    code: Code
    message: RedactedText
    retryable: bool
    retry_after_s: int | None = None


RECORDS: dict[str, type[msgspec.Struct]] = {
    "delivery.prepared": Prepared,
    "delivery.committed": Committed,
    "delivery.pushed": Pushed,
    "delivery.pr_opened": PrOpened,
    "delivery.refused": Refused,
}


class DeliveryCourse(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a delivery has come."""

    prepared: Prepared | None = None
    committed: Committed | None = None
    pushed: Pushed | None = None
    pull_request: PrOpened | None = None
    refused: Refused | None = None

    def has_done(self, action: Action) -> bool:
        """Tell whether an action has come about."""
        return {"commit": self.committed, "push": self.pushed, "open_pr": self.pull_request}[action] is not None


_FIELDS: dict[str, str] = {
    "delivery.prepared": "prepared",
    "delivery.committed": "committed",
    "delivery.pushed": "pushed",
    "delivery.pr_opened": "pull_request",
    "delivery.refused": "refused",
}


def follows(type: str) -> Callable[[DeliveryCourse, bytes], DeliveryCourse]:
    """Return how the course goes on after an event of a type of `RECORDS`."""
    name, shape = _FIELDS[type], RECORDS[type]
    return lambda course, data: replace(course, **{name: msgspec.json.decode(data, type=shape)})
