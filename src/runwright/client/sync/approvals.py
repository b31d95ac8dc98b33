# Generated from runwright/client/approvals.py by `make docs`; change that one instead.
"""Calls about approvals: what runs ask people, and what people decide."""

from typing import Literal, Unpack
from urllib.parse import quote

from runwright.client.approval_models import Approval
from runwright.client.fields import PageOptions
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Approvals:
    """See what runs ask people, and decide it, with the key of a person."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, status: str | None = None, project_id: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[Approval]:
        """Return approvals of a project, or of all that the caller may see, newest first; `pending` is the inbox."""
        params = {"status": status, "project_id": project_id, **page}
        return self._transport.pages(Approval, "/api/v1/approvals", params)

    def of_run(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Approval]:
        """Return what a run asked people, oldest first."""
        return self._transport.pages(Approval, _path(run_id), {**page})

    def decide(
        self,
        run_id: str,
        checkpoint_id: str,
        decision: Literal["approve", "deny"],
        subject_sha256: str,
        *,
        comment: str | None = None,
        idempotency_key: str | None = None,
    ) -> Approval:
        """Decide about the subject of this digest: the one that was looked at. Return how the approval stands."""
        body = {
            "checkpoint_id": checkpoint_id,
            "decision": decision,
            "subject_sha256": subject_sha256,
            **({} if comment is None else {"comment": comment}),
        }
        return self._transport.made(Approval, _path(run_id), body, idempotency_key)


def _path(run_id: str) -> str:
    return f"/api/v1/runs/{quote(run_id, safe='')}/approvals"
