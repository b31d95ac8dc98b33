# Generated from runwright/client/events.py by `make docs`; change that one instead.
"""Calls about events: what runs wait for, and what starts jobs."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from runwright.client.event_models import SentEvent
from runwright.client.json_values import json_copy
from runwright.client.sync.transport import Transport


class Events:
    """Send events to the runs of a project that wait for them, and to the jobs that they start.

    The project is the one of `project_id`, else the key's, else `default`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(
        self,
        key: str,
        payload: Mapping[str, Any] | None = None,
        *,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> SentEvent:
        """Send an event; where no run waits for its key, it is kept for the first that does, for 24 hours.

        Called once, it is sent once, however often the request must be.
        """
        path = f"/v1/events/{quote(key, safe='')}/send"
        return self._send(path, payload, project_id, idempotency_key)

    def send_prefix(
        self,
        prefix: str,
        payload: Mapping[str, Any] | None = None,
        *,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> SentEvent:
        """Send an event of every key that begins so, to the runs that wait now."""
        path = f"/v1/events/prefix/{quote(prefix, safe='')}/send"
        return self._send(path, payload, project_id, idempotency_key)

    def _send(self, path: str, payload: Mapping[str, Any] | None, project_id: str | None, key: str | None) -> SentEvent:
        body = {} if payload is None else {"payload": json_copy(payload)}
        return self._transport.made(SentEvent, path, body, key, params={"project_id": project_id})
