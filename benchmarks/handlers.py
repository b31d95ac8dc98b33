"""The jobs of the servers under measurement; they note instants in the file that `BENCH_STAMPS` names, if any."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.stamps import Stamps
from runwright import Context, Worker, job
from runwright.clock import SystemClock

STAMPS = Stamps(Path(os.environ["BENCH_STAMPS"])) if "BENCH_STAMPS" in os.environ else None
GO = 0
"""The slot by which a measurement tells a handler to begin."""
STOP, CLAIMED, APPENDED = 1, 2, 3
"""The slots by which writers are told to end, and in which attempts and appended events are counted."""
COUNTED = 3
"""How many slots there are beside `GO` where something is counted."""

LINES = 49
"""Lines that a writer appends before it waits for them."""

_clock = SystemClock()


def note(number: int) -> None:
    """Note that this moment has come."""
    if STAMPS is not None:
        STAMPS.note(number)


@job
async def noop(ctx: Context, payload: dict[str, Any]) -> None:
    """Do nothing: what is measured is everything around it."""


@job
async def stamp(ctx: Context, payload: dict[str, Any]) -> None:
    """Note the moment in which it is entered."""
    note(payload["n"])


@job
async def chatty(ctx: Context, payload: dict[str, Any]) -> None:
    """Write as many log events as the payload says, a durable batch at a time."""
    for number in range(payload["batches"]):
        for line in range(payload["lines"]):
            ctx.log("a line of a job's log, as long as such lines are", batch=number, line=line)
        await ctx.checkpoint({"batch": number})


@job
async def ticker(ctx: Context, payload: dict[str, Any]) -> None:
    """Once told to begin, write a line every so often, each with the instant of its writing."""
    while STAMPS is not None and not STAMPS.at(GO):
        await _clock.sleep(0.02)
    due = time.monotonic() + payload.get("offset_s", 0.0)
    for _ in range(payload["count"]):
        await _clock.sleep(max(due - time.monotonic(), 0))
        ctx.log("a line of a job's log, as long as such lines are", at_ns=time.monotonic_ns())
        due += payload["every_s"]


@job
async def counted(ctx: Context, payload: dict[str, Any]) -> None:
    """Be counted."""
    if STAMPS is not None:
        STAMPS.add(CLAIMED, 1)


@job
async def writer(ctx: Context, payload: dict[str, Any]) -> None:
    """Append batches of events while it is told to, and count them once they are durable."""
    while STAMPS is not None and not STAMPS.at(STOP):
        if not STAMPS.at(GO):
            await _clock.sleep(0.02)
            continue
        for line in range(LINES):
            ctx.log("a line of a job's log, as long as such lines are", line=line)
        await ctx.checkpoint({"at": STAMPS.at(APPENDED)})
        STAMPS.add(APPENDED, LINES + 1)


@job
async def hold(ctx: Context, payload: dict[str, Any]) -> None:
    """Go on until it is stopped."""
    note(payload["n"])
    await asyncio.Event().wait()


@job(retry_strategy="fixed", retry_initial_delay_secs=0, retry_jitter="none")
async def survivor(ctx: Context, payload: dict[str, Any]) -> None:
    """Be in the middle of its work in the first attempt, and note when a later one begins."""
    note(payload["n"] + (0 if ctx.attempt == 1 else payload["of"]))
    if ctx.attempt == 1:
        await asyncio.Event().wait()


worker = Worker([noop, stamp, chatty, ticker, counted, writer, hold, survivor])
