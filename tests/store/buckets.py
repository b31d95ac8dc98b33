"""A bucket to store artifacts in: a server that speaks S3, and before it one that does what bad networks do.

The server is moto's, over real HTTP. What goes wrong on the way is done by a relay between it and the client: it can
answer in the server's place, wait, cut a body, or change its bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from runwright.domain.instants import DAY_US
from runwright.store.bucket_terms import BucketTerms
from tests.listening import listening

KEY, SECRET = "AKIATESTTESTTEST", "a-secret-of-the-bucket"


class S3:
    """A server that speaks S3."""

    def __init__(self) -> None:
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        host, self.port = self._server.get_host_and_port()
        self.url = f"http://{host}:{self.port}"
        self.client: Any = boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            config=Config(s3={"addressing_style": "path"}),
        )

    def make(self, bucket: str) -> None:
        """Make an empty bucket."""
        self.client.create_bucket(Bucket=bucket)

    def keys(self, bucket: str) -> list[str]:
        """Return the keys in a bucket."""
        return [each["Key"] for each in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    def replace(self, bucket: str, key: str, data: bytes) -> None:
        """Write other bytes under a key."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def head(self, bucket: str, key: str) -> dict[str, Any]:
        """Return what the server knows of an object."""
        found: dict[str, Any] = self.client.head_object(Bucket=bucket, Key=key)
        return found

    def stop(self) -> None:
        """Stop it."""
        self.client.close()
        self._server.stop()


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """Run a server that speaks S3."""
    server = S3()
    try:
        yield server
    finally:
        server.stop()


def terms(url: str, bucket: str, **changes: Any) -> BucketTerms:
    """Return how a bucket is reached, quickly tired of it."""
    usual: dict[str, Any] = {
        "bucket": bucket,
        "prefix": "",
        "endpoint": url,
        "region": "us-east-1",
        "access_key_id": KEY,
        "secret_access_key": SECRET,
        "path_style": True,
        "certificates": None,
        "encryption": None,
        "kms_key_id": None,
        "connect_s": 2.0,
        "request_s": 10.0,
        "retries": 2,
        "retry_s": 5.0,
        "orphan_us": DAY_US,
    }
    return BucketTerms(**usual | changes)


Answer = Callable[[bytes, bytes], bytes | None]
"""What a relay makes of a request's head and an answer; None: it says nothing, and holds the connection."""


class Relay:
    """A server before another, which changes the first `times` answers to requests that begin with a `verb`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._answer: Answer = lambda head, answer: answer
        self._verb = b"-"
        self._times = 0
        self._left = threading.Event()
        self.seen: list[bytes] = []
        self.url = ""

    def play(self, verb: str, answer: Answer, times: int = 1000) -> None:
        """Change answers from now on."""
        self._verb, self._answer, self._times = verb.encode(), answer, times

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        """Relay while the block runs."""
        self._held: list[asyncio.StreamWriter] = []
        async with listening(self._serve) as port:
            self.url = f"http://127.0.0.1:{port}"
            yield self
        for writer in self._held:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._held.append(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.seen.append(head.split(b"\r\n", 1)[0])
            body = await reader.readexactly(_length(head))
            changed = head.startswith(self._verb) and self._times > 0
            self._times -= changed
            answer: bytes | None = await self._ask(head, body)
            assert answer is not None
            if changed:
                answer = self._answer(head, answer)
            if answer is None:
                return  # and the connection stays open
            writer.write(answer)
            await writer.drain()
            writer.close()

    async def _ask(self, head: bytes, body: bytes) -> bytes:
        lines = [line for line in head[:-4].split(b"\r\n") if not line.lower().startswith(b"connection:")]
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        await writer.drain()
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        return answer


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def status(code: int, body: bytes = b"") -> Answer:
    """Answer with a status in the server's place."""
    head = f"HTTP/1.1 {code} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda request, answer: head.encode() + body


def cut(request: bytes, answer: bytes) -> bytes:
    """Lose the last bytes of an answer."""
    return answer[:-10]


def changed(request: bytes, answer: bytes) -> bytes:
    """Turn over the last byte of an answer."""
    return answer[:-1] + bytes([answer[-1] ^ 1])


def silent(request: bytes, answer: bytes) -> None:
    """Say nothing."""
