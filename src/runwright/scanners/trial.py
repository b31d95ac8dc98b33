"""Try out which scanners run here: each program is started in the sandbox and says its version."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from runwright.sandbox.child import NotStarted
from runwright.sandbox.command import Command, run_command
from runwright.sandbox.means import Means
from runwright.scanners.available import KINDS, Scanners
from runwright.scanners.told import plain

_SECONDS, _MEMORY, _SAID = 30.0, 512 << 20, 4096


async def tried(scanners: Scanners, means: Means | None) -> dict[str, str | None]:
    """Return of each scanner why it cannot run here, None where it can; without a sandbox no program runs."""
    missing = {name: scanners.missing(name) for name in KINDS}
    versions: dict[str, str | None] = {}
    for name, program in KINDS.items():
        if program is None or missing[name] is not None:
            continue
        if program not in versions:
            versions[program] = "no sandbox works here" if means is None else await _says_no(means, program)
        missing[name] = versions[program]
    return missing


async def _says_no(means: Means, program: str) -> str | None:
    """Return why a program does not run."""
    with tempfile.TemporaryDirectory(dir=means.workspaces.directory) as name:
        os.chmod(name, 0o755)  # noqa: PTH101 - one call of the system, as making it was
        command = Command((program, "--version"), _SECONDS, _MEMORY, 1, _SAID, writable=False, programs=(program,))
        try:
            ended = await run_command(means, Path(name), command)
        except NotStarted as why:
            return plain(str(why), 200)
    return None if ended.status == 0 else plain(ended.output, 200) or f"it ended with the exit code {ended.status}"
