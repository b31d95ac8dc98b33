"""A server process for the crash test: an engine over the data directory named on the command line.

`start` makes 600 runs over 200 slots, lets some finish, says `in flight` and then waits to be killed: 200 handlers are
in the middle of their work at that moment. `finish` opens the same directory and works until nothing is left. Every
execution of a handler is a line in a file that is only appended to, which no crash of the database can take back.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

from runwright import config
from runwright.auth.keyring import Keyring
from runwright.client.context import Context
from runwright.client.handlers import job
from runwright.client.worker import Worker
from runwright.clock import SystemClock
from runwright.domain.accounts import Project
from runwright.domain.job import Job, JobDefinition
from runwright.domain.redaction import Redactor
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.orders import Order
from runwright.executors.python import PythonExecutor
from runwright.store.artifacts import FileArtifacts
from runwright.store.sqlite.store import SqliteStore

MASTER_KEY = "00" * 32
SLOTS = 200
RUNS = 600
ACTOR = Actor(kind="user", id="user_1", org_id="org_1", scopes=frozenset({"admin"}))
PROJECT = Project("proj_1", "org_1", "default", "Default", 1.0, None, 0)


def note(directory: Path, *words: object) -> None:
    """Append a line that is there for good, whatever becomes of this process."""
    descriptor = os.open(directory / "executions.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    os.close(descriptor)


def handlers(directory: Path, hold: bool, in_flight: asyncio.Event) -> Worker:
    """Return the handler: every third run of the first process ends at once, the others stay in the middle."""
    held = 0

    @job
    async def work(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
        nonlocal held
        note(directory, "began", ctx.run_id)
        await ctx.step("first half", lambda: note(directory, "stepped", ctx.run_id))
        ctx.log("half way")
        if hold and payload["n"] % 3:
            held += 1
            if held == SLOTS:
                in_flight.set()
            await asyncio.Event().wait()
        note(directory, "ended", ctx.run_id)
        return {"n": payload["n"]}

    return Worker([work])


async def main(mode: str, directory: Path) -> None:
    """Open the directory, and either fill it and wait for the end, or work off what is there."""
    clock = SystemClock()
    settings = config.load({}, overrides={"data_dir": directory, "slots": SLOTS, "reaper_s": 0.05})
    store = SqliteStore(directory, clock)
    await store.open()
    keyring = await Keyring.unlock(store, MASTER_KEY, None)
    await keyring.ensure("proj_1")
    in_flight = asyncio.Event()
    executor = PythonExecutor([handlers(directory, mode == "start", in_flight)])
    engine = Engine(
        store,
        clock,
        settings,
        sealer=keyring,
        artifacts=FileArtifacts(directory / "artifacts", 1 << 20, SystemClock()),
        redactor=Redactor(),
        executors=[(executor, SLOTS)],
    )
    engine.start()
    if mode == "start":
        await fill(engine, directory)
        await in_flight.wait()
        say("in flight")
        await asyncio.Event().wait()
    while store._read("SELECT 1 FROM run_heads LIMIT 1"):
        await clock.sleep(0.02)
    await engine.drain()
    await store.close()
    say("all ended")


async def fill(engine: Engine, directory: Path) -> None:
    """Make the runs; each is noted once the server has acknowledged it."""
    definition = JobDefinition(name="work", slug="work", retry_strategy="fixed", retry_initial_delay_secs=0.05)
    made = Job(
        job_id="job_1",
        org_id="org_1",
        project_id="proj_1",
        version=1,
        job_version_id="jobv_1",
        definition=definition,
        created_at=0,
        updated_at=0,
    )

    async def one(n: int) -> None:
        order = Order(payload={"n": n})
        answer = await engine.submitter.submit(ACTOR, PROJECT, made, order, request_id=None, trace_id="t" * 32)
        note(directory, "accepted", answer.run_id)

    await asyncio.gather(*(one(n) for n in range(RUNS)))


def say(text: str) -> None:
    """Tell the test how far this process is."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
