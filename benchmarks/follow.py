"""Followers of streams: as many as wanted in one process, each checking that nothing is lost and when it came."""

from __future__ import annotations

import asyncio
import time
from array import array
from datetime import datetime
from typing import cast

import msgspec

from benchmarks.server import Server
from benchmarks.wire import request

TERMINAL = ("run.completed", "run.failed", "run.cancelled", "run.expired")
_KNOWN_MAX = 4096


class _Log(msgspec.Struct):
    at_ns: int | None = None


class _Frame(msgspec.Struct):
    seq: int
    type: str
    created_at: str
    data: msgspec.Raw


class Told(msgspec.Struct, frozen=True):
    """What a frame says: its seq, when its line was written (monotonic ns), when it was committed (µs), the end."""

    seq: int
    at_ns: int | None
    committed_us: int
    terminal: bool


class Reading:
    """What all followers of a process share: each frame's bytes are understood once, since all get the same."""

    def __init__(self) -> None:
        self._known: dict[bytes, list[Told]] = {}
        self._decode = msgspec.json.Decoder(_Frame).decode
        self._data = msgspec.json.Decoder(_Log).decode

    def told(self, chunk: bytes) -> list[Told]:
        """Return what the frames of a chunk say."""
        told = self._known.get(chunk)
        if told is None:
            if len(self._known) > _KNOWN_MAX:
                self._known.clear()
            told = self._known[chunk] = [self._one(frame) for frame in chunk.split(b"\n\n") if frame[:3] == b"id:"]
        return told

    def _one(self, frame: bytes) -> Told:
        read = self._decode(frame[frame.index(b"\ndata: ") + 7 :])
        at_ns = self._data(read.data).at_ns if read.type == "log" else None
        return Told(read.seq, at_ns, _micros(read.created_at), read.type in TERMINAL)


def _micros(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1_000_000)


class Follower(asyncio.Protocol):
    """One stream of one run: every seq once and in order, or `lost` counts what was missed."""

    def __init__(self, reading: Reading, run_id: str) -> None:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.events = 0
        self.lost = 0
        self.from_line_ms = array("d")
        self.from_commit_ms = array("d")
        self._reading = reading
        self._run_id = run_id
        self._seq = 0
        self._parts = b""
        self._begun = False

    @classmethod
    async def to(cls, server: Server, reading: Reading, run_id: str) -> Follower:
        """Follow a run and return once the stream is open."""
        loop = asyncio.get_running_loop()
        _, follower = await loop.create_connection(lambda: cls(reading, run_id), server.host, server.port)
        await follower.opened
        return follower

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(request("GET", f"/v1/runs/{self._run_id}/stream", accept="text/event-stream"))

    def data_received(self, data: bytes) -> None:
        """Cut what came into chunks; nearly always it is exactly one."""
        now_ns, now_us = time.monotonic_ns(), time.time_ns() // 1000
        if self._parts:
            data, self._parts = self._parts + data, b""
        if not self._begun:
            head_end = data.find(b"\r\n\r\n")
            if head_end < 0:
                self._parts = data
                return
            self._begin(data[:head_end])
            data = data[head_end + 4 :]
        start = 0
        while start < len(data):
            line_end = data.find(b"\r\n", start)
            size = int(data[start:line_end], 16) if line_end > 0 else -1
            end = line_end + 2 + size
            if size < 0 or len(data) < end + 2:
                self._parts = data[start:]
                return
            if size == 0:
                self.close()
                return
            self._take(data[line_end + 2 : end], now_ns, now_us)
            start = end + 2

    def _begin(self, head: bytes) -> None:
        self._begun = True
        if head[9:12] == b"200":
            self.opened.set_result(None)
        else:
            self.opened.set_exception(RuntimeError(head.decode("latin-1")))

    def _take(self, chunk: bytes, now_ns: int, now_us: int) -> None:
        for told in self._reading.told(chunk):
            self.lost += abs(told.seq - self._seq - 1)
            self._seq = told.seq
            self.events += 1
            self.from_commit_ms.append((now_us - told.committed_us) / 1000)
            if told.at_ns is not None:
                self.from_line_ms.append((now_ns - told.at_ns) / 1_000_000)
            if told.terminal and not self.ended.done():
                self.ended.set_result(None)

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count a stream that ended before its run as a loss."""
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("the server closed the connection"))
        if not self.ended.done():
            self.lost += 1
            self.ended.set_result(None)
