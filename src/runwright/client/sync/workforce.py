# Generated from runwright/client/workforce.py by `make docs`; change that one instead.
"""Calls about who executes: workers elsewhere, and the queues that they take from."""

from typing import Unpack
from urllib.parse import quote

from runwright.client.accounts import Queue, WorkerElsewhere
from runwright.client.fields import PageOptions
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Workers:
    """See the workers that claim runs over REST, and let them end in order."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **page: Unpack[PageOptions]) -> Pages[WorkerElsewhere]:
        """Return the workers, newest first, those that are gone for a while too."""
        return self._transport.pages(WorkerElsewhere, "/v1/workers", page)

    def get(self, worker_id: str) -> WorkerElsewhere:
        """Return a worker."""
        return self._transport.one(WorkerElsewhere, "GET", f"/v1/workers/{quote(worker_id, safe='')}")

    def drain(self, worker_id: str) -> WorkerElsewhere:
        """Ask a worker to take no more runs and to end when those that it has have ended; twice is once."""
        path = f"/v1/workers/{quote(worker_id, safe='')}/drain"
        return self._transport.one(WorkerElsewhere, "POST", path, repeatable=True)


class Queues:
    """See what waits to be claimed, and hold it back."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, **page: Unpack[PageOptions]) -> Pages[Queue]:
        """Return the queues that hold ready runs or are paused, by name, which is their order."""
        return self._transport.pages(Queue, "/v1/queues", page)

    def pause(self, queue: str) -> Queue:
        """Let nobody take from a queue any more; what executes goes on. Twice is once."""
        return self._transport.one(Queue, "POST", f"/v1/queues/{quote(queue, safe='')}/pause", repeatable=True)

    def resume(self, queue: str) -> Queue:
        """Let workers take from a queue again; twice is once."""
        return self._transport.one(Queue, "POST", f"/v1/queues/{quote(queue, safe='')}/resume", repeatable=True)
