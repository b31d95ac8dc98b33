"""Workers elsewhere: processes that claim runs over REST, as they introduce themselves and as they are remembered."""

from __future__ import annotations

import msgspec

from runwright.domain.lane import Lane
from runwright.domain.presets import PROCESS

PROTOCOL = 1
"""The version of the worker protocol that this server speaks."""


class Introduction(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says of itself. It takes the runs of `handlers`, and those of commands if it
    runs `processes`, from `queues`, from every queue if it names none.

    `project_id` is set for a worker whose key is bound to a project. `version` is its own code's, `sdk` that of the
    library it was written with.
    """

    worker_id: str
    org_id: str
    project_id: str | None
    name: str
    version: str
    sdk: str
    queues: tuple[str, ...]
    handlers: tuple[str, ...]
    slots: int
    processes: bool = False

    def serves(self, lane: Lane) -> bool:
        """Tell whether the runs of a lane are its to take."""
        return (
            lane.org_id == self.org_id
            and self.project_id in (None, lane.project_id)
            and (not self.queues or lane.queue in self.queues)
            and (self.processes if lane.executor == PROCESS else self._handles(lane))
        )

    def _handles(self, lane: Lane) -> bool:
        return lane.executor == "worker" and lane.handler in self.handlers


class RemoteWorker(msgspec.Struct, frozen=True):
    """A worker that was heard of. `drain_at`: it was asked to take no more; `gone_at`: it said good-bye."""

    worker_id: str
    org_id: str
    project_id: str | None
    name: str
    version: str
    sdk: str
    queues: bytes
    handlers: bytes
    slots: int
    started_at: int
    seen_at: int
    drain_at: int | None
    gone_at: int | None
    processes: bool | None = None


class PausedQueue(msgspec.Struct, frozen=True):
    """A queue that nobody takes from, by its key."""

    queue: str
    paused_at: int
    paused_by: str
