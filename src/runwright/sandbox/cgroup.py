"""Keep the limit of memory by a control group (cgroup v2), where this process was given a subtree of its own."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from runwright.clock import Clock

ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_PREFIX = "runwright-process-"
_KEEPER = "runwright-server"
_LOOKS, _LOOK_S = 100, 0.005


class NotDelegated(Exception):
    """Say why there is no subtree with the controllers that are needed."""


class Group:
    """The control group of one process tree."""

    def __init__(self, path: Path, memory_bytes: int, pids_max: int) -> None:
        self._path = path
        path.mkdir()
        self._write("memory.max", memory_bytes)
        with contextlib.suppress(FileNotFoundError):  # where there is no accounting of swap
            self._write("memory.swap.max", 0)
        self._write("memory.oom.group", 1)
        self._write("pids.max", pids_max)

    def add(self, pid: int) -> None:
        """Take in a process; what it starts from now on belongs here too."""
        self._write("cgroup.procs", pid)

    @property
    def out_of_memory(self) -> bool:
        """Tell whether the kernel has killed for the limit."""
        for line in (self._path / "memory.events").read_text().splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill" and int(count) > 0:
                return True
        return False

    @property
    def memory_bytes(self) -> int:
        """Return how much memory is in use."""
        return int((self._path / "memory.current").read_text())

    async def close(self, clock: Clock) -> None:
        """Kill what is left in it, and remove it once the kernel has."""
        with contextlib.suppress(OSError):
            self._write("cgroup.kill", 1)
        for _ in range(_LOOKS):
            try:
                self._path.rmdir()
                return
            except OSError:
                await clock.sleep(_LOOK_S)

    def _write(self, name: str, value: int) -> None:
        (self._path / name).write_text(str(value))


class Cgroups:
    """The subtree of this process; groups that a killed server left empty are removed.

    Raises `NotDelegated` when there is none, or none with memory and pids.
    """

    def __init__(self, root: Path = ROOT, membership: Path = MEMBERSHIP) -> None:
        if not (root / "cgroup.controllers").exists():
            raise NotDelegated("this machine has no unified hierarchy of control groups (v2)")
        mine = next((line[3:] for line in membership.read_text().splitlines() if line.startswith("0::")), "/")
        self._base = root / mine.lstrip("/")
        controllers = (self._base / "cgroup.controllers").read_text().split()
        missing = {"memory", "pids"}.difference(controllers)
        if missing:
            raise NotDelegated(f"{mine} is not given {' and '.join(sorted(missing))}")
        for left in self._base.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):  # whose processes live is not removed
                left.rmdir()
        try:
            self._enable()
        except OSError as refused:
            raise NotDelegated(f"{mine} cannot be divided: {refused.strerror}") from None

    def _enable(self) -> None:
        control = self._base / "cgroup.subtree_control"
        if {"memory", "pids"} <= set(control.read_text().split()):
            return
        keeper = self._base / _KEEPER  # a group that is divided holds no process itself
        keeper.mkdir(exist_ok=True)
        (keeper / "cgroup.procs").write_text(str(os.getpid()))
        control.write_text("+memory +pids")

    def make(self, name: str, memory_bytes: int, pids_max: int) -> Group:
        """Return a new group."""
        return Group(self._base / f"{_PREFIX}{name}", memory_bytes, pids_max)
