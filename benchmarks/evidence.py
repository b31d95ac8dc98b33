"""What evidence costs: exporting the bundle of a long run, and verifying it as somebody does who has only the file."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.database import SQLITE, databases
from benchmarks.figures import Figure
from benchmarks.goals import goal_on
from benchmarks.rig import Rig, rig
from runwright.domain.evidence import Profile
from runwright.governance.verifier.verify import verify

Progress = Callable[[str], None]
LINES = 49


async def bundles(rounds: int, batches: int, tell: Progress, on: str = SQLITE) -> list[Figure]:
    """Measure events exported and verified a second, in the profile that shows all and in that which shows nothing."""
    exported: dict[Profile, list[float]] = {"full": [], "public": []}
    verified: dict[Profile, list[float]] = {"full": [], "public": []}
    size = 0
    with databases(on) as fresh, tempfile.TemporaryDirectory() as directory:
        async with rig(slots=10, **fresh()) as subject:
            tell("a run that is told at length")
            run_id, events = await _lived(subject, batches)
            for number in range(rounds):
                tell(f"round {number + 1} of {rounds}")
                for profile, rates in exported.items():
                    path = Path(directory) / f"{profile}.zip"
                    begun = time.perf_counter()
                    await _export(subject, run_id, profile, path)
                    rates.append(events / (time.perf_counter() - begun))
                    begun = time.perf_counter()
                    report = await asyncio.to_thread(verify, str(path))
                    verified[profile].append(events / (time.perf_counter() - begun))
                    if report.problems:
                        raise RuntimeError(f"the bundle is not whole: {report.problems[0]}")
            size = (Path(directory) / "full.zip").stat().st_size
    conditions = f"in process, one run of {events} events, {size / 1e6:.0f} MB in full"
    told = (
        ("export", exported, "reading the store, then Python on one core: hash, redact, encode"),
        ("verify", verified, "Python and its standard library on one core: read, hash"),
    )
    return [
        Figure(
            name=f"evidence: {what}, profile {profile}", unit="events/s", rounds=rates,
            goal=goal_on("evidence", on), conditions=conditions, bound=bound,
        )
        for what, found, bound in told
        for profile, rates in found.items()
    ]  # fmt: skip


async def _lived(subject: Rig, batches: int) -> tuple[str, int]:
    engine = subject.house.services.engine
    made = await subject.submit("chatty", {"batches": batches, "lines": LINES})
    while not (record := await engine.reader(subject.actor).run(made.run_id)).run.terminal:
        await asyncio.sleep(0)
    return made.run_id, record.run.seq


async def _export(subject: Rig, run_id: str, profile: Profile, path: Path) -> None:
    bundle = await subject.house.services.evidence.export(subject.actor, run_id, profile, "zip")
    try:
        with path.open("wb") as file:
            async for piece in bundle.pieces(0, bundle.size):
                file.write(piece)
    finally:
        bundle.close()
