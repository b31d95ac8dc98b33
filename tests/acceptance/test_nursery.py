"""The program that stands for `runwright` ends as the one that it has forked, whoever stops it meanwhile."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from tests.acceptance import nursery
from tests.waiting import until_then


def test_a_signal_for_a_program_that_has_ended_changes_nothing_of_how_it_ended():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    ours, door = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {**os.environ, nursery.DOOR: str(door.fileno())}
    script = nursery.ASKING.partition("\n")[2]
    program = subprocess.Popen(
        [sys.executable, "-IS", "-c", script], env=environment, pass_fds=[door.fileno()], stderr=subprocess.DEVNULL
    )
    with ours, door:
        _, fds, *_ = socket.recv_fds(ours, 1 << 20, 4)
        with socket.socket(fileno=fds[2]) as heir:
            heir.send(str(ended.pid).encode())
            until_then(lambda: signal.SIGTERM in caught(program.pid))
            program.send_signal(signal.SIGTERM)
            heir.send(b"0")
            assert program.wait() == 0
    for fd in (*fds[:2], fds[3]):
        os.close(fd)


def caught(pid: int) -> set[int]:
    """Return the signals that a process has handlers for."""
    told = Path(f"/proc/{pid}/status").read_text().splitlines()
    mask = next(int(line.split()[1], 16) for line in told if line.startswith("SigCgt"))
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}
