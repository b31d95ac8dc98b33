"""Serve until told to stop: the door of the house, signals, and a process that ends when all is handed over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from runwright.api import health
from runwright.api.server import announce
from runwright.api.server import run as run_main
from runwright.api.server import serve as serve_http
from runwright.app import House, open_house
from runwright.auth.secret_files import write_credentials
from runwright.config import Settings
from runwright.telemetry import report


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts requests."""

    url: str
    api_key: str | None
    house: House


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    """Serve in this process and yield once requests are accepted; leaving drains and stops."""
    async with open_house(settings) as house:
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        stop = asyncio.Event()
        serving = asyncio.create_task(_serve(house, settings, stop, ready))
        waiting = asyncio.create_task(_url(ready))
        try:
            done, _ = await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if serving in done:
                await serving
            yield Running(await waiting, house.api_key, house)
        finally:
            stop.set()
            await serving


async def _url(ready: asyncio.Future[str]) -> str:
    return await ready


async def _serve(house: House, settings: Settings, stop: asyncio.Event, ready: asyncio.Future[str] | None) -> None:
    draining: list[asyncio.Task[int]] = []

    def on_ready(url: str) -> None:
        write_credentials(settings.data_dir, url, house.api_key if house.key_made else None)
        if house.processes is not None:
            house.processes.api_url = settings.process_api_url or url
        report("process.ready", url=url, version=health.VERSION, data_dir=str(settings.data_dir))
        if ready is not None:
            ready.set_result(url)
        else:
            announce(url)

    def on_drain() -> None:
        report("process.draining", streams=house.services.streams.count)
        house.services.streams.drain()
        draining.append(asyncio.create_task(house.services.engine.drain_workers()))

    await serve_http(house.app, settings, on_drain, on_ready=on_ready, stop=stop)
    if draining:
        await asyncio.wait(draining)


async def _serve_until_told(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The HTTP server listens to signals only while it serves: one that comes while the house is opened, or while its
    # attempts are handed over, would otherwise end the process in the middle.
    signal.signal(signal.SIGTERM, lambda *_: None if loop.is_closed() else loop.call_soon_threadsafe(stop.set))
    async with open_house(settings) as house:
        if house.key_made:
            sys.stderr.write(f"admin API key, shown this once and kept in the data directory: {house.api_key}\n")
        await _serve(house, settings, stop, None)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, print `ready http://HOST:PORT` when requests are accepted, and return 0.

    A handler's thread that does not end does not keep the process: its run was handed back.
    """
    run_main(_serve_until_told(settings))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all is done: what remains is the interpreter's own end
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
    if _has_stuck_threads():
        os._exit(0)
    return 0


def _has_stuck_threads() -> bool:
    return any(thread.name.startswith("runwright-handler") for thread in threading.enumerate())
