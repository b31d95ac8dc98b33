"""A server process for the crash test of parking: an engine over the database that the command line names.

`before` and `after` begin three runs, which park (for an event that was sent before, for one that will be, for a
moment), and kill this very process in the transaction of a parking: with all of it written and nothing committed, or
committed and nobody told. `finish` works on until nothing is left, once it has sent the event that is missing.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from runwright import config
from runwright.auth.keyring import Keyring
from runwright.client.context import Context
from runwright.client.handlers import job
from runwright.client.worker import Worker
from runwright.clock import SystemClock
from runwright.domain.job import Job, JobDefinition
from runwright.domain.redaction import Redactor
from runwright.engine.engine import Engine
from runwright.engine.orders import Order
from runwright.engine.signals import Sending
from runwright.executors.python import PythonExecutor
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import Store, Transaction
from runwright.store.postgres.store import PostgresStore
from runwright.store.sqlite.store import SqliteStore
from tests.engine.crash_server import ACTOR, PROJECT, note, say
from tests.engine.world import MASTER_KEY

KINDS = ("kept", "later", "timer")
LEASE_S = 1.0


class Deadly:
    """A store that ends the process in the first transaction that takes a run from those which execute it."""

    def __init__(self, store: Store, when: str) -> None:
        self._store = store
        self._when = when
        self.begun: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        parked = False

        async def watched(tx: Transaction) -> Any:
            nonlocal parked
            result = await work(tx)
            states = [run.state for run in (await tx.runs(sorted(self.begun), {})).values()]
            parked = any(state != "executing" for state in states)
            if parked and self._when == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        written = await self._store.write(watched)
        if parked:
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def handlers(directory: Path, begun: set[str]) -> Worker:
    """Return the handler, which waits in one of the ways; no run parks before all have begun."""
    all_begun = asyncio.Event()

    @job
    async def work(ctx: Context, payload: dict[str, Any]) -> dict[str, Any]:
        note(directory, "began", payload["kind"])
        begun.add(ctx.run_id)
        if len(begun) == len(KINDS) or ctx.lease_epoch > 1:
            all_begun.set()
        await all_begun.wait()
        if payload["kind"] == "timer":
            await ctx.sleep(0.1)
            got: dict[str, Any] = {}
        else:
            got = await ctx.wait_for_event(payload["kind"])
        note(directory, "got", payload["kind"])
        return got

    return Worker([work])


async def main(mode: str, directory: Path, url: str) -> None:
    """Open the database, and either park and die, or work off what is there."""
    clock, postgres = SystemClock(), url != "sqlite"
    given: dict[str, Any] = {"lease_s": LEASE_S, "heartbeat_s": 0.2, "reaper_s": 0.05}
    store: Any = PostgresStore(url, clock) if postgres else SqliteStore(directory, clock)
    if mode != "finish":
        store = Deadly(store, mode)
    await store.open()
    keyring = await Keyring.unlock(store, MASTER_KEY, None)
    await keyring.ensure(PROJECT.project_id)
    executor = PythonExecutor([handlers(directory, store.begun if mode != "finish" else set())])
    engine = Engine(
        store,
        clock,
        config.load({}, overrides={"data_dir": directory, **given}),
        sealer=keyring,
        artifacts=FileArtifacts(directory / "artifacts", 1 << 20, clock),
        redactor=Redactor(),
        executors=[(executor, len(KINDS))],
    )
    engine.start()
    if mode != "finish":
        await send(engine, "kept")
        for kind in KINDS:
            await submit(engine, kind)
        await asyncio.Event().wait()
    await send(engine, "later")
    while await live(store, directory):
        await clock.sleep(0.02)
    await engine.drain()
    await store.close()
    say("all ended")


async def live(store: Store, directory: Path) -> bool:
    """Tell whether a run has not ended yet."""
    run_ids = (directory / "accepted.txt").read_text().split()
    found = [await store.record(run_id) for run_id in run_ids]
    return not all(record is not None and record.run.terminal for record in found)


async def send(engine: Engine, key: str) -> None:
    """Send an event."""
    sending = Sending(event_key=key, payload={"key": key}, trace_id="t" * 32)
    await engine.relations.signals.send(ACTOR, PROJECT, sending)


async def submit(engine: Engine, kind: str) -> None:
    """Make a run, and note it once the server has acknowledged it."""
    made = Job(
        job_id="job_1",
        org_id=PROJECT.org_id,
        project_id=PROJECT.project_id,
        version=1,
        job_version_id="jobv_1",
        definition=JobDefinition(name="work", slug="work", retry_strategy="fixed", retry_initial_delay_secs=0.05),
        created_at=0,
        updated_at=0,
    )
    order = Order(payload={"kind": kind})
    answer = await engine.submitter.submit(ACTOR, PROJECT, made, order, request_id=None, trace_id="t" * 32)
    with (directory_of(engine) / "accepted.txt").open("a") as file:
        file.write(f"{answer.run_id}\n")


def directory_of(engine: Engine) -> Path:
    """Return where the process keeps its notes."""
    return engine.settings.data_dir


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
