"""The port of fixers: who makes a patch for findings by rules, the same for the same tree, and never by a guess.

A fixer looks at the files that findings name, and writes nothing. What it proposes goes the way of every patch: guards,
gates and a look at the tree decide whether it is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from runwright.domain.finding import Finding
from runwright.domain.patch import Patch, PatchBounds
from runwright.sandbox.command import Command
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.scanner import Ground, ScanBounds

FILES_MAX = 200
"""The most files that a fixer looks at for one patch; findings in others wait for the next."""
SAID_MAX = 64 << 10


class Fixer(Protocol):
    """Makes a patch by rules alone."""

    @property
    def name(self) -> str:
        """Return what it is called."""
        ...

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Return a patch that mends some of the findings, None for nothing. Raises `PatchRefused`, `NotStarted`."""
        ...


async def said(
    ground: Ground, words: tuple[str, ...], program: str, bounds: ScanBounds, files: dict[str, str] | None = None
) -> bytes | None:
    """Return what a program prints over a tree that it only reads; None of one that failed, or said too much."""
    out = bytearray()
    over = False

    async def hear(stream: str, piece: bytes) -> None:
        nonlocal over
        if stream == "stdout":
            over = over or len(out) + len(piece) > bounds.report_max_bytes
            out.extend(b"" if over else piece)

    command = Command(
        words,
        timeout_s=bounds.seconds,
        memory_bytes=bounds.memory_bytes,
        cpus=bounds.cpus,
        output_max_bytes=SAID_MAX,
        env={"NO_COLOR": "1"},
        files=files or {},
        programs=(program,),
        writable=False,
    )
    ended = await ground.run(command, hear)
    return None if over or ended.status not in {0, 1} else bytes(out)


def inside(path: str) -> str:
    """Return where a program finds a file of the tree."""
    return f"{WORKSPACE}/{path}"
