"""The processes below one process, as /proc tells: how many they are, and how much memory they use."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

_PRIVATE = ("RssAnon:", "RssShmem:", "VmSwap:")
_PROPORTIONAL = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


def tree(pid: int) -> list[int]:
    """Return a process and all below it; those that end meanwhile may be missing."""
    found, waiting = [], [pid]
    while waiting:
        here = waiting.pop()
        found.append(here)
        try:
            for thread in Path(f"/proc/{here}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
        except OSError:
            continue
    return found


def memory_bytes(pids: list[int], enough: int) -> int:
    """Return the memory of processes that is no file's.

    What several share is counted for each of them, but once `enough` seems to be reached: then each has its part of it.
    """
    used = sum(_kilobytes(f"/proc/{pid}/status", _PRIVATE) for pid in pids) * 1024
    if used <= enough or len(pids) <= 1:
        return used
    return min(used, sum(_kilobytes(f"/proc/{pid}/smaps_rollup", _PROPORTIONAL) for pid in pids) * 1024 or used)


def _kilobytes(path: str, names: tuple[str, ...]) -> int:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


def send(pids: list[int], root: int, number: signal.Signals) -> None:
    """Send a signal to processes below `root`; one whose number is somebody else's by now gets none."""
    held: dict[int, int] = {}
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                held[pid] = os.pidfd_open(pid)
        still = set(tree(root))
        for pid, pidfd in held.items():
            if pid in still:
                with contextlib.suppress(OSError):
                    signal.pidfd_send_signal(pidfd, number)
    finally:
        for pidfd in held.values():
            os.close(pidfd)
