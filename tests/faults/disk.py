"""A disk that fails when it is told to, under the real SQLite: full, broken, forgetful, or without power.

What programs read back is the real file, as the kernel's page cache shows it. Beside it this disk knows what would
survive a power failure: writes count only once a sync after them succeeded. After a sync that failed, the pages that
did not arrive are clean in the cache and absent from the disk, and no later sync brings them: so kernels do.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import apsw

SECTOR = 512

Operation = Literal["write", "sync", "read"]
Harm = Literal["full", "error", "short", "crash"]

HARMS: dict[Operation, tuple[Harm, ...]] = {
    "write": ("full", "error", "crash"),
    "sync": ("error", "crash"),
    "read": ("error", "short"),
}


class Fault(NamedTuple):
    """What goes wrong, at the how-manyth call of its kind, and whether it stays so until the disk is healed."""

    operation: Operation
    harm: Harm
    at: int
    lasting: bool = False
    file: str = ""


class Write(NamedTuple):
    """A write that no sync has confirmed; without data it is a truncation."""

    offset: int
    data: bytes | None


class Platter:
    """What of one file would survive a power failure, and what might."""

    def __init__(self, content: bytes) -> None:
        self.durable = bytearray(content)
        self.pending: list[Write] = []

    def settle(self, writes: list[Write]) -> None:
        """Let writes reach the disk."""
        for offset, data in writes:
            if data is None:
                del self.durable[offset:]
            else:
                self.durable.extend(bytes(max(offset - len(self.durable), 0)))
                self.durable[offset : offset + len(data)] = data

    def some(self, chance: random.Random, fates: Sequence[str]) -> list[Write]:
        """Return those of the pending writes that the disk happened to do: whole, a part of their sectors, or none."""
        done: list[Write] = []
        for write in self.pending:
            fate = chance.choice(fates)
            if fate == "done" or (fate == "torn" and write.data is None):
                done.append(write)
            elif fate == "torn" and write.data is not None:
                done += [sector for sector in _sectors(write) if chance.random() < 0.5]
        return done


def _sectors(write: Write) -> Iterator[Write]:
    assert write.data is not None
    at = 0
    while at < len(write.data):
        size = SECTOR - (write.offset + at) % SECTOR
        yield Write(write.offset + at, write.data[at : at + size])
        at += size


class Disk(apsw.VFS):
    """The disk under every database that is opened while it is in the drive; see `drive`."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = random.Random(seed)
        self.fates: Sequence[str] = ("done", "torn", "lost")
        self.fault: Fault | None = None
        self.calls = 0
        self.struck = 0
        self.dead = False
        self.platters: dict[str, Platter] = {}
        super().__init__("faulty", "unix", makedefault=True)

    # --- what a test does ---------------------------------------------------------------------------------------------

    def arm(self, fault: Fault) -> None:
        """Count calls from now on, and let the fault strike at its number."""
        self.fault, self.calls = fault, 0

    def heal(self) -> None:
        """Be a good disk from now on."""
        self.fault = None

    def restart(self, *, power_lost: bool) -> None:
        """Come back after the process ended: by a kill, or with the power, then only what is durable is there."""
        self.dead = False
        self.fault = None
        for name, platter in self.platters.items() if power_lost else ():
            platter.settle(platter.some(self.chance, self.fates))
            platter.pending.clear()
            Path(name).write_bytes(platter.durable)
            Path(f"{name}-shm").unlink(missing_ok=True)

    def excepthook(self, *failure: Any) -> bool:
        """Let SQLite make what it wants of our failures, even nothing; any other is a mistake of this module."""
        return isinstance(failure[1], apsw.Error)

    # --- what SQLite does ---------------------------------------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> DiskFile:  # noqa: N802
        """Open a file through the real file system."""
        self.check()
        return DiskFile(self, name, flags)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        """Delete a file, for good."""
        self.check()
        super().xDelete(name, syncdir)
        self.platters.pop(name, None)

    def check(self) -> None:
        """Refuse everything when the process that asks is dead."""
        if self.dead:
            raise apsw.exception_for(apsw.SQLITE_IOERR)

    def strikes(self, operation: Operation, file: str) -> Harm | None:
        """Count a call, and return what is to happen to it."""
        self.check()
        fault = self.fault
        if fault is None or fault.operation != operation or not file.endswith(fault.file):
            return None
        self.calls += 1
        if self.calls != fault.at and not (fault.lasting and self.calls > fault.at):
            return None
        self.struck += 1
        self.dead = fault.harm == "crash"
        return fault.harm

    def forget(self, platter: Platter) -> None:
        """Fail a sync as kernels do: some writes arrived, the others never will, and nobody will say so again."""
        platter.settle(platter.some(self.chance, self.fates))
        platter.pending.clear()


class DiskFile(apsw.VFSFile):
    """One open file."""

    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        path = Path(self._name)
        self._platter = disk.platters.setdefault(self._name, Platter(path.read_bytes()))

    def excepthook(self, *failure: Any) -> bool:
        """Leave failures to SQLite, as the disk does."""
        return self._disk.excepthook(*failure)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        """Read, all or nothing, as behind the end of a file that was cut."""
        harm = self._disk.strikes("read", self._name)
        if harm == "error":
            raise apsw.exception_for(apsw.SQLITE_IOERR_READ)
        read = super().xRead(amount, offset)
        return b"" if harm == "short" else read  # SQLite takes what is missing for zeros

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        """Write; a disk that becomes full takes the first half."""
        written = bytes(data)
        harm = self._disk.strikes("write", self._name)
        if harm == "full":
            written = written[: len(written) // 2]
        if harm != "error":  # a crash comes in the middle: some of it may arrive
            self._platter.pending.append(Write(offset, written))
            super().xWrite(written, offset)
        if harm is not None:
            raise apsw.exception_for(apsw.SQLITE_FULL if harm == "full" else apsw.SQLITE_IOERR_WRITE)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        """Cut the file."""
        self._disk.check()
        super().xTruncate(newsize)
        self._platter.pending.append(Write(newsize, None))

    def xSync(self, flags: int) -> None:  # noqa: N802
        """Make what was written durable, or fail and forget it."""
        harm = self._disk.strikes("sync", self._name)
        if harm is not None:
            if harm == "error":
                self._disk.forget(self._platter)
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)
        self._platter.settle(self._platter.pending)
        self._platter.pending.clear()


@contextmanager
def drive(seed: int = 0) -> Iterator[Disk]:
    """Put a faulty disk under every database that is opened from here on, and take it out again."""
    disk = Disk(seed)
    try:
        yield disk
    finally:
        disk.unregister()
