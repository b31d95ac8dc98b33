"""What the tests of commands share: a scripted server in a thread of its own, and a way to call a command."""

import asyncio
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runwright.cli.main import main
from tests.client.local_server import Answer, LocalServer, Request, problem, serving
from tests.ports import kept

Respond = Callable[[Request], Answer]


class Script:
    """Answers by method and path; whatever is not there is a 404."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer | Respond] = {}
        self.server: LocalServer

    def on(self, method: str, path: str, answer: Answer | Respond) -> None:
        self.answers[method, path] = answer

    def __call__(self, request: Request) -> Answer:
        answer = self.answers.get((request.method, request.path), problem(404, "runs.not_found", "There is no run."))
        return answer if isinstance(answer, Answer) else answer(request)

    @property
    def requests(self) -> list[Request]:
        return self.server.requests


@pytest.fixture
def script() -> Iterator[Script]:
    """Serve a script on a free port."""
    script, ready, stop = Script(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving(script) as script.server:
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    ready.wait()
    yield script
    stop.set()
    thread.join()


@pytest.fixture
def kept_port() -> Iterator[int]:
    """Yield a port for a server that is started again and again."""
    with kept() as port:
        yield port


class Ended(msgspec.Struct):
    """How a command ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return msgspec.json.decode(self.out)

    def lines(self) -> list[Any]:
        return [msgspec.json.decode(line) for line in self.out.splitlines()]


Call = Callable[..., Ended]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Call a command as the shell would, with a data directory of its own and no settings from outside."""
    for name in [name for name in os.environ if re.match("RUNWRIGHT_(?!TEST_)", name)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RUNWRIGHT_DATA_DIR", str(tmp_path / "data"))

    def call(*tokens: str) -> Ended:
        capsys.readouterr()
        code = main(tokens)
        told = capsys.readouterr()
        return Ended(code, told.out, told.err)

    return call


@pytest.fixture
def call_server(call: Call, script: Script) -> Call:
    """Call a command against the scripted server."""
    return lambda *tokens: call(*tokens, "--url", script.server.url, "--api-key", "rw_key")
