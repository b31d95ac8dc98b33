"""A command to run as a process, as a worker is told of it; who runs it is the worker's to bring."""

from collections.abc import Awaitable, Callable

import msgspec

from runwright.client.outcome import Outcome
from runwright.client.session import Session


class ProcessOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What to run and with how much. `network`: with the network of the machine, else with none."""

    command: tuple[str, ...]
    tty: bool
    network: bool
    preset: str
    cpus: int
    memory_mb: int


class ProcessCall(msgspec.Struct, frozen=True, kw_only=True):
    """A process to run for a lease: the order, and with what the command calls back to the server."""

    order: ProcessOrder
    job_id: str
    run_token: str
    api_url: str
    stop_grace_s: float


ProcessRunner = Callable[[ProcessCall, Session], Awaitable[Outcome]]
"""Runs a process to its end. Raises `LeaseLost` when the session does; cancelled, it leaves no process."""
