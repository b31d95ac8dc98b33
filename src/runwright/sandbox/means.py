"""The means of this machine: which sandbox works here, tried out by a command; and what its processes share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter

from msgspec.structs import replace

from runwright.clock import Clock, SystemClock
from runwright.config import Settings
from runwright.sandbox import seccomp
from runwright.sandbox.bounds import Bounds
from runwright.sandbox.cgroup import Cgroups, NotDelegated
from runwright.sandbox.child import Asked, Child, NotStarted
from runwright.sandbox.programs import Programs
from runwright.sandbox.sandbox import NO_NAME_SERVER, UNPRIVILEGED, Sandbox, brought, bubblewraps
from runwright.sandbox.workspace import Workspaces
from runwright.telemetry import report

TRIAL_BYTES = 64 << 20
_TRIAL = """
test "$(id -u)" = 1000 || exit 10
for place in /usr /etc / /proc/sys/kernel; do (: > "$place/runwright-escape") 2>/dev/null && exit 11; done
(: > /proc/sys/kernel/hostname) 2>/dev/null && exit 12
test -e "$1" && exit 13
: > /workspace/mine && : > /tmp/mine
"""
_FOUND = {
    10: "the command kept another user",
    11: "the command could write outside its workspace",
    12: "the command could change settings of the kernel",
    13: "the command could see the server's files",
}


class NoSandbox(Exception):
    """Say why no sandbox works here: processes are not run."""


class Cpus:
    """The CPUs of this machine, lent to the processes that need them; the least lent ones go first."""

    def __init__(self) -> None:
        self._all = sorted(os.sched_getaffinity(0))
        self._lent: Counter[int] = Counter()

    def take(self, count: int) -> tuple[int, ...]:
        """Lend so many CPUs, or all there are."""
        chosen = tuple(sorted(self._all, key=lambda cpu: (self._lent[cpu], cpu))[:count])
        self._lent.update(chosen)
        return chosen

    def give_back(self, cpus: tuple[int, ...]) -> None:
        """Take lent CPUs back."""
        self._lent.subtract(cpus)


class Means:
    """Everything that processes are run with. To be closed."""

    def __init__(self, sandbox: Sandbox, workspaces: Workspaces, bounds: Bounds, clock: Clock) -> None:
        self.sandbox = sandbox
        self.workspaces = workspaces
        self.bounds = bounds
        self.cpus = Cpus()
        self.programs = Programs(workspaces.directory / "programs")
        self.clock = clock

    @classmethod
    async def find(cls, bounds: Bounds) -> Means:
        """Return the strictest means that work here. Raises `NoSandbox`."""
        if sys.platform != "linux":
            raise NoSandbox(f"there is none for {sys.platform}: processes run on Linux")
        found = bubblewraps()
        if not found:
            raise NoSandbox("bubblewrap (bwrap) is not installed")
        # What is root outside could change settings of the kernel, whatever it is inside.
        uid = UNPRIVILEGED if os.geteuid() == 0 else None
        missing = bounds.missing_path
        if missing is not None:
            raise NoSandbox(f"{missing} is no directory (RUNWRIGHT_PROCESS_PATHS)")
        try:
            workspaces = Workspaces(bounds.directory, uid, resolver=NO_NAME_SERVER)
        except OSError as failure:
            raise NoSandbox(f"{bounds.directory} cannot hold workspaces: {failure.strerror}") from None
        clock = SystemClock()  # processes live in its time, whatever the server's clock is
        problems: list[str] = []
        if uid is not None and (copy := brought(workspaces.directory)) is not None:
            found.append(copy)  # where this program lies, that user may not come
        for bwrap in found:
            try:
                return cls(await _tried(bwrap, uid, workspaces, bounds, clock), workspaces, bounds, clock)
            except (NotStarted, OSError) as problem:
                problems.append(f"{bwrap}: {problem}")
        workspaces.close()
        raise NoSandbox("; ".join(problems))

    @classmethod
    async def of(cls, settings: Settings) -> tuple[Means | None, str]:
        """Return the means that the settings let work here, and why there are none; it is reported which."""
        try:
            means = await cls.find(Bounds.of(settings))
        except NoSandbox as missing:
            report("sandbox.missing", reason=str(missing))
            return None, str(missing)
        report("sandbox.found", means=means.described())
        return means, ""

    def described(self) -> str:
        """Return the means in one line."""
        sandbox = self.sandbox
        user = f"user {sandbox.uid}" if sandbox.uid is not None else f"user {os.geteuid()}"
        calls = "system calls filtered" if sandbox.filter is not None else "system calls not filtered"
        memory = "memory by cgroup v2" if sandbox.cgroups is not None else f"memory sampled ({sandbox.sampled_because})"
        return f"bubblewrap {sandbox.bwrap}, {user}, {calls}, {memory}, CPUs by affinity"

    def close(self) -> None:
        """Remove the directory of the workspaces."""
        self.workspaces.close()


async def _tried(bwrap: str, uid: int | None, workspaces: Workspaces, bounds: Bounds, clock: Clock) -> Sandbox:
    plain = Sandbox(bwrap, uid, bounds.paths, seccomp.program(), None)
    try:
        grouped = replace(plain, cgroups=Cgroups())
        await _try(grouped, workspaces, bounds, clock)
    except NotDelegated as why:
        plain = replace(plain, sampled_because=str(why))
    except OSError as why:
        plain = replace(plain, sampled_because=f"control groups were refused: {why.strerror}")
    else:
        return grouped
    await _try(plain, workspaces, bounds, clock)
    return plain


async def _try(sandbox: Sandbox, workspaces: Workspaces, bounds: Bounds, clock: Clock) -> None:
    """Run a command that tries what it must not be able to do. Raises `NotStarted`."""
    place, child = await workspaces.make("trial", {}, None), Child(clock)
    limits = {"CORE": 0, "NOFILE": bounds.files_max, "NPROC": bounds.pids_max}
    command = ("/bin/sh", "-c", _TRIAL, "sh", str(place.directory))
    try:
        cpus = tuple(sorted(os.sched_getaffinity(0)))
        asked = Asked(command, {"PATH": "/usr/bin:/bin"}, False, False, cpus, TRIAL_BYTES, limits)
        await child.start(sandbox, place, asked)
        if sandbox.cgroups is not None:
            child.group = sandbox.cgroups.make("trial", TRIAL_BYTES, bounds.pids_max)
            child.group.add(child.pid)
        child.release()
        async with asyncio.timeout(30):
            status = await child.ended()
            if status is None:
                raise NotStarted(await child.last_words())
        if status != 0:
            raise NotStarted(_FOUND.get(status or 0, f"a command that was tried in it ended with {status}"))
    finally:
        await child.close()
        await workspaces.remove(place)
