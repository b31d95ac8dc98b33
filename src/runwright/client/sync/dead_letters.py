# Generated from runwright/client/dead_letters.py by `make docs`; change that one instead.
"""Calls about the dead letter queue, and about what was done to many runs at once."""

from collections.abc import Iterable
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.bulk_models import BatchOperation, DeadLettersReplayed
from runwright.client.fields import PageOptions, RunFilters
from runwright.client.models import Run
from runwright.client.sync.pages import Pages
from runwright.client.sync.runs import run_params
from runwright.client.sync.transport import Transport


class DeadLetters:
    """Read, replay and discard runs that used up their attempts."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **filters: Unpack[RunFilters]) -> Pages[Run]:
        """Return the runs that are in the queue, newest first; `limit` is the size of a page."""
        return self._transport.pages(Run, "/v1/runs/dlq", run_params(filters))

    def replay(self, run_id: str, *, idempotency_key: str | None = None) -> Run:
        """Start a new run like a dead letter, which leaves the queue. One that has left is an `ApiError` (409)."""
        path = f"/v1/runs/{quote(run_id, safe='')}/dlq-replay"
        return self._transport.made(Run, path, {}, idempotency_key)

    def bulk_replay(
        self,
        run_ids: Iterable[str] | None = None,
        *,
        project_id: str | None = None,
        limit: int | None = None,
        version: str | None = None,
        idempotency_key: str | None = None,
    ) -> DeadLettersReplayed:
        """Replay the dead letters named, at most 500, or the oldest `limit` of a project.

        With `project_id`, a repeated call replays those that are the oldest then.
        """
        body: dict[str, Any] = {
            "run_ids": None if run_ids is None else [*run_ids],
            "project_id": project_id,
            "limit": limit,
            "version": version,
        }
        body = {name: value for name, value in body.items() if value is not None}
        return self._transport.made(DeadLettersReplayed, "/v1/runs/bulk-dlq-replay", body, idempotency_key)

    def discard(self, run_id: str) -> Run:
        """Take a run off the queue for good. One that has left is an `ApiError` (409)."""
        return self._transport.one(Run, "POST", f"/v1/runs/{quote(run_id, safe='')}/discard")


class BatchOperations:
    """See what was done to many runs at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[BatchOperation]:
        """Return bulk verbs, newest first, without their results."""
        return self._transport.pages(BatchOperation, "/v1/batch-operations", {"project_id": project_id, **page})

    def get(self, batch_id: str) -> BatchOperation:
        """Return a bulk verb with what became of each item."""
        return self._transport.one(BatchOperation, "GET", f"/v1/batch-operations/{quote(batch_id, safe='')}")
