"""What the log of a process run tells of its process: the data of these events."""

from __future__ import annotations

from typing import Literal

import msgspec

Limited = Literal["memory", "pids", "workspace", "output"]
Refused = Literal["network", "path", "call"]
RefusedMeans = Literal["counted", "read"]


class ProcessStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`process.started`: a command began in its sandbox; `memory_means`: cgroup or sampled."""

    command: tuple[str, ...]
    preset: str
    cpus: int
    memory_mb: int
    memory_means: str
    tty: bool = False
    network: str = "none"


class ProcessLimited(msgspec.Struct, frozen=True, omit_defaults=True):
    """`process.limited`: a process was killed for a limit (memory, pids, workspace, output), as `means` saw it."""

    limit: Limited
    used: int
    most: int
    means: str


class ProcessEnded(msgspec.Struct, frozen=True, omit_defaults=True):
    """`process.ended`: no process is left. 128 + n: ended by the signal n; null: the command never began."""

    exit_code: int | None = None
    peak_memory_bytes: int = 0
    output_bytes: int = 0


class SecurityRefused(msgspec.Struct, frozen=True, omit_defaults=True):
    """`security.refused`: a process tried what its sandbox does not let it, the `network`, a `path` or a `call`.

    By `means`: the kernel `counted` it, or it was `read` from what the process said on its error output.
    """

    what: Refused
    count: int = 1
    means: RefusedMeans = "counted"
