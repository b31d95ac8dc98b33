"""The audit of dependencies: what lock files pin is looked up in a local source of advisories; no network.

An advisory that several databases have is one finding, under the name by which most people know it.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from runwright.domain.finding import Match
from runwright.domain.manifests import Manifest, NotRead, Pinned, locks, reader_of
from runwright.domain.osv import Advisory, affects, fixed_in, known_version, package, rule_of, severity_of
from runwright.sandbox.scanner import Report, ScanBounds, Seen
from runwright.scanners.advisories import Advisories, NoSource
from runwright.scanners.told import plain, read

TOOL = "dependencies"
LOCK_MAX = 32 << 20
"""Bytes of a manifest: lock files are written by programs, and larger than what people write."""
NO_SOURCE = "there is no source of advisories: RUNWRIGHT_SCAN_ADVISORIES names a directory or a zip of OSV records"

Source = Callable[[], Advisories]


class _Read(NamedTuple):
    path: str
    manifest: Manifest


class Dependencies:
    """Looks up what a project depends on."""

    name = TOOL

    def __init__(self, source: Source | None) -> None:
        self._source = source

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at every manifest of the tree."""
        paths = sorted(path for path in ground.paths() if reader_of(path) is not None)
        if not paths:
            return Report(scanner=self.name, status="completed")
        if self._source is None:
            return Report(scanner=self.name, status="not_run", reason=NO_SOURCE)
        stop = threading.Event()
        try:
            return await asyncio.to_thread(_audited, ground, paths, self._source, stop)
        except NoSource as why:
            return Report(scanner=self.name, status="not_run", reason=plain(str(why)))
        finally:
            stop.set()


def _audited(ground: Seen, paths: Sequence[str], source: Source, stop: threading.Event) -> Report:
    advisories = source()
    index = advisories.index
    reasons, manifests = Counter[str](), list[_Read]()
    for path in paths:
        text = read(ground.files, path, LOCK_MAX)
        reader = reader_of(path)
        if text is None or reader is None:
            reasons[f"files are gone, or larger than {LOCK_MAX} bytes"] += 1
            continue
        try:
            manifest = reader(text)
        except NotRead:
            reasons["files could not be read"] += 1
            continue
        manifests.append(_Read(path, manifest))
        if not any(lock in paths for lock in locks(path)):
            reasons["packages are not pinned to a version"] += manifest.loose
    unknown = sum(not known_version(pin.ecosystem, pin.version) for each in manifests for pin in each.manifest.pinned)
    reasons["versions are none that can be compared"] += unknown
    reasons["advisories could not be read"] += index.unreadable
    matches = tuple(match for each in manifests if not stop.is_set() for match in _matches(each, advisories))
    told = [f"{count} {why}" for why, count in reasons.items() if count]
    return Report(
        scanner=TOOL,
        status="partial" if told else "completed",
        files=len(manifests),
        matches=matches,
        reason="; ".join(told) or None,
    )


def _matches(each: _Read, advisories: Advisories) -> Iterator[Match]:
    done: set[tuple[str, str, str]] = set()
    for pin in each.manifest.pinned:
        whom = package(pin.ecosystem, pin.name)
        if (*whom, pin.version) in done:
            continue
        done.add((*whom, pin.version))
        hits = [advisory for advisory in advisories.of(whom) if affects(advisory, whom, pin.version)]
        for same in _same(hits):
            yield _match(each.path, pin, same)


def _same(hits: Sequence[Advisory]) -> list[list[Advisory]]:
    """Return the advisories in groups that share a name."""
    groups: list[tuple[set[str], list[Advisory]]] = []
    for each in sorted(hits, key=lambda hit: hit.id):
        names, members = {each.id, *each.aliases}, [each]
        apart: list[tuple[set[str], list[Advisory]]] = []
        for known, some in groups:
            if known & names:
                names |= known
                members = some + members
            else:
                apart.append((known, some))
        groups = [*apart, (names, members)]
    return [members for _, members in groups]


def _match(path: str, pin: Pinned, same: Sequence[Advisory]) -> Match:
    whom = package(pin.ecosystem, pin.name)
    rule = rule_of(name for each in same for name in (each.id, *each.aliases))
    summary = next((each.summary for each in same if each.summary), "it has a known weakness")
    fixed = next((version for each in same if (version := fixed_in(each, whom, pin.version))), None)
    end = f"fixed in {fixed}" if fixed else "no version is known in which it is fixed"
    return Match(
        rule_id=f"{TOOL}:{plain(rule, 100)}",
        severity=min(severity_of(each, whom) for each in same),
        message=f"{plain(pin.name, 100)} {plain(pin.version, 50)}: {plain(summary, 300)}; {end}",
        tool=TOOL,
        file=path,
        line=pin.line,
        end_line=pin.line,
        symbol=whom[1],
    )
