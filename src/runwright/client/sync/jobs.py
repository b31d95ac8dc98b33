# Generated from runwright/client/jobs.py by `make docs`; change that one instead.
"""Calls about jobs."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.fields import JobFields, TriggerItem, TriggerOptions
from runwright.client.json_values import json_copy
from runwright.client.models import BulkTriggered, Job, Run
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Jobs:
    """Create, change and trigger jobs; a job is named by its id or its slug."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, **fields: Unpack[JobFields]) -> Job:
        """Create a job."""
        return self._transport.one(Job, "POST", "/v1/jobs", body=fields)

    def get(self, job: str) -> Job:
        """Return a job."""
        return self._transport.one(Job, "GET", _path(job))

    def list(self, *, project_id: str | None = None, limit: int | None = None) -> Pages[Job]:
        """Return the jobs of a project; `limit` is the size of a page."""
        return self._transport.pages(Job, "/v1/jobs", {"project_id": project_id, "limit": limit})

    def update(self, job: str, **fields: Unpack[JobFields]) -> Job:
        """Change a job; every change is a version, and a run keeps the version that it started with."""
        return self._transport.one(Job, "PATCH", _path(job), body=fields)

    def delete(self, job: str) -> None:
        """Delete a job; its runs stay."""
        self._transport.send("DELETE", _path(job))

    def versions(self, job: str) -> Pages[Job]:
        """Return the versions of a job."""
        return self._transport.pages(Job, f"{_path(job)}/versions", {})

    def trigger(self, job: str, payload: Mapping[str, Any] | None = None, **options: Unpack[TriggerOptions]) -> Run:
        """Start a run. Called once, it makes one run, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        body: dict[str, Any] = dict(options)
        if payload is not None:
            body["payload"] = json_copy(payload)
        keyed = "idempotency_key" in options or self._transport.backoff.attempts < 2
        headers = {} if keyed else {"Idempotency-Key": uuid.uuid4().hex}
        repeatable = bool(headers) or "idempotency_key" in options
        return self._transport.one(
            Run, "POST", f"{_path(job)}/trigger", body=body, headers=headers, repeatable=repeatable
        )

    def trigger_bulk(self, job: str, items: Sequence[TriggerItem]) -> BulkTriggered:
        """Start up to 1000 runs in one transaction.

        The request is sent again after a cut only if every item has an `idempotency_key`.
        """
        body = {"items": [json_copy_item(item) for item in items]}
        repeatable = all("idempotency_key" in item for item in items)
        return self._transport.one(
            BulkTriggered, "POST", f"{_path(job)}/trigger/bulk", body=body, repeatable=repeatable
        )


def json_copy_item(item: TriggerItem) -> dict[str, Any]:
    """Return an item whose payload is JSON, or raise `NotJson`."""
    return {**item, "payload": json_copy(item["payload"])} if "payload" in item else dict(item)


def _path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"
