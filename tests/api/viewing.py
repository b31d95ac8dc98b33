"""A viewer of a terminal, without a connection: frames go to the application in this process and come back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.api.served import Served

PATIENCE_S = 30.0


class Viewer:
    """One WebSocket, from the peer's side."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.frames: list[dict[str, Any]] = []
        self.code: int | None = None

    async def next(self) -> dict[str, Any]:
        """Return the next frame; an empty one at the end."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self.told.get()
        if message["type"] == "websocket.close":
            self.code = message["code"]
            return {}
        frame: dict[str, Any] = json.loads(message["text"])
        self.frames.append(frame)
        return frame

    async def until(self, **wanted: Any) -> dict[str, Any]:
        """Return the first frame to come that says all of this."""
        while True:
            frame = await self.next()
            assert frame, f"it was closed with {self.code} before it said {wanted}: {self.frames[-3:]}"
            if wanted.items() <= frame.items():
                return frame

    async def shows(self, text: str) -> None:
        """Wait until the command has printed this."""
        while text not in self.printed:
            assert await self.next(), f"{text} was never printed: {self.printed[-500:]}"

    async def rest(self) -> list[dict[str, Any]]:
        """Return all frames, to the end."""
        while await self.next():
            pass
        return self.frames

    @property
    def printed(self) -> str:
        """What the command has printed so far."""
        return "".join(frame["data"] for frame in self.frames if frame["t"] == "chunk")

    def do(self, **frame: Any) -> None:
        """Send a frame."""
        self.sent.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    def type(self, text: str, **more: Any) -> None:
        """Type."""
        self.do(t="input", data=text, **more)


@asynccontextmanager
async def viewing(served: Served, run_id: str, token: str | None = None, query: str = "") -> AsyncIterator[Viewer]:
    """View the terminal of a run, past its greeting."""
    viewer = Viewer()
    scope: dict[str, Any] = {
        "type": "websocket",
        "path": f"/api/v1/runs/{run_id}/terminal",
        "raw_path": b"",
        "query_string": query.encode(),
        "headers": [(b"authorization", f"Bearer {token or served.admin_token}".encode())],
        "subprotocols": [],
        "client": None,
    }
    viewer.sent.put_nowait({"type": "websocket.connect"})

    async def tell(message: Any) -> None:
        if message["type"] != "websocket.accept":
            viewer.told.put_nowait(dict(message))

    async def serve() -> None:
        await served.house.app(scope, viewer.sent.get, tell)

    serving = asyncio.create_task(serve())
    try:
        await viewer.until(t="hello")
        yield viewer
    finally:
        viewer.sent.put_nowait({"type": "websocket.disconnect", "code": 1001})
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
