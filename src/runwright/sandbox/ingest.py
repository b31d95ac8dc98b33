"""Look through a workspace: count what it holds, and find secrets and signs of harm; no link is followed.

Use, over an open `RunWorkspace` (or any `Ground`), with the project's redactor::

    examined = await examine(place, redactor, bounds, clock, left_out=checkout.left_out, hooks=checkout.hooks)
    # events: `workspace.ingested` examined.inventory, `scan.completed` each of examined.scans,
    #         `finding.opened` each of examined.findings

It reads within its bounds and then stops; what it did not read is counted with the reason. It works in a thread, a file
at a time, and never runs, imports or parses what it reads.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from runwright.clock import Clock
from runwright.domain import scan_rules
from runwright.domain.finding import Finding, Match, Severity, findings_by
from runwright.domain.inventory import SKIPS, Counting, Inventory, Skip, Skipped
from runwright.domain.owners import Owners
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import Scanned
from runwright.sandbox import beneath
from runwright.sandbox.beneath import Beneath
from runwright.sandbox.scanner import Ground, Report, ScanBounds, Scanner, Seen, Text

NOBODYS = Owners()
_LFS = "version https://git-lfs.github.com/spec/v1\n"
_LFS_MAX = 1024
_MARKS = frozenset({"HEAD", "config", "objects"})
_LARGE = frozenset({"too_large", "long_line"})
_STRANGE = 20
"""One of so many characters may be no UTF-8 in a text of another alphabet; of more it is no text."""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """What a look found: the inventory, what each scanner did, and the findings, redacted, the gravest first."""

    inventory: Inventory
    scans: tuple[Scanned, ...]
    findings: tuple[Finding, ...]


class _Ended(Exception):
    """Say why the look stops, as the files that follow are counted."""

    def __init__(self, reason: Skip) -> None:
        super().__init__(reason)
        self.reason = reason


async def examine(
    ground: Ground,
    redactor: Redactor,
    bounds: ScanBounds,
    clock: Clock,
    *,
    scanners: Sequence[Scanner] = (),
    left_out: Sequence[Skipped] = (),
    left_out_by: Mapping[str, int] | None = None,
    hooks: Sequence[str] = (),
    tree_hash: str | None = None,
    without: Collection[str] = (),
    owners: Owners = NOBODYS,
) -> Examined:
    """Look through an open workspace, and let each scanner look, one after the other.

    `left_out`, of which `left_out_by` counts all, and `hooks` are what a checkout told: they belong to what the
    repository holds. A scanner that fails by itself has not run; `without` names those of ours that are not asked. No
    path and no message of the findings holds what the redactor knows. By `owners` each is told whose its file is: of a
    path in which something is hidden nobody can tell that later.
    """
    look = _Look(ground.files, redactor, bounds, clock)
    look.told(left_out, hooks, left_out_by or {})
    looking = asyncio.ensure_future(asyncio.to_thread(look.through))
    try:
        await asyncio.shield(looking)
    except asyncio.CancelledError:
        look.stop()
        await asyncio.wait([looking])
        raise
    seen = Seen(ground, tuple(look.texts), tuple(look.large))
    reports = [report for report in look.reports() if report.scanner not in without]
    reports += [look.bounded(await _timed(each, seen, bounds, clock)) for each in scanners]
    joined, by_report = findings_by([[_told(match, redactor, owners) for match in each.matches] for each in reports])
    told = joined[: bounds.findings_max]
    names = {finding.fingerprint for finding in told}
    return Examined(
        inventory=look.counting.inventory(),
        scans=tuple(
            Scanned(
                scanner=report.scanner,
                status=report.status,
                files=report.files,
                findings=len(found) + report.more,
                told=len(found & names),
                reason=None if report.reason is None else redactor.text(report.reason),
                tree_hash=tree_hash,
                duration_ms=int(report.seconds * 1000),
            )
            for report, found in zip(reports, by_report, strict=True)
        ),
        findings=tuple(told),
    )


def overlooked(content: bytes, bounds: ScanBounds) -> Skip | None:
    """Return why a look passes over a file that holds this; None where it looks into it."""
    if len(content) > bounds.file_max_bytes:
        return "too_large"
    return _passed_over(_text(content), bounds)


async def _timed(scanner: Scanner, ground: Seen, bounds: ScanBounds, clock: Clock) -> Report:
    began = clock.monotonic()
    return replace(await _scanned(scanner, ground, bounds), seconds=clock.monotonic() - began)


async def _scanned(scanner: Scanner, ground: Seen, bounds: ScanBounds) -> Report:
    try:
        async with asyncio.timeout(bounds.seconds):
            return await scanner.scan(ground, bounds)
    except TimeoutError:
        return Report(scanner=scanner.name, status="not_run", reason=f"it took longer than {bounds.seconds:g} s")
    except Exception as failure:  # noqa: BLE001 - whatever is wrong with one scanner is no other's matter
        return Report(scanner=scanner.name, status="not_run", reason=f"it failed by itself ({type(failure).__name__})")


def _told(match: Match, redactor: Redactor, owners: Owners) -> Match:
    return replace(
        match,
        owners=tuple(redactor.text(each) for each in owners.of(match.file)) if match.file else (),
        message=redactor.text(match.message),
        file=redactor.text(match.file),
        window=redactor.text(match.window),
        symbol=redactor.text(match.symbol),
    )


class _Matches:
    """The first matches of a scanner of each severity, and how many more there are."""

    def __init__(self, most: int) -> None:
        self._kept: dict[Severity, list[Match]] = {}
        self.more = 0
        self._most = most

    def add(self, found: Iterable[Match]) -> None:
        """Take matches."""
        for each in found:
            kept = self._kept.setdefault(each.severity, [])
            if len(kept) < self._most:
                kept.append(each)
            else:
                self.more += 1

    @property
    def matches(self) -> tuple[Match, ...]:
        """Return those that were kept."""
        return tuple(match for kept in self._kept.values() for match in kept)


class _Look:
    """One look through a tree, in a thread."""

    def __init__(self, files: Beneath, redactor: Redactor, bounds: ScanBounds, clock: Clock) -> None:
        self.counting = Counting()
        self.texts: list[Text] = []
        self.large: list[str] = []
        self._files = files
        self._redactor = redactor
        self._bounds = bounds
        self._clock = clock
        self._until = clock.monotonic() + bounds.seconds
        self._secrets = _Matches(bounds.matches_max)
        self._signs = _Matches(bounds.matches_max)
        self._why: Skip | None = None
        self._read = 0
        self._stopped = False
        self._seconds = 0.0

    def told(self, left_out: Sequence[Skipped], hooks: Sequence[str], by: Mapping[str, int]) -> None:
        """Hear what a checkout left out: the first of it by name, and how much it is `by` reason."""
        for each in left_out:
            self._skip(each.path, each.reason, each.bytes)
        named = Counter[str](each.reason for each in left_out)
        for reason, count in by.items():
            self.counting.pass_over(reason, max(count - named[reason], 0))
        self._signs.add(scan_rules.hooks(hooks))

    def stop(self) -> None:
        """End the look at the next file: nobody waits for it any more."""
        self._stopped = True

    def through(self) -> None:
        """Look at everything; once a bound is reached, at names only."""
        began = self._clock.monotonic()
        try:
            self._through()
        finally:
            self._seconds = self._clock.monotonic() - began

    def _through(self) -> None:
        for parts, name, fd in self._walk():
            if self._stopped:
                return
            path = "/".join((*parts, name))
            try:
                self._file(fd, name, path)
            except _Ended as ended:
                self._why = self._why or ended.reason
                self._skip(path, ended.reason, _size(fd, name))
            except (OSError, beneath.Outside):
                self._skip(path, "unreadable")

    def reports(self) -> list[Report]:
        """Return what the scanners did that come with Runwright."""
        return [
            self.bounded(
                Report(
                    scanner=name,
                    status="completed",
                    files=self._read,
                    matches=found.matches,
                    more=found.more,
                    seconds=self._seconds,
                )
            )
            for name, found in ((scan_rules.SECRETS, self._secrets), (scan_rules.REPOSITORY, self._signs))
        ]

    def bounded(self, report: Report) -> Report:
        """Return a report as it is when the look itself ended at its bounds: then nobody has looked at everything."""
        if self._why is None or report.status != "completed":
            return report
        return replace(report, status="partial", reason=f"not all was looked into: {SKIPS[self._why]}")

    def _walk(self) -> Iterator[tuple[tuple[str, ...], str, int]]:
        """Yield what is no directory: its directory's names, its name, and the directory, open."""
        waiting: list[tuple[str, ...]] = [()]
        while waiting:
            parts = waiting.pop()
            with beneath.directory(self._files.root, parts) as fd:
                names = beneath.names(fd)
                inner: list[tuple[str, ...]] = []
                for name in names:
                    mode = os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
                    if stat.S_ISDIR(mode):
                        self.counting.directories += 1
                        inner.append((*parts, name))
                    elif stat.S_ISLNK(mode):
                        self.counting.links += 1
                        self._skip("/".join((*parts, name)), "link")
                    else:
                        yield parts, name, fd
                if parts and set(names) >= _MARKS:
                    self._signs.add([scan_rules.embedded("/".join(parts))])
                waiting += reversed(inner)

    def _file(self, fd: int, name: str, path: str) -> None:
        bounds = self._bounds
        if self._clock.monotonic() > self._until:
            raise _Ended("time")
        with os.fdopen(beneath.opened(fd, name, path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > bounds.file_max_bytes:
                self._skip(path, "too_large", size)
                return
            if self.counting.read_bytes + size > bounds.bytes:
                raise _Ended("bytes")
            content = file.read(bounds.file_max_bytes)
        text = _text(content)
        reason = _passed_over(text, bounds)
        if text is None or reason is not None:
            self._skip(path, reason or "binary", size)
            return
        language = self.counting.read(self._shown(path), size, text)
        self._read += 1
        self.texts.append(Text(path, language, size))
        self._secrets.add(scan_rules.secrets(path, language, text, self._redactor.sightings))
        self._signs.add(scan_rules.signs(path, language, text))

    def _skip(self, path: str, reason: Skip, size: int = 0) -> None:
        self.counting.skip(self._shown(path), reason, size)
        if reason in _LARGE:
            self.large.append(path)
        sign = scan_rules.passed_over(path, reason)
        if sign is not None:
            self._signs.add([sign])

    def _shown(self, path: str) -> str:
        return self._redactor.text(path)


def _text(content: bytes) -> str | None:
    """Return what a file says; None for what is no text. Another alphabet's letters may be lost."""
    if b"\0" in content:
        return None
    text = content.decode("utf-8", "replace")
    return text if text.count("\ufffd") * _STRANGE <= len(text) else None


def _passed_over(text: str | None, bounds: ScanBounds) -> Skip | None:
    if text is None:
        return "binary"
    if len(text) < _LFS_MAX and text.startswith(_LFS):
        return "lfs_pointer"
    return "long_line" if max(map(len, text.split("\n"))) > bounds.line_max else None


def _size(fd: int, name: str) -> int:
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_size
    except OSError:
        return 0
