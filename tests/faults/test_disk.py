"""Disks that fail at any call under a working engine: it refuses clearly, loses nothing, and goes on by itself."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from runwright.clock import FrozenClock
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.run import Run
from runwright.engine.requests import Submitted
from runwright.errors import Error, StoreError
from runwright.store.sqlite.connection import connect
from tests.domain.specimens import log_line
from tests.engine.world import World, failed, settled
from tests.faults.disk import HARMS, Disk, Fault, drive

# A connection that is closed over a broken disk tells its failures to the interpreter's hook, having nobody else.
pytestmark = pytest.mark.filterwarnings("ignore:Exception ignored in. None:pytest.PytestUnraisableExceptionWarning")

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
DAMAGED = ("malformed", "file is not a database")
"""How SQLite calls a file of which a disk reads less than there is; the second at the first page, by who reopens it."""
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "crowd", "take", "append", "finish", "fail", "stop", "read"]), st.integers(0, 50)
    ),
    min_size=6,
    max_size=40 if SOAK else 25,
)
FAULTS = st.sampled_from([(operation, harm) for operation, harms in HARMS.items() for harm in harms]).flatmap(
    lambda kind: st.builds(
        Fault,
        st.just(kind[0]),
        st.just(kind[1]),
        st.integers(1, 150 if kind[0] == "write" else 30),
        st.booleans(),
        st.sampled_from(["", "", "-wal", ".db"]),
    )
)


class Chapter(NamedTuple):
    """A part of a story: some work, a fault that may strike in it, and how it ends."""

    fault: Fault
    steps: list[tuple[str, int]]
    ending: str


CHAPTERS = st.lists(
    st.builds(Chapter, FAULTS, STEPS, st.sampled_from(["heal", "heal", "kill", "power"])), min_size=1, max_size=3
)


class Story:
    """A workload on an engine over a faulty disk, and what its callers were told."""

    def __init__(self, disk: Disk, directory: Path) -> None:
        self.disk = disk
        self.clock = FrozenClock()
        self.world = World(directory, self.clock, (), lease_s=30)
        self.told: dict[str, Run] = {}
        self.refusals: list[StoreError] = []

    async def open(self) -> None:
        """Open the world, as a new process would."""
        self.world = await World(self.world.directory, self.clock, ()).open()

    async def go(self, steps: list[tuple[str, int]]) -> None:
        """Take the steps one after the other, until the power fails."""
        for verb, which in steps:
            if self.disk.dead:
                return
            self.clock.advance(0.001)
            await self.step(verb, which)

    async def step(self, verb: str, which: int) -> None:
        """Take one step; what it answers is remembered, what is refused must have changed nothing."""
        live = [run for run in self.told.values() if not run.terminal]
        run = live[which % len(live)] if live else None
        job = self.world.job("work", max_attempts=2, max_concurrency=3 if which % 3 == 0 else None)
        apply = self.world.engine.commit.apply
        match verb:
            case "submit":
                await self.hear(self.world.submitted(job, payload={"text": "x" * (which * 300)}))
            case "crowd":
                await asyncio.gather(*(self.hear(self.world.submitted(job, payload={})) for _ in range(2 + which % 5)))
            case "take":
                await self.hear(self.world.take(1 + which % 3))
            case "append" if run is not None:
                drafts = (log_line("y" * (which * 200)),) * (1 + which % 4)
                await self.hear(apply(c.Append(run.run_id, run.lease_epoch, drafts)), run)
            case "finish" if run is not None:
                await self.hear(self.world.finish(run, o.Completed()), run)
            case "fail" if run is not None:
                await self.hear(self.world.finish(run, failed()), run)
            case "stop" if run is not None:
                await self.hear(self.world.stop(run.run_id), run)
            case "read" if run is not None:
                await self.hear(self.world.events(run.run_id), run)
            case _:
                pass

    async def hear(self, call: Awaitable[Any], about: Run | None = None) -> None:
        """Wait for an answer and remember what it says."""
        try:
            answer = await call
        except StoreError as refusal:
            self.refusals.append(refusal)
            return
        except Error:
            return
        runs = answer if isinstance(answer, list) else [answer.run if isinstance(answer, Submitted) else answer]
        for run in runs:
            if isinstance(run, Run):
                self.told[run.run_id] = run

    async def end(self) -> None:
        """Let a good disk and the usual loops bring every run to its end."""
        await settled(self.world)
        for _ in range(60):
            if not self.world.rows("SELECT 1 FROM run_heads LIMIT 1"):
                return
            self.clock.advance(31)
            for loop in (self.world.engine.scheduler.loop, self.world.engine.reaper.loop, self.world.engine.inbox.loop):
                await self.world.round_of(loop)
            for run in await self.world.take(100):
                await self.world.finish(run, o.Completed())
        raise AssertionError(f"stuck: {self.world.rows('SELECT * FROM run_heads')}")

    async def check(self, *, exact: bool) -> None:
        """Check that what was told is there; `exact`: and that what was refused is not."""
        for refusal in self.refusals:
            damaged = any(word in refusal.detail for word in DAMAGED)
            assert refusal.code == "store.unavailable" or damaged, refusal.detail
        await settled(self.world)
        await self.world.check()
        stored = {run_id for (run_id,) in self.world.rows("SELECT run_id FROM runs")}
        assert set(self.told) <= stored, "nothing acknowledged is lost"
        for run_id, run in self.told.items():
            events = await self.world.events(run_id)
            assert events[run.seq - 1].hash == run.hash, "nothing acknowledged is changed"
        if exact:
            assert stored == set(self.told), "nothing refused is there"
            seqs = {run_id: (await self.world.run(run_id)).seq for run_id in stored}
            assert seqs == {run_id: run.seq for run_id, run in self.told.items()}, "nothing refused has changed a run"

    async def close(self) -> None:
        """End in order and let SQLite look at every page."""
        await self.world.close()
        connection = connect(self.world.directory, writable=True)
        assert connection.execute("PRAGMA integrity_check").get == "ok"
        connection.close()

    async def tell(self, chapters: list[Chapter]) -> None:
        """Go through all chapters, and on to the end of every run."""
        exact = True
        for fault, steps, ending in chapters:
            self.disk.arm(fault)
            await self.go(steps)
            if self.disk.dead or ending != "heal":
                await self.restart(power_lost=self.disk.dead or ending == "power")
                exact = False
            self.disk.heal()
            await self.check(exact=exact)
        await self.end()
        await self.check(exact=False)
        await self.close()

    async def restart(self, *, power_lost: bool) -> None:
        """End the process without a word, and start another one."""
        self.disk.dead = True
        await self.world.crash()
        self.disk.restart(power_lost=power_lost)
        await self.open()


def told(chapters: list[Chapter], seed: int) -> Story:
    """Tell a story on a new disk, from the first write to the last check."""
    with tempfile.TemporaryDirectory(prefix="runwright-disk-") as directory, drive(seed) as disk:
        story = Story(disk, Path(directory))

        async def whole() -> None:
            await story.open()
            await story.tell(chapters)

        asyncio.run(whole())
    return story


@settings(
    max_examples=SOAK or 60,
    derandomize=not SOAK,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.target, *((Phase.shrink,) if SOAK else ())),
    suppress_health_check=list(HealthCheck),
)
@given(CHAPTERS, st.integers(0, 2**32))
def test_a_disk_that_fails_anywhere_costs_no_acknowledged_word(chapters: list[Chapter], seed: int):
    told(chapters, seed)
