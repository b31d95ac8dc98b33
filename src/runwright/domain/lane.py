"""Lanes: the parts of a queue that one kind of worker can take whole.

A queue is an organization's. A worker may be bound to a project, and it has certain handlers: so the ready runs of a
queue lie in one lane for each (project, executor, handler), and a worker claims from the heads of those that it serves,
lowest rank first. Ranks compare within a queue, whatever the lane. No claim reads a run that it must leave to others.
"""

from __future__ import annotations

from typing import NamedTuple


class Lane(NamedTuple):
    """Where a ready run waits. The parts hold no slash."""

    org_id: str
    queue: str
    project_id: str
    executor: str
    handler: str

    @property
    def key(self) -> str:
        """Return the lane's name in the store; the lanes of a queue lie side by side."""
        return "/".join(self)

    @classmethod
    def parse(cls, key: str) -> Lane:
        """Return the lane that a key names."""
        return cls(*key.split("/"))


def queue_key(org_id: str, queue: str) -> str:
    """Return what the keys of all lanes of a queue begin with; it names the queue."""
    return f"{org_id}/{queue}/"


def queue_of(lane: str) -> str:
    """Return the key of the queue that a lane belongs to."""
    return lane[: lane.index("/", lane.index("/") + 1) + 1]
