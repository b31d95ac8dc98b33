"""Become the sandbox: a user, limits and a network of its own, then bubblewrap and the command.

Run as a program (`python -I -S launch.py ORDER`), because what happens here between fork and exec must not happen in a
process that has threads. It imports nothing of ours, and says on its standard error why it could not go on.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
import termios
from typing import Any

FAILED = 125
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def main(order: dict[str, Any]) -> None:
    """Do what the order says, then execute its `command`; never returns."""
    libc = ctypes.CDLL(None, use_errno=True)
    if order["tty"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.sched_setaffinity(0, order["cpus"])
    _write("/proc/self/oom_score_adj", "1000")  # before the server, when the machine has no memory left
    if order["uid"] is not None:
        os.setgroups([])
        os.setresgid(order["uid"], order["uid"], order["uid"])
        os.setresuid(order["uid"], order["uid"], order["uid"])
        _checked(libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0))  # else what is below /proc/self is root's
    _unshare(libc, network=order["network"])
    if order["listener"] is not None:
        _listen(order["listener"], order["port"])
    for name, most in order["limits"].items():
        number = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(number)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(number, (most, most))
    # After everything that changes who this is: that would clear it.
    _checked(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != order["parent"]:
        sys.exit(FAILED)
    os.execv(order["command"][0], order["command"])


def _unshare(libc: Any, *, network: bool) -> None:
    """Enter a user namespace, in which the limits of bubblewrap's own count, and a network without any way out."""
    uid, gid = os.geteuid(), os.getegid()
    _checked(libc.unshare(_CLONE_NEWUSER if network else _CLONE_NEWUSER | _CLONE_NEWNET))
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if not network:
        with socket.socket() as any_socket:
            name = struct.pack("16sh", b"lo", 0)
            (flags,) = struct.unpack("16xh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, name))
            fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | _IFF_UP))


def _listen(to: int, port: int) -> None:
    """Listen inside the sandbox, and hand the socket to the worker, which passes on what comes in."""
    with socket.create_server(("127.0.0.1", port)) as listener, socket.socket(fileno=to) as worker:
        socket.send_fds(worker, [b"listening"], [listener.fileno()])


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - nothing is imported that is not needed
        file.write(text)


def _checked(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except OSError as failure:
        sys.stderr.write(f"the sandbox cannot be made: {failure}\n")
        sys.exit(FAILED)
