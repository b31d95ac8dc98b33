"""Artifacts through both clients: in pieces, whatever they come from, and over cuts; and through the commands."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Iterator

import pytest

from runwright import config
from runwright.client.api import AsyncClient
from runwright.client.artifacts import PIECE_BYTES, Source
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ServerUnreachable, UnexpectedAnswer
from runwright.client.sync.api import Client
from runwright.serving import Running, running
from tests.client.local_server import Answer, Request, json_answer, problem, serving

DATA = bytes(range(251)) * 3000
DIGEST = hashlib.sha256(DATA).hexdigest()
AT_ONCE = Backoff(attempts=3, initial_s=0, max_s=0)


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    settings = config.load({}, overrides={"data_dir": tmp_path_factory.mktemp("served"), "port": 0})
    async with running(settings) as served:
        yield served


class OneWay(io.RawIOBase):
    """A pipe: it cannot go back."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)


def in_pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


async def test_bytes_files_pipes_and_pieces_go_up_and_come_back(server: Running):
    async with AsyncClient(server.url, server.api_key) as client:
        sources: list[Source] = [DATA, io.BytesIO(DATA), OneWay(DATA), in_pieces(DATA)]
        assert [(await client.artifacts.upload(each)).digest for each in sources] == [DIGEST] * 4
        pieces = [piece async for piece in client.artifacts.download(DIGEST)]
        assert (b"".join(pieces), max(map(len, pieces)) <= PIECE_BYTES) == (DATA, True)
        part = [piece async for piece in client.artifacts.download(DIGEST, start=7, stop=99)]
        assert b"".join(part) == DATA[7:99]
        with pytest.raises(ApiError) as refused:
            await anext(aiter(client.artifacts.download("0" * 64)))
        assert refused.value.code == "artifacts.not_found"


async def test_the_blocking_client_does_the_same(server: Running):
    def whole() -> None:
        with Client(server.url, server.api_key) as client:
            for source in (DATA, io.BytesIO(DATA), OneWay(DATA), in_pieces(DATA)):
                assert client.artifacts.upload(source).digest == DIGEST
            assert b"".join(client.artifacts.download(DIGEST)) == DATA

    await asyncio.to_thread(whole)


async def test_a_download_that_is_cut_goes_on_where_it_was():
    def respond(request: Request) -> Answer:
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        part = DATA[start : start + PIECE_BYTES + 1]
        end = start + len(part) == len(DATA)
        return Answer(206 if start else 200, part, cut=not end)

    async with serving(respond) as local, AsyncClient(local.url, backoff=AT_ONCE) as client:
        assert b"".join([piece async for piece in client.artifacts.download(DIGEST)]) == DATA
        assert len(local.requests) > 2


async def test_other_bytes_than_the_digest_says_are_an_error():
    async with serving(lambda _: Answer(200, b"other")) as local, AsyncClient(local.url) as client:
        with pytest.raises(UnexpectedAnswer, match=DIGEST):
            assert [piece async for piece in client.artifacts.download(DIGEST)] == [b"other"]


async def test_a_file_is_sent_again_from_its_begin_and_pieces_never():
    answers = [problem(503, "server.overloaded"), json_answer({"digest": DIGEST, "size": len(DATA)}, 201)]
    async with serving(lambda _: answers.pop(0)) as local, AsyncClient(local.url, backoff=AT_ONCE) as client:
        file = io.BytesIO(b"before" + DATA)
        file.seek(6)
        await client.artifacts.upload(file)
        assert [request.body for request in local.requests] == [DATA, DATA]
        answers[:] = [problem(429, "limits.rate"), json_answer({}, 201)]
        with pytest.raises(ApiError):
            await client.artifacts.upload(in_pieces(DATA))
        assert len(answers) == 1, "half of the pieces would be other bytes"


async def test_a_server_that_is_away_is_an_error_in_the_end():
    async with (
        serving(lambda _: Answer(200, b"{", cut=True)) as local,
        AsyncClient(local.url, backoff=AT_ONCE) as client,
    ):
        with pytest.raises(ServerUnreachable):
            await anext(aiter(client.artifacts.download(DIGEST)))
        assert len(local.requests) == AT_ONCE.attempts
