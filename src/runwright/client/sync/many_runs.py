# Generated from runwright/client/many_runs.py by `make docs`; change that one instead.
"""Calls that change runs: many at once, or what one is about to do."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.bulk_models import BulkCancelled, DebugMode, FreedKey
from runwright.client.fields import CancelFilters
from runwright.client.json_values import json_copy
from runwright.client.models import Run
from runwright.client.sync.transport import Transport


class ManyRuns:
    """Cancel and replay many runs, and change runs that have not begun; a part of `Runs`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def bulk_cancel(self, run_ids: Iterable[str], *, reason: str | None = None) -> BulkCancelled:
        """Cancel up to 500 runs; one that executes was asked to and is not waited for."""
        body: dict[str, Any] = {"run_ids": [*run_ids]} | ({} if reason is None else {"reason": reason})
        return self._transport.one(BulkCancelled, "POST", "/v1/runs/bulk-cancel", body=body, repeatable=True)

    def bulk_cancel_all(self, project_id: str, **filters: Unpack[CancelFilters]) -> BulkCancelled:
        """Cancel every unfinished run of a project that the filters hold, at most `limit` (10 000) in a call.

        With `dry_run` nothing is cancelled, and `total` tells how many would be.
        """
        params = {"project_id": project_id}
        return self._transport.one(
            BulkCancelled, "POST", "/v1/runs/bulk-cancel-all", params=params, body=dict(filters), repeatable=True
        )

    def bulk_replay(
        self,
        run_ids: Iterable[str],
        *,
        version: str | None = None,
        force: bool = False,
        idempotency_key: str | None = None,
    ) -> list[Run]:
        """Start new runs like up to 500 finished ones; those that cannot be replayed are left out.

        Why, the batch operation tells that `batches.list` shows.
        """
        body: dict[str, Any] = {"run_ids": [*run_ids], "force": force}
        body |= {} if version is None else {"version": version}
        return self._transport.made_all(Run, "/v1/runs/bulk-replay", body, idempotency_key)

    def reschedule(self, run_id: str, scheduled_at: datetime, payload: Mapping[str, Any] | None = None) -> Run:
        """Let a run that has not begun begin at another time, perhaps with another payload."""
        body: dict[str, Any] = {"scheduled_at": scheduled_at}
        if payload is not None:
            body["payload"] = json_copy(dict(payload))
        return self._transport.one(Run, "POST", f"{_path(run_id)}/reschedule", body=body, repeatable=True)

    def debug(self, run_id: str, debug_mode: bool = True) -> DebugMode:
        """Let the attempts to come be recorded, with what is handed over and what comes back, or not."""
        body = {"debug_mode": debug_mode}
        return self._transport.one(DebugMode, "POST", f"{_path(run_id)}/debug", body=body, repeatable=True)

    def free_key(self, run_id: str) -> FreedKey:
        """Let the next request with the run's idempotency key make a run of its own."""
        return self._transport.one(FreedKey, "DELETE", f"{_path(run_id)}/idempotency-key", repeatable=True)


def _path(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"
