"""Calls to the runtime surface: runs of every kind, where they stand, and their events page by page."""

from importlib import import_module
from typing import TYPE_CHECKING, Unpack
from urllib.parse import quote

from runwright.client.backoff import Backoff
from runwright.client.fields import PageOptions
from runwright.client.pages import Pages
from runwright.client.runtime_fields import RuntimeOrder
from runwright.client.runtime_models import EventsPage, RuntimeRun
from runwright.client.stream import OnCut
from runwright.client.transport import Transport

if TYPE_CHECKING:
    from runwright.client.terminal import TerminalStream

RUNS = "/api/v1/runs"
STREAM_BACKOFF = Backoff(attempts=10)


class Runtime:
    """Make runtime runs, and see runs of every kind as their surface shows them. `runs.stream` follows any live."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **order: Unpack[RuntimeOrder]) -> RuntimeRun:
        """Make a run. Called once, it makes one run, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        return await self._transport.made(RuntimeRun, RUNS, dict(order), idempotency_key)

    def list(
        self, *, status: str | None = None, project_id: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[RuntimeRun]:
        """Return runs of every kind, newest first."""
        params = {"status": status, "project_id": project_id, **page}
        return self._transport.pages(RuntimeRun, RUNS, params)

    async def status(self, run_id: str, *, wait: float | None = None, since_seq: int | None = None) -> RuntimeRun:
        """Return where a run stands.

        With `wait` it comes when something has happened after `since_seq`, or so many seconds later; less than the
        client's timeout.
        """
        params = {"wait": wait, "since_seq": since_seq}
        return await self._transport.one(RuntimeRun, "GET", f"{_path(run_id)}/status", params=params)

    async def cancel(self, run_id: str, *, reason: str | None = None) -> RuntimeRun:
        """Ask a run to stop, and return where it stands; one that has ended stays as it is."""
        body = {} if reason is None else {"reason": reason}
        return await self._transport.one(RuntimeRun, "POST", f"{_path(run_id)}/cancel", body=body, repeatable=True)

    def terminal(
        self,
        run_id: str,
        *,
        cursor: str | None = None,
        backoff: Backoff = STREAM_BACKOFF,
        on_cut: OnCut | None = None,
    ) -> "TerminalStream":
        """Return what the run's commands print as they print it, to its end; see `TerminalStream`."""
        # What speaks WebSocket takes its time to load: it is loaded for who needs it.
        stream: type[TerminalStream] = import_module(f"{__package__}.terminal").TerminalStream
        return stream(self._transport, f"{_path(run_id)}/terminal", cursor=cursor, backoff=backoff, on_cut=on_cut)

    async def recording(self, run_id: str) -> bytes:
        """Return an asciicast of what the run's commands have printed so far."""
        return (await self._transport.send("GET", f"{_path(run_id)}/terminal")).content

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
