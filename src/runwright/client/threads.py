"""Calls about threads: their messages, their runs, and what runs ask."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.agent_stream import AgentStream
from runwright.client.backoff import Backoff
from runwright.client.fields import PageOptions
from runwright.client.pages import Pages
from runwright.client.stream import OnCut
from runwright.client.thread_fields import RetryFields, StartFields, ThreadChanges, ThreadFields
from runwright.client.thread_models import (
    Accepted,
    ErasedThread,
    Message,
    PendingInput,
    StartedRun,
    Thread,
    ThreadRun,
)
from runwright.client.transport import Transport

FOLLOW = Backoff(attempts=10)


class Threads:
    """Make and change threads, talk in them, and start and follow their runs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[ThreadFields]) -> Thread:
        """Make a thread of a project."""
        return await self._transport.made(Thread, "/v1/threads", fields, idempotency_key)

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Thread]:
        """Return the threads of a project, or all that the caller may see; newest first."""
        return self._transport.pages(Thread, "/v1/threads", {"project_id": project_id, **page})

    async def get(self, thread_id: str) -> Thread:
        """Return a thread."""
        return await self._transport.one(Thread, "GET", _path(thread_id))

    async def update(self, thread_id: str, **fields: Unpack[ThreadChanges]) -> Thread:
        """Change a thread; each field that is given is replaced whole."""
        return await self._transport.one(Thread, "PATCH", _path(thread_id), body=fields)

    async def delete(self, thread_id: str) -> None:
        """Delete a thread with its messages; its runs stay."""
        await self._transport.send("DELETE", _path(thread_id))

    async def erase(self, thread_id: str) -> ErasedThread:
        """Erase the messages of a thread, and the data of all of its runs."""
        return await self._transport.one(ErasedThread, "POST", f"{_path(thread_id)}/erase")

    async def say(
        self,
        thread_id: str,
        content: str | None = None,
        *,
        parts: Sequence[Mapping[str, Any]] | None = None,
        role: str = "user",
        idempotency_key: str | None = None,
    ) -> Message:
        """Add a message, a text or parts; runs that begin from now on answer it."""
        given = {"content": content, "parts": parts}
        body = {"role": role, **{name: said for name, said in given.items() if said is not None}}
        return await self._transport.made(Message, f"{_path(thread_id)}/messages", body, idempotency_key)

    def messages(self, thread_id: str, **page: Unpack[PageOptions]) -> Pages[Message]:
        """Return the messages of a thread, oldest first."""
        return self._transport.pages(Message, f"{_path(thread_id)}/messages", {**page})

    async def run(
        self,
        thread_id: str,
        *,
        wait: float | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[StartFields],
    ) -> StartedRun:
        """Start a run in a thread; with `wait`, answer when it has ended, or after so many seconds."""
        path, params = f"{_path(thread_id)}/runs", {"wait": wait}
        return await self._transport.made(StartedRun, path, fields, idempotency_key, params=params)

    def stream(
        self,
        thread_id: str,
        *,
        idempotency_key: str | None = None,
        backoff: Backoff = FOLLOW,
        on_cut: OnCut | None = None,
        **fields: Unpack[StartFields],
    ) -> AgentStream:
        """Start a run in a thread, when it is iterated over, and tell what happens in it; see `AgentStream`.

        The run is started once, however often the request must be sent and the stream is iterated over.
        """
        key = idempotency_key or uuid.uuid4().hex

        async def start() -> StartedRun:
            return await self.run(thread_id, idempotency_key=key, **fields)

        return AgentStream(self._transport, start=start, backoff=backoff, on_cut=on_cut)

    def follow(
        self,
        run_id: str,
        after_seq: int = 0,
        *,
        allow_gaps: bool = False,
        backoff: Backoff = FOLLOW,
        on_cut: OnCut | None = None,
    ) -> AgentStream:
        """Return what happens in a run of a thread after `after_seq`, to its end; see `AgentStream`."""
        return AgentStream(
            self._transport, run_id=run_id, after_seq=after_seq, allow_gaps=allow_gaps, backoff=backoff, on_cut=on_cut
        )

    async def retry(
        self,
        thread_id: str,
        *,
        wait: float | None = None,
        idempotency_key: str | None = None,
        **fields: Unpack[RetryFields],
    ) -> StartedRun:
        """Take the assistant's last turn back and make its run again."""
        path, params = f"{_path(thread_id)}:retry", {"wait": wait}
        return await self._transport.made(StartedRun, path, fields, idempotency_key, params=params)

    def runs(self, thread_id: str, **page: Unpack[PageOptions]) -> Pages[ThreadRun]:
        """Return the runs of a thread, newest first."""
        return self._transport.pages(ThreadRun, f"{_path(thread_id)}/runs", {**page})


class Inputs:
    """What runs ask, and what is said to them."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self, *, project_id: str | None = None, status: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[PendingInput]:
        """Return what runs ask and wait for, of a project or of all that the caller may see."""
        params = {"project_id": project_id, "status": status, **page}
        return self._transport.pages(PendingInput, "/v1/inputs", params)

    async def send(
        self,
        run_id: str,
        content: str,
        *,
        request_id: str | None = None,
        mode: str = "answer",
        idempotency_key: str | None = None,
    ) -> Accepted:
        """Answer what a run asks, or say something by the way (`mode="steer"`)."""
        body = {"content": content, "mode": mode, **({"request_id": request_id} if request_id is not None else {})}
        path = f"/v1/runs/{quote(run_id, safe='')}/input"
        return await self._transport.made(Accepted, path, body, idempotency_key)


def _path(thread_id: str) -> str:
    return f"/v1/threads/{quote(thread_id, safe='')}"
