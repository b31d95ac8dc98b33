"""`runwright up`: one command that shows everything: serve, show the samples live, go on serving."""

import asyncio
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import uvloop

import runwright
from runwright import serving
from runwright.cli import dispatched, printing, spoken, stepped
from runwright.cli.exits import INTERRUPTED, OK, CommandError
from runwright.cli.watching import Screen, exit_code
from runwright.client.api import AsyncClient
from runwright.client.models import Run
from runwright.config import PREFIX, Settings, load

SAMPLE = "index-repository"
WORKERS = ("examples.index_repository:app", "examples.hello:app")
HERE = frozenset({"127.0.0.1", "::1", "localhost"})


def up(
    *,
    exit: bool = False,
    host: str | None = None,
    port: int | None = None,
    data_dir: Path | None = None,
    config: Path | None = None,
) -> int:
    """Serve, show the samples live in the terminal, two jobs over this repository, a runtime
    run and an agent, and go on serving.

    Example: `runwright up --exit`

    Parameters
    ----------
    exit
        Stop after the samples; exits with 0 if they completed.
    host
        Address to listen on; default 127.0.0.1.
    port
        Port to listen on; default 8080, or a free one if that is taken.
    data_dir
        Directory of the database, artifacts and keys.
    config
        TOML file of settings.
    """
    root = repository()
    overrides: dict[str, Any] = {"host": host, "port": port, "data_dir": data_dir, "worker": WORKERS}
    if f"{PREFIX}LOG_LEVEL" not in os.environ:
        overrides["log_level"] = "warning"  # the runs speak for themselves
    settings = load(os.environ, config, overrides)
    if settings.host in HERE:  # nobody else can make jobs here: the sample's endpoint may lie on this machine
        overrides["allow_private_endpoints"] = True
        settings = load(os.environ, config, overrides)
    if port is None and not _is_free(settings.host, settings.port):
        printing.note(f"port {settings.port} is taken; taking a free one")
        settings = load(os.environ, config, {**overrides, "port": 0})
    sys.path.insert(0, str(root))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_up(settings, root, stay=not exit))


def repository() -> Path:
    """Return the clone that holds the sample job: around the current directory, or around this package."""
    for place in (Path.cwd(), Path(runwright.__file__).resolve().parents[2]):
        if (place / "examples" / "index_repository.py").is_file():
            return place
    raise CommandError(
        "The sample job is not here: it comes with the repository, not with the package.",
        "Run `runwright up` in a clone, or serve your own handlers: `runwright serve --worker module:app`.",
    )


async def _up(settings: Settings, root: Path, *, stay: bool) -> int:
    stop = _signals()
    async with serving.running(settings) as server, AsyncClient(server.url, server.api_key) as client:
        printing.say(f"serving on {server.url}")
        code = await _until(stop, _samples(client, root, agents=settings.agent_slots > 0))
        if code is None:
            return INTERRUPTED
        if not stay:
            return code
        printing.say()
        printing.detail([("url", server.url), ("docs", f"{server.url}/docs"), ("key", server.api_key)])
        printing.say("serving until Ctrl-C")
        await stop.wait()
    return OK


async def _samples(client: AsyncClient, root: Path, *, agents: bool) -> int:
    code = await _sample(client, root) or await dispatched.sample(client, root) or await stepped.sample(client)
    if not agents:
        printing.note(f"no agent run: {PREFIX}AGENT_SLOTS is 0")
        return code
    return code or await spoken.sample(client)


async def _sample(client: AsyncClient, root: Path) -> int:
    run = await client.jobs.trigger(SAMPLE, {"root": str(root), "fail_once": True})
    printing.say(f"triggered {SAMPLE}: {run.id}")
    with Screen() as screen:
        async for event in client.runs.stream(run.id):
            screen.show(event)
    ended = await client.runs.get(run.id)
    await _tell(client, ended)
    return exit_code(ended)


async def _tell(client: AsyncClient, run: Run) -> None:
    """Print the result, and a short table of what happened."""
    events = await client.runs.events(run.id, limit=500).all()
    types = Counter(event.type for event in events)
    steps = [event.data for event in events if event.type == "step.completed" and isinstance(event.data, dict)]
    reused = sum(1 for data in steps if data.get("reused"))
    failures = [event.data for event in events if event.type == "run.retrying" and isinstance(event.data, dict)]
    took_ms = (run.finished_at - run.created_at).total_seconds() * 1000 if run.finished_at and run.created_at else None
    printing.say()
    printing.table(
        ("what happened", ""),
        [
            ("status", run.status),
            ("attempts", run.attempt),
            *(("failed on the way", f"{data.get('error_class')}: {data.get('error')}") for data in failures),
            ("steps run", len(steps) - reused),
            ("steps kept from an earlier attempt", reused),
            ("checkpoints", types["checkpoint.saved"]),
            ("outputs", types["output.saved"]),
            ("events", len(events)),
            ("took", printing.duration(took_ms)),
        ],
    )
    if run.result is not None:
        printing.say()
        printing.detail((f"result {name}", value) for name, value in _facts(run.result))
    if run.error:
        printing.fail(f"{run.error_class}: {run.error}")


def _facts(result: Any) -> list[tuple[str, Any]]:
    return list(result.items()) if isinstance(result, dict) else [("", result)]


def _signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _until(stop: asyncio.Event, work: Awaitable[int]) -> int | None:
    """Return what the work returns; None where a signal came first."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        return working.result()
    working.cancel()
    await asyncio.wait((working,))
    return None


def _is_free(host: str, port: int) -> bool:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, port), family=family):
            return True
    except OSError:
        return False
