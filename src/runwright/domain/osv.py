"""Advisories of the OSV schema: whom they are about, and which versions are affected (https://ossf.github.io/osv-schema).

Ecosystems are PyPI, whose versions are compared by PEP 440, and npm, whose versions are SemVer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Literal

import cvss
import msgspec
import semver
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runwright.domain.finding import Severity
from runwright.domain.severities import graded, scored

Ecosystem = Literal["PyPI", "npm"]
ECOSYSTEMS: tuple[Ecosystem, ...] = ("PyPI", "npm")
_BEGINNING = "0"


class Unreadable(Exception):
    """Say why a record is none of the schema."""


class _Named(msgspec.Struct, frozen=True):
    ecosystem: str = ""
    name: str = ""


class _Event(msgspec.Struct, frozen=True):
    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None


class _Range(msgspec.Struct, frozen=True):
    type: str
    events: tuple[_Event, ...] = ()


class _Score(msgspec.Struct, frozen=True):
    type: str
    score: str


class _Affected(msgspec.Struct, frozen=True):
    package: _Named = _Named()
    ranges: tuple[_Range, ...] = ()
    versions: tuple[str, ...] = ()
    severity: tuple[_Score, ...] = ()


class Advisory(msgspec.Struct, frozen=True):
    """A record, as far as it is used."""

    id: str
    aliases: tuple[str, ...] = ()
    withdrawn: str | None = None
    summary: str = ""
    affected: tuple[_Affected, ...] = ()
    severity: tuple[_Score, ...] = ()
    database_specific: Any = None


class _Whom(msgspec.Struct):
    package: _Named = _Named()


class _About(msgspec.Struct):
    affected: tuple[_Whom, ...] = ()


Package = tuple[str, str]
"""An ecosystem and a name, as the ecosystem compares names."""
_about = msgspec.json.Decoder(_About).decode
_advisory = msgspec.json.Decoder(Advisory).decode


def package(ecosystem: str, name: str) -> Package:
    """Return a package by the name under which it is compared."""
    return (ecosystem, canonicalize_name(name) if ecosystem == "PyPI" else name)


def about(data: bytes) -> set[Package]:
    """Return the packages of ours that a record is about, without reading the rest. Raises `Unreadable`."""
    try:
        named = [each.package for each in _about(data).affected]
    except (msgspec.DecodeError, RecursionError) as why:
        raise Unreadable(str(why)) from None
    return {package(each.ecosystem, each.name) for each in named if each.ecosystem in ECOSYSTEMS}


def read_advisory(data: bytes) -> Advisory:
    """Return a record. Raises `Unreadable`."""
    try:
        return _advisory(data)
    except (msgspec.DecodeError, RecursionError) as why:
        raise Unreadable(str(why)) from None


def known_version(ecosystem: str, version: str) -> bool:
    """Tell whether a version is one that can be compared."""
    return _order(ecosystem)(version) is not None


def affects(advisory: Advisory, whom: Package, version: str) -> bool:
    """Tell whether a version of a package is affected; a record that was withdrawn is about nobody."""
    return advisory.withdrawn is None and any(_hits(each, whom[0], version) for each in _of(advisory, whom))


def fixed_in(advisory: Advisory, whom: Package, version: str) -> str | None:
    """Return the lowest version after this one in which it is fixed, if it says one."""
    order = _order(whom[0])
    here = order(version)
    if here is None:
        return None
    ends = [
        event.fixed for each in _of(advisory, whom) for span in _spans(each) for event in span.events if event.fixed
    ]
    later = [(key, end) for end in ends if (key := order(end)) is not None and key > here]
    return min(later)[1] if later else None


def severity_of(advisory: Advisory, whom: Package) -> Severity:
    """Return how grave it is: by its highest score of CVSS, else by its database's word, else P2."""
    scores = [each for affected in _of(advisory, whom) for each in affected.severity] or list(advisory.severity)
    found = [score for each in scores if (score := _base_score(each)) is not None]
    if found:
        return scored(max(found))
    said = advisory.database_specific
    word = said.get("severity") if isinstance(said, dict) else None
    return graded("osv", word if isinstance(word, str) else "")


def rule_of(names: Iterable[str]) -> str:
    """Return the name by which most people know it: its CVE, then GitHub's, then the first of all."""
    ordered = sorted(set(names))
    return next((name for start in ("CVE-", "GHSA-") for name in ordered if name.startswith(start)), ordered[0])


def _of(advisory: Advisory, whom: Package) -> Iterator[_Affected]:
    return (each for each in advisory.affected if package(each.package.ecosystem, each.package.name) == whom)


def _spans(affected: _Affected) -> Iterator[_Range]:
    return (span for span in affected.ranges if span.type in {"ECOSYSTEM", "SEMVER"})


def _hits(affected: _Affected, ecosystem: str, version: str) -> bool:
    order = _order(ecosystem)
    here = order(version)
    if version in affected.versions or (here is not None and here in map(order, affected.versions)):
        return True
    return here is not None and any(_within(span, here, order) for span in _spans(affected))


def _within(span: _Range, here: Any, order: Callable[[str], Any]) -> bool:
    """Follow the events of a range in the order of their versions, up to ours."""
    inside = False
    for key, kind in sorted(_marks(span, order), key=lambda mark: (mark[0] is not None, mark[0] or here, mark[1])):
        if key is None or here > key or (here == key and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _marks(span: _Range, order: Callable[[str], Any]) -> Iterator[tuple[Any, str]]:
    for event in span.events:
        for kind in ("introduced", "fixed", "last_affected"):
            version = getattr(event, kind)
            if version == _BEGINNING and kind == "introduced":
                yield None, kind
            elif version is not None and (key := order(version)) is not None:
                yield key, kind


def _order(ecosystem: str) -> Callable[[str], Any]:
    return _python if ecosystem == "PyPI" else _semver


@cache
def _python(version: str) -> Version | None:
    try:
        return Version(version)
    except InvalidVersion:
        return None


@cache
def _semver(version: str) -> semver.Version | None:
    try:
        return semver.Version.parse(version.removeprefix("v"), optional_minor_and_patch=True)
    except (ValueError, TypeError):
        return None


def _base_score(score: _Score) -> float | None:
    reader = {"CVSS_V2": cvss.CVSS2, "CVSS_V3": cvss.CVSS3, "CVSS_V4": cvss.CVSS4}.get(score.type)
    if reader is None:
        return None
    try:
        return float(reader(score.score).base_score)
    except (cvss.exceptions.CVSSError, ValueError):
        return None
