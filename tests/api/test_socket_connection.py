"""The connection of a WebSocket, below what we make of it."""

import asyncio
from typing import Any

from runwright.api.server import serve
from tests.api.conftest import Kit

SHAKE = (
    b"GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
NONSENSE = b"\xff\xff\xff\xff"
"""A frame with bits that nobody knows: the protocol itself says the last word."""


async def test_who_sends_behind_the_last_word_hears_that_the_peer_has_gone():
    kit, stop = Kit(port=0, drain_s=0), asyncio.Event()
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    late: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        await receive()
        await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": "websocket.send", "text": "late"})
        except Exception as failure:  # noqa: BLE001 - what it is, is asked below
            late.set_result(failure)

    serving = asyncio.create_task(serve(app, kit.settings, lambda: None, on_ready=ready.set_result, stop=stop))
    reader, writer = await asyncio.open_connection("127.0.0.1", int((await ready).rpartition(":")[2]))
    writer.write(SHAKE)
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    writer.write(NONSENSE)
    assert isinstance(await late, OSError)
    writer.close()
    stop.set()
    await serving
