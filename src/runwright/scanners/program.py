"""A program that scans: run in the sandbox over the files that were seen, in as many calls as its arguments need.

It is given files by name, one by one, so that no list of its own and none of the tree decides what it looks at. What
goes wrong is told: a program that is not there, ends badly, takes too long or writes what cannot be read has not run,
or has run in part.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec
from msgspec.structs import replace

from runwright.domain.guards.tests import is_of_tests
from runwright.sandbox.child import NotStarted
from runwright.sandbox.command import Command, inside
from runwright.sandbox.programs import ProgramMissing, found
from runwright.sandbox.sandbox import WORKSPACE
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.told import Told, matches, plain, read, speakable

ARGUMENTS_MAX = 64 << 10
"""Bytes of names in one call: an order for the sandbox is one argument, which may have 128 KiB."""
FILES_MAX = 250
"""Files in one call: so much is lost when it takes too long."""
_OF_THE_TIME = 0.9
"""Of the time of a scanner its calls may use so much: what they found is to be told, too."""
SAID_MAX = 64 << 10
_ELSEWHERE = ("/bin/sh", "-c", 'cd /tmp && exec "$@"', "sh")
"""No program starts in the tree: what lies there is looked at, and is nobody's configuration."""

_ASSERTS = frozenset({"B101", "S101"})
"""Rules against `assert`, which tests are made of."""
_TOO_LATE = "it took too long"


class BadReport(Exception):
    """Say that a report is not what the program writes."""


class Said(NamedTuple):
    """What a program wrote: its report, its complaints, and how it ended."""

    status: int | None
    report: bytes
    complaints: str
    too_large: bool
    killed: str = ""


class Read(msgspec.Struct, frozen=True):
    """What a report says: what was found, and how many of the files the program could not look into."""

    told: tuple[Told, ...]
    unread: int = 0


class Program(Protocol):
    """A program that scans, for `looked`: what it is given, and how its report is read."""

    name: str
    tool: str
    program: str
    good: frozenset[int]

    @property
    def silencer(self) -> str | None:
        """Return the word of a comment that silences it, where no option switches that off."""
        ...

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line for files, by their paths in the sandbox."""
        ...

    def files(self) -> dict[str, str]:
        """Return what lies beside it while it runs, by name."""
        ...

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its report. Raises `BadReport`."""
        ...


async def looked(program: Program, seen: Seen, texts: Sequence[Text], bounds: ScanBounds) -> Report:
    """Run a program over texts, and report."""
    try:
        found(program.program)
    except ProgramMissing as why:
        return Report(scanner=program.name, status="not_run", reason=str(why))
    given = [text for text in texts if speakable(text.path)]
    work = _Work(program, seen, bounds)
    try:
        await work.over(given)
    except NotStarted as why:
        work.failed(str(why), 0)
    return await work.report(given, unspoken=len(texts) - len(given))


