"""What process runs execute: the command of the version that a run pinned, with the preset that it has by now."""

from __future__ import annotations

import msgspec

from runwright.domain.presets import PRESETS, SMALLEST
from runwright.domain.run import Run
from runwright.engine.definitions import Definitions
from runwright.errors import NotFound
from runwright.store.base import Store


class ProcessPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and with how much; `network`: with that of the machine."""

    command: tuple[str, ...]
    tty: bool
    network: bool
    preset: str
    cpus: int
    memory_mb: int


class ProcessPlans:
    """Finds the plans of runs."""

    def __init__(self, store: Store) -> None:
        self._definitions = Definitions(store)

    async def find(self, run: Run) -> ProcessPlan:
        """Return the plan of a run. Raises `NotFound` for a run of no version with a command."""
        definition = await self._definitions.find(run.spec.job_version_id)
        if definition is None or not definition.command:
            raise NotFound("version", run.spec.job_version_id)
        preset = run.preset or run.spec.preset or definition.preset
        named = {str(name): preset for name, preset in PRESETS.items()}
        size = named.get(preset, PRESETS[SMALLEST])
        return ProcessPlan(
            command=definition.command,
            tty=definition.tty,
            network=definition.network == "host",
            preset=preset,
            cpus=size.cpus,
            memory_mb=size.memory_mb,
        )
