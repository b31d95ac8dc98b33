"""A server and a worker elsewhere whose fences are torn down, on both sides: what the judge must see, or sees nothing.

The server loads `idle`, so that it executes nothing itself; the worker loads `app`.
"""

from runwright import Context, Worker, job
from runwright.client.reporting import Log
from runwright.domain import state
from runwright.engine.attempt import Attempt
from runwright.engine.fleet import Fleet
from tests.faults.labour import app as labourers

_fenced = Fleet.attempt


@job
async def nothing(ctx: Context) -> None:
    """Do nothing."""


async def gullible(self: Fleet, run_id: str, lease_epoch: int | None, worker_id: str | None = None) -> Attempt:
    """Believe whoever says that it has the lease."""
    return await _fenced(self, run_id, None)


def deaf(self: Log, why: str = "") -> None:
    """Hear that the lease is over, and go on."""


state.FENCED = frozenset()
setattr(Fleet, "attempt", gullible)  # noqa: B010 - to mypy a method is no variable, and this is no method
setattr(Log, "give_up", deaf)  # noqa: B010

idle = Worker([nothing])
app = labourers
