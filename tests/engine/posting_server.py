"""A server process for the crash test of webhooks: an engine over the data directory named on the command line.

`start` subscribes the address that is named next and ends runs, one after the other, until it is killed. `finish` opens
the same directory a minute later by its clock, and sends what was not sent.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from runwright import config
from runwright.auth.keyring import Keyring
from runwright.clock import SystemClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.job import Job, JobDefinition
from runwright.domain.lane import queue_key
from runwright.domain.redaction import Redactor
from runwright.engine.engine import Engine
from runwright.engine.orders import Order
from runwright.engine.requests import Take
from runwright.executors.courier import DispatchingCourier
from runwright.executors.dispatch import Bounds, Dispatcher
from runwright.store.artifacts import FileArtifacts
from runwright.store.sqlite.store import SqliteStore
from tests.engine.crash_server import ACTOR, MASTER_KEY, PROJECT, say

MINUTE_US = 60_000_000


class Later(SystemClock):
    """What a clock shows when a process is started a minute after the one before it."""

    def now(self) -> int:
        return super().now() + MINUTE_US


async def main(mode: str, directory: Path, url: str) -> None:
    """Open the directory, and either end runs for ever, or send what is left."""
    clock = SystemClock() if mode == "start" else Later()
    given = {"data_dir": directory, "allow_private_endpoints": True, "outbox_s": 0.02, "webhook_poll_s": 0.02}
    store = SqliteStore(directory, clock)
    await store.open()
    keyring = await Keyring.unlock(store, MASTER_KEY, None)
    await keyring.ensure(PROJECT.project_id)
    dispatcher = Dispatcher(clock, Bounds(), allow_private=True)
    engine = Engine(
        store,
        clock,
        config.load({}, overrides=given),
        sealer=keyring,
        artifacts=FileArtifacts(directory / "artifacts", 1 << 20, clock),
        redactor=Redactor(),
        courier=DispatchingCourier(dispatcher, clock),
    )
    engine.start()
    if mode == "start":
        await engine.webhooks.subscriptions.create(ACTOR, PROJECT, {"url": url})
        while True:
            await end_one(engine)
    while store._read("SELECT 1 FROM outbox LIMIT 1") or store._read(
        "SELECT 1 FROM webhook_deliveries WHERE outcome = 'pending' LIMIT 1"
    ):
        await clock.sleep(0.02)
    await engine.drain()
    await dispatcher.close()
    await store.close()
    say("all sent")


async def end_one(engine: Engine) -> None:
    """Make a run and end it."""
    definition = JobDefinition(name="work", slug="work")
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
    await engine.submitter.submit(ACTOR, PROJECT, made, Order(), request_id=None, trace_id="t" * 32)
    lanes = tuple(await engine.store.lanes(queue_key("org_1", "default")))
    for run in await engine.commit.apply(Take(lanes, 1, "wrk-1")):
        await engine.commit.apply(c.Finish(run.run_id, run.lease_epoch, o.Completed(), 0.5))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
