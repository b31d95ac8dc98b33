"""Zizmor: what is dangerous in workflows and actions of GitHub; offline, without its configuration and its ignores."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from runwright.domain.severities import CONFIDENCE, graded
from runwright.sandbox.scanner import Report, ScanBounds, Seen, Text
from runwright.scanners.program import BadReport, Read, Said, looked
from runwright.scanners.told import Told, within

TOOL = "zizmor"
_THEIRS = re.compile(r"(?:.*/)?(?:\.github/workflows/[^/]+\.ya?ml|action\.ya?ml)|\.github/dependabot\.ya?ml")
_DONE = re.compile(r"^ ?INFO audit: zizmor: .{0,8}completed ", re.MULTILINE)


class _Path(msgspec.Struct):
    verbatim_path: str


class _Key(msgspec.Struct):
    Local: _Path | None = None


class _Symbolic(msgspec.Struct):
    key: _Key
    kind: str = ""
    annotation: str = ""


class _Point(msgspec.Struct):
    row: int


class _Span(msgspec.Struct):
    start_point: _Point
    end_point: _Point


class _Concrete(msgspec.Struct):
    location: _Span


class _Location(msgspec.Struct):
    symbolic: _Symbolic
    concrete: _Concrete


class _Determinations(msgspec.Struct):
    severity: str
    confidence: str


class _Finding(msgspec.Struct):
    ident: str
    desc: str
    determinations: _Determinations
    locations: tuple[_Location, ...]


_decode = msgspec.json.Decoder(tuple[_Finding, ...]).decode


class Zizmor:
    """Runs zizmor over what GitHub would read."""

    name = tool = program = TOOL
    good = frozenset({0})
    silencer = None

    async def scan(self, ground: Seen, bounds: ScanBounds) -> Report:
        """Look at workflows, actions and the configuration of dependabot."""
        return await looked(self, ground, [text for text in ground.texts if _THEIRS.fullmatch(text.path)], bounds)

    def words(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Return its command line."""
        options = ("--offline", "--no-config", "--no-ignores", "--no-exit-codes", "--no-progress", "--collect", "all")
        return (self.program, *options, "--color", "never", "--format", "json-v1", "--", *paths)

    def files(self) -> dict[str, str]:
        """Return nothing: it needs none."""
        return {}

    def read(self, said: Said, given: Sequence[Text]) -> Read:
        """Read its report; which files it has looked into, it says only beside it."""
        done = len(_DONE.findall(said.complaints))
        if done > len(given):
            raise BadReport("it tells of more files than it was given")
        told = tuple(_told(each) for each in _decode(said.report) if each.locations)
        return Read(told, len(given) - done)


def _told(each: _Finding) -> Told:
    place = next((place for place in each.locations if place.symbolic.kind == "Primary"), each.locations[0])
    path = place.symbolic.key.Local
    span = place.concrete.location
    said = place.symbolic.annotation
    return Told(
        rule=each.ident,
        severity=graded("zizmor", each.determinations.severity),
        message=f"{each.desc}: {said}" if said else each.desc,
        path="" if path is None else within(path.verbatim_path),
        line=span.start_point.row + 1,
        end_line=span.end_point.row + 1,
        confidence=CONFIDENCE.get(each.determinations.confidence.upper(), CONFIDENCE["LOW"]),
    )
