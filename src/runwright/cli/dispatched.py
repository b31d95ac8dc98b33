"""The second sample of `runwright up`: a job behind an HTTP endpoint on this machine, and where its time went."""

import asyncio
import importlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from runwright.cli import printing
from runwright.cli.watching import Screen, exit_code
from runwright.client.api import AsyncClient
from runwright.client.errors import ApiError
from runwright.client.models import Attempt, Run

JOB = "count-words-over-http"
MODULE = "examples.count_words"
Application = Callable[[Any, Any, Any], Awaitable[None]]


async def sample(client: AsyncClient, root: Path) -> int:
    """Dispatch one run to an endpoint of this process, signed, and tell each phase; return the exit code."""
    printing.say()
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    try:
        job = await client.jobs.put(JOB, execution_mode="http", endpoint_url=url, timeout_secs=30)
    except ApiError as refused:
        listener.close()
        printing.note(f"no run over HTTP: {refused.message}")
        return 0
    secret = (await client.jobs.rotate_secret(job.id)).signing_secret
    async with _serving(importlib.import_module(MODULE).endpoint(secret), listener):
        text = (root / "README.md").read_text("utf-8", "replace")
        run = await client.jobs.trigger(job.id, {"text": text})
        printing.say(f"triggered {JOB}: {run.id}, dispatched to {url}")
        with Screen() as screen:
            async for event in client.runs.stream(run.id):
                screen.show(event)
    ended = await client.runs.get(run.id)
    _tell(ended, (await client.runs.attempts(run.id).all())[-1])
    return exit_code(ended)


@asynccontextmanager
async def _serving(application: Application, listener: socket.socket) -> AsyncIterator[None]:
    config = uvicorn.Config(application, lifespan="off", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve([listener]))  # noqa: SLF001 - `serve` would take the signals of `up`
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _tell(run: Run, attempt: Attempt) -> None:
    trace = attempt.raw.get("trace") or {}
    phases = ("dns_us", "tcp_us", "tls_us", "ttfb_us", "transfer_us")
    rows = [(name.removesuffix("_us"), f"{trace[name]} µs") for name in phases if name in trace]
    printing.say()
    printing.table(("where the time went", ""), [("status", run.status), ("answered", trace.get("status")), *rows])
    if run.result is not None:
        printing.say()
        printing.detail((f"result {name}", value) for name, value in run.result.items())
    if run.error:
        printing.fail(f"{run.error_class}: {run.error}")
