"""Raise pins to the first version in which an advisory's weakness is fixed: in requirements and `pyproject.toml`.

The version is the one that the audit of dependencies named. Lock files and pins with hashes are for the programs that
write them, and are left alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from runwright.domain.finding import Finding
from runwright.domain.patch import Patch, PatchBounds, between
from runwright.domain.patch_refusal import PatchRefused
from runwright.fixers.apply import reader
from runwright.fixers.port import FILES_MAX
from runwright.sandbox.scanner import Ground

TOOL = "dependencies"
_FILES = re.compile(
    r"(?:.*/)?(?:requirements[^/]*\.(?:txt|in)|constraints[^/]*\.txt|pyproject\.toml)|(?:.*/)?requirements/[^/]+\.(?:txt|in)"
)
_TOLD = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]{0,99}) (?P<version>[\w.+!-]{1,50}): .*; fixed in (?P<fixed>[\w.+!-]{1,50})", re.DOTALL
)
_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,99})(?P<extras>\s{0,4}(?:\[[^\]\n]{0,200}\])?\s{0,4}={2,3}\s{0,4})(?P<version>[\w.+!-]{1,50})"
)


class DependencyBumps:
    """Proposes pins that are raised."""

    name = TOOL

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        """Return the pins of the findings, raised; None where none is fixed anywhere, or written in another way."""
        wanted: dict[str, dict[tuple[str, str], Version]] = {}
        for each in findings:
            if TOOL in each.sources and _FILES.fullmatch(each.file):
                _note(wanted.setdefault(each.file, {}), each.message)
        return await asyncio.to_thread(_bumped, ground, wanted, bounds)


def _note(pins: dict[tuple[str, str], Version], message: str) -> None:
    """Note to which version a package is to be raised: the highest of those that its advisories name."""
    found = _TOLD.fullmatch(message)
    if found is None:
        return
    try:
        was, fixed = Version(found["version"]), Version(found["fixed"])
    except InvalidVersion:
        return
    key = (canonicalize_name(found["name"]), found["version"])
    if fixed > was:
        pins[key] = max(fixed, pins.get(key, fixed))


def _bumped(
    ground: Ground, wanted: Mapping[str, Mapping[tuple[str, str], Version]], bounds: PatchBounds
) -> Patch | None:
    read = reader(ground.files, bounds)
    before: dict[str, str] = {}
    after: dict[str, str] = {}
    for path, pins in sorted(wanted.items())[:FILES_MAX]:
        try:
            text = (read(path) or b"").decode()
        except (PatchRefused, UnicodeDecodeError):
            continue
        new = "\n".join(_line(line, pins) for line in text.split("\n"))
        if new != text and "--hash" not in text:
            before[path], after[path] = text, new
    return between(before, after, bounds) if after else None


def _line(line: str, pins: Mapping[tuple[str, str], Version]) -> str:
    if line.lstrip().startswith("#"):
        return line

    def raised(found: re.Match[str]) -> str:
        version = pins.get((canonicalize_name(found["name"]), found["version"]))
        return found[0] if version is None else f"{found['name']}{found['extras']}{version}"

    return _PIN.sub(raised, line)
