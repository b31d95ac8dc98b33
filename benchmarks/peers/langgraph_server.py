"""`langgraph-api` with its in-memory runtime, as a process in an environment of its own: it asks for no licence."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.peers.environment import environment, versions
from benchmarks.spoken import Marks, Took, spoken
from benchmarks.wire import Connection
from tests.ports import kept

PATIENCE_S = 60.0
MARKS = Marks(first=b"token0 ", last=b"\r\n0\r\n\r\n", failed=b"event: error")
GRAPH = Path(__file__).with_name("langgraph_graph.py")


@contextmanager
def serving(model_port: int) -> Iterator[tuple[int, str]]:
    """Serve a graph that asks the model; yield the port and the versions. Raises `RuntimeError` if it does not start.

    Nothing is sent anywhere, nothing is logged below a warning, and as many runs are worked at as are asked for.
    """
    python = environment("langgraph")
    version = f"langgraph-api {versions(python, ('langgraph-api', 'langgraph-runtime-inmem'))}"
    env = {
        **os.environ,
        "BENCH_MODEL": f"http://127.0.0.1:{model_port}/v1/chat/completions",
        "LANGGRAPH_NO_VERSION_CHECK": "true",
        "LANGGRAPH_CLI_NO_ANALYTICS": "1",
        "LANGSMITH_TRACING": "false",
        "LOG_LEVEL": "WARNING",
    }
    made = tempfile.TemporaryDirectory(prefix="runwright-peer-", ignore_cleanup_errors=True)
    with made as directory, kept() as port:
        log = Path(directory) / "log"
        with log.open("wb") as said:
            words = [str(python), str(GRAPH), str(port)]
            process = subprocess.Popen(words, cwd=directory, env=env, stdout=said, stderr=said)
        try:
            _wait(process, port, log)
            yield port, version
        finally:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    late = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < late:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"http://127.0.0.1:{port}/ok"):
            return
    raise RuntimeError(f"langgraph-api did not start: {log.read_text(errors='replace')[-500:]}")


async def run(port: int, said: str) -> Took:
    """Make a thread, and stream a run of it."""
    line = await Connection.at("127.0.0.1", port)
    thread = json.loads(await line.ask(_posted("/threads", {})))["thread_id"]
    line.close()
    asked = {
        "assistant_id": "agent",
        "input": {"messages": [{"role": "user", "content": said}]},
        "stream_mode": ["custom"],
    }
    return await spoken(port, _posted(f"/threads/{thread}/runs/stream", asked), MARKS)


def _posted(path: str, body: object) -> bytes:
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: peer\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data
