"""The system under measurement: a whole server without its door, on a fresh data directory."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.handlers import chatty, noop
from runwright import Context, Worker, job
from runwright.app import House, open_house
from runwright.config import load
from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.tenancy import Actor
from runwright.engine.orders import Order
from runwright.engine.requests import Submitted

TRACE_ID = "0" * 31 + "1"


BEGUN: dict[str, float] = {}
"""When the handler of a run was entered, for the job `stamp`; the server and the measurement share the process."""


@job
async def stamp(ctx: Context, payload: dict[str, Any]) -> None:
    """Note the moment in which it is entered."""
    BEGUN[ctx.run_id] = time.perf_counter()


worker = Worker([noop, stamp, chatty])


@dataclass(frozen=True)
class Rig:
    """A running engine and what is needed to give it orders."""

    house: House
    actor: Actor
    project: Project
    jobs: dict[str, Job]

    async def submit(self, name: str, payload: dict[str, Any]) -> Submitted:
        """Submit one run and return once it is durable."""
        engine = self.house.services.engine
        return await engine.submitter.submit(
            self.actor, self.project, self.jobs[name], Order(payload=payload), request_id=None, trace_id=TRACE_ID
        )


@asynccontextmanager
async def rig(slots: int, **settings_given: Any) -> AsyncIterator[Rig]:
    """Open a server on a new data directory and remove the directory afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="runwright-bench-"))
    settings = load(
        {},
        overrides={
            "data_dir": directory,
            "slots": slots,
            "worker": ("benchmarks.rig:worker",),
            "log_level": "error",
            **settings_given,
        },
    )
    try:
        async with open_house(settings) as house:
            services = house.services
            assert house.api_key is not None
            actor = await services.authenticator.authenticate(house.api_key)
            project = await services.tenants.resolve_project(actor, None)
            find = services.jobs.directory.find
            yield Rig(house, actor, project, {name: await find(actor, name, project) for name in worker.handlers})
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        sys.stdout.flush()