class _Work:
    """One program at work, batch after batch."""

    def __init__(self, program: Program, seen: Seen, bounds: ScanBounds) -> None:
        self._program = program
        self._seen = seen
        self._bounds = bounds
        self._now = asyncio.get_running_loop().time
        self._until = self._now() + bounds.seconds * _OF_THE_TIME
        self._told: list[Told] = []
        self._looked = 0
        self._unread = 0
        self._instead: dict[str, str] = {}
        self._failures: Counter[str] = Counter()

    async def over(self, given: Sequence[Text]) -> None:
        """Run over files, in batches; one whose report is too large is looked at in halves."""
        waiting = list(reversed(_batches(given)))
        while waiting:
            batch = waiting.pop()
            left_s = self._until - self._now()
            if left_s <= 0:
                self.failed(_TOO_LATE, len(batch) + sum(map(len, waiting)))
                return
            said = await self._run(batch, left_s)
            if said.too_large and len(batch) > 1:
                middle = len(batch) // 2
                waiting += [batch[middle:], batch[:middle]]
            else:
                self._heard(said, batch)

    async def _run(self, batch: Sequence[Text], left_s: float) -> Said:
        out, bounds = Heard(self._bounds.report_max_bytes), self._bounds
        outspoken = await asyncio.to_thread(self._outspoken, batch)
        self._instead |= {inside(name): path for path, (name, _) in outspoken.items()}
        names = [inside(outspoken[text.path][0]) if text.path in outspoken else _shown(text.path) for text in batch]
        command = Command(
            (*_ELSEWHERE, *self._program.words(names)),
            timeout_s=left_s,
            memory_bytes=bounds.memory_bytes,
            cpus=bounds.cpus,
            output_max_bytes=SAID_MAX,
            env={"NO_COLOR": "1"},
            files=self._program.files() | dict(outspoken.values()),
            programs=(self._program.program,),
        )
        ended = await self._seen.run(command, out.hear)
        if ended.exceeded is not None:
            return Said(None, b"", "", too_large=False, killed=f"it was killed at its limit of {ended.exceeded.limit}")
        return Said(ended.status, bytes(out.report), out.complaints.decode("utf-8", "replace"), out.too_large)

    def _outspoken(self, batch: Sequence[Text]) -> dict[str, tuple[str, str]]:
        """Return what is given instead of files that would silence the program: a name and a text, by path."""
        word, found = self._program.silencer, dict[str, tuple[str, str]]()
        for text in batch if word is not None else ():
            says = read(self._seen.files, text.path, self._bounds.file_max_bytes)
            if says is not None and word is not None and word in says:
                name = f"stand-in-{len(found)}.{text.path.rpartition('.')[2][:20].replace('/', '')}"
                found[text.path] = (name, says.replace(word, word[:-1] + "_"))
        return found

    def _heard(self, said: Said, batch: Sequence[Text]) -> None:
        if said.too_large:
            self.failed(f"its report has more than {self._bounds.report_max_bytes} bytes", len(batch))
        elif said.status is None:
            self.failed(said.killed or _TOO_LATE, len(batch))
        elif said.status not in self._program.good:
            first = plain(said.complaints.strip().partition("\n")[0], 200)
            self.failed(f"it ended with the exit code {said.status}{f': {first}' if first else ''}", len(batch))
        else:
            try:
                understood = self._program.read(said, batch)
            except (BadReport, msgspec.DecodeError, RecursionError) as why:
                self.failed(f"its report could not be read: {plain(str(why), 200)}", len(batch))
                return
            told = (replace(each, path=self._instead.get(each.path, each.path)) for each in understood.told)
            self._told += [each for each in told if not (each.rule in _ASSERTS and is_of_tests(each.path))]
            self._looked += len(batch) - understood.unread
            self._unread += understood.unread

    def failed(self, why: str, files: int) -> None:
        """Note that files were not looked into."""
        self._failures[why] += files

    async def report(self, given: Sequence[Text], *, unspoken: int) -> Report:
        """Return what came of it."""
        name, reasons = self._program.name, [_told(why, files) for why, files in self._failures.items()]
        if reasons and not self._looked:
            return Report(scanner=name, status="not_run", reason=plain("; ".join(reasons)))
        if self._unread:
            reasons.append(f"{self._unread} files are none that it can read")
        if unspoken:
            reasons.append(f"{unspoken} files have names with unseen characters, and were not given to it")
        gravest = sorted(self._told, key=lambda each: each.severity)[: self._bounds.matches_max]
        found_here = await asyncio.to_thread(matches, self._program.tool, gravest, self._seen, given, self._bounds)
        return Report(
            scanner=name,
            status="partial" if reasons else "completed",
            files=self._looked,
            matches=found_here,
            reason=plain("; ".join(reasons)) if reasons else None,
            more=len(self._told) - len(gravest),
        )


def _told(why: str, files: int) -> str:
    return f"{why} ({files} files)" if files else why


class Heard:
    """What a program says on its two outputs, within bounds."""

    def __init__(self, most: int) -> None:
        self.report = bytearray()
        self.complaints = bytearray()
        self.too_large = False
        self._most = most

    async def hear(self, stream: str, piece: bytes) -> None:
        """Hear a piece."""
        if stream == "stdout":
            self.too_large = self.too_large or len(self.report) + len(piece) > self._most
            self.report += b"" if self.too_large else piece
        else:
            self.complaints += piece[: SAID_MAX - len(self.complaints)]


def _shown(path: str) -> str:
    return f"{WORKSPACE}/{path}"


def _batches(given: Sequence[Text]) -> list[list[Text]]:
    batches: list[list[Text]] = []
    size = ARGUMENTS_MAX
    for text in given:
        size += len(text.path.encode("utf-8", "surrogateescape")) * 2 + len(WORKSPACE) + 8
        if size >= ARGUMENTS_MAX or len(batches[-1]) >= FILES_MAX:
            batches.append([])
            size = 0
        batches[-1].append(text)
    return batches


def of_language(seen: Seen, *languages: str) -> list[Text]:
    """Return the texts of languages."""
    return [text for text in seen.texts if text.language in languages]
