"""Any command whose output is SARIF 2.1.0, as a scanner: the server's owner says which.

It starts in the workspace, read-only, and decides by itself what it looks at; so it is asked only for what it found.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from runwright.domain.sarif_in import NotSarif, Result, read_sarif
from runwright.sandbox.child import NotStarted
from runwright.sandbox.command import Command
from runwright.sandbox.programs import ProgramMissing, found
from runwright.sandbox.scanner import Report, ScanBounds, Seen
from runwright.scanners.program import SAID_MAX, Heard
from runwright.scanners.told import Told, matches, plain, within

_WRITTEN = re.compile(r"(?P<name>[a-z][a-z0-9_-]{0,40})=(?P<command>.{1,2000})", re.DOTALL)


class SarifCommand:
    """Runs a command in the workspace, and reads what it writes."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._command = tuple(command)

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Run it, whatever its exit code says: that tells of findings in many ways."""
        program = self._command[0]
        try:
            where = () if "/" in program else (found(program).name,)
        except ProgramMissing as why:
            return self._not_run(str(why))
        heard = Heard(bounds.report_max_bytes)
        command = Command(
            self._command,
            timeout_s=bounds.seconds,
            memory_bytes=bounds.memory_bytes,
            cpus=bounds.cpus,
            output_max_bytes=SAID_MAX,
            env={"NO_COLOR": "1"},
            programs=where,
        )
        try:
            ended = await ground.run(command, heard.hear)
        except NotStarted as why:
            return self._not_run(plain(str(why)))
        if ended.exceeded is not None or ended.status is None:
            limit = "time" if ended.exceeded is None else ended.exceeded.limit
            return self._not_run(f"it was killed at its limit of {limit}")
        if heard.too_large:
            return self._not_run(f"its report has more than {bounds.report_max_bytes} bytes")
        try:
            log = read_sarif(bytes(heard.report))
        except NotSarif as why:
            said = plain(heard.complaints.decode("utf-8", "replace").strip().partition("\n")[0], 200)
            end = f"; it ended with the exit code {ended.status}{f': {said}' if said else ''}"
            return self._not_run(f"its output is no SARIF {plain(str(why), 200)}{end if ended.status else ''}")
        told = tuple(map(_told, log.results))
        here = matches(self.name, told[: bounds.matches_max], ground, ground.texts, bounds)
        elsewhere = len(told[: bounds.matches_max]) - len(here)
        reasons = [plain(failure, 200) for failure in log.failures]
        reasons += [f"{elsewhere} of its results are about no text of the tree"] if elsewhere else []
        return Report(
            scanner=self.name,
            status="partial" if reasons else "completed",
            files=log.files,
            matches=here,
            reason=plain("; ".join(reasons)) if reasons else None,
            more=max(0, len(told) - bounds.matches_max),
        )

    def _not_run(self, why: str) -> Report:
        return Report(scanner=self.name, status="not_run", reason=why)


def written(text: str) -> SarifCommand:
    """Return the scanner that a setting writes as `name=command with arguments`. Raises `ValueError`."""
    parts = _WRITTEN.fullmatch(text)
    words = shlex.split(parts["command"]) if parts else []
    if parts is None or not words:
        raise ValueError(f"{text!r} is no scanner: write name=command")
    return SarifCommand(parts["name"], words)


def _told(each: Result) -> Told:
    return Told(
        rule=each.rule,
        severity=each.severity,
        message=each.message,
        path=within(each.path),
        line=each.line,
        end_line=each.end_line,
    )
