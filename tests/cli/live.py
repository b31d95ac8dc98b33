"""A real server as a process of its own, as a user starts it."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).parents[2]

JOBS = '''
"""Jobs for tests of a served worker."""

import asyncio
from pathlib import Path

from runwright import Context, SyncContext, Worker, job


@job
async def hold(ctx: Context, payload: dict) -> dict:
    """Run a step, then go on until it is stopped or let go by a file."""
    first = await ctx.step("first", lambda: {"lease_epoch": ctx.lease_epoch})
    ctx.log("holding")
    while not Path(payload["until"]).exists():
        await asyncio.sleep(0.01)
    return first


@job
def add(ctx: SyncContext, payload: dict) -> dict:
    """Add two numbers, in a thread."""
    ctx.progress(50, "half")
    total = ctx.step("add", lambda: payload["a"] + payload["b"])
    ctx.output("total", {"total": total})
    return {"total": total}


@job(max_attempts=2, retry_initial_delay_secs=0)
async def nap(ctx: Context) -> dict:
    """Sleep for a moment, holding no worker meanwhile."""
    await ctx.sleep(0.05)
    return {"lease_epoch": ctx.lease_epoch}


@job
async def not_json(ctx: Context) -> object:
    """Return something that is not JSON."""
    return {1, 2}


@job(max_attempts=3, retry_initial_delay_secs=0)
async def pay(ctx: Context) -> None:
    """Break in the middle of an effect that must not be repeated."""

    def charge() -> None:
        raise ConnectionError("cut")

    await ctx.step("charge", charge, effect="unsafe")


app = Worker([hold, add, nap, not_json, pay])
'''


def environment(data_dir: Path) -> dict[str, str]:
    """Return this environment without settings, but for the data directory."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RUNWRIGHT_")}
    return {**kept, "RUNWRIGHT_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1"}


def command(*tokens: str, data_dir: Path, cwd: Path = REPOSITORY) -> "subprocess.Popen[str]":
    """Start a command; its output can be read while it runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "runwright", *tokens],
        cwd=cwd,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@contextlib.contextmanager
def server(data_dir: Path, jobs_dir: Path, *tokens: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Serve the jobs above until the block ends; yields the process and its address."""
    (jobs_dir / "live_jobs.py").write_text(JOBS)
    process = command("serve", "--worker", "live_jobs:app", *tokens, data_dir=data_dir, cwd=jobs_dir)
    try:
        yield process, ready(process)
    finally:
        end(process, signal.SIGTERM)


def ready(process: "subprocess.Popen[str]") -> str:
    """Return the address that the server prints when it accepts requests."""
    line = until(process.stdout, "ready ")
    if line is None:
        raise AssertionError(f"the server did not start: {process.communicate()[1]}")
    return line.split()[1]


def until(lines: IO[str] | None, start: str) -> str | None:
    """Read lines to the first that begins so, and return it; None at the end of them."""
    return next((line for line in lines or () if line.startswith(start)), None)


def end(process: "subprocess.Popen[str]", number: signal.Signals) -> int:
    """Send a signal, unless it has ended, and return what it exits with."""
    if process.poll() is None:
        process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode
