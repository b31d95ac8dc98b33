"""Calls to the runtime surface: runs of every kind, where they stand, and their events page by page."""

from typing import Unpack
from urllib.parse import quote

from runwright.client.fields import PageOptions
from runwright.client.pages import Pages
from runwright.client.runtime_models import EventsPage, RuntimeRun
from runwright.client.transport import Transport

RUNS = "/api/v1/runs"


class Runtime:
    """See runs as the runtime surface shows them, and stop them. `runs.stream` follows any of them live."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, status: str | None = None, project_id: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[RuntimeRun]:
        """Return runs of every kind, newest first."""
        params = {"status": status, "project_id": project_id, **page}
        return self._transport.pages(RuntimeRun, RUNS, params)

    async def status(self, run_id: str) -> RuntimeRun:
        """Return where a run stands."""
        return await self._transport.one(RuntimeRun, "GET", f"{_path(run_id)}/status")

    async def cancel(self, run_id: str, *, reason: str | None = None) -> RuntimeRun:
        """Ask a run to stop, and return where it stands; one that has ended stays as it is."""
        body = {} if reason is None else {"reason": reason}
        return await self._transport.one(RuntimeRun, "POST", f"{_path(run_id)}/cancel", body=body, repeatable=True)

    async def events(
        self,
        run_id: str,
        *,
        after_event_id: str | None = None,
        after_seq: int | None = None,
        limit: int | None = None,
    ) -> EventsPage:
        """Return the events after one, the same at every reading; a page without events once all were read."""
        params = {"after_event_id": after_event_id, "after_seq": after_seq, "limit": limit}
        return await self._transport.one(EventsPage, "GET", f"{_path(run_id)}/events/list", params=params)


def _path(run_id: str) -> str:
    return f"{RUNS}/{quote(run_id, safe='')}"
