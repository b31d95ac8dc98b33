"""The files that say which packages a project has: lock files and lists of requirements, of Python and of JavaScript.

Only what is pinned to a version can be looked up; what is not is counted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from packaging.requirements import InvalidRequirement, Requirement

from runwright.domain.osv import Ecosystem

_REQUIREMENTS = re.compile(
    r"(?:.*/)?(?:requirements[^/]*|constraints[^/]*)\.(?:txt|in)|(?:.*/)?requirements/[^/]+\.(?:txt|in)"
)
_OPTION = re.compile(r"\s(?:--hash|--config-settings|--global-option)[= ]\S+")
_COMMENT = re.compile(r"(?:^|\s)#.*")
_NAME_LINE = re.compile(r"""^[ \t]*name[ \t]*=[ \t]*["']([^"'\n]{1,200})["']""", re.MULTILINE)
_KEY_LINE = re.compile(r'^[ \t]*"((?:[^"\\\n]|\\.){1,500})"[ \t]*:[ \t]*\{', re.MULTILINE)
_DEPTH_MAX = 50


class Pinned(msgspec.Struct, frozen=True):
    """A package at a version, and where that is written; a `line` of 0 is unknown."""

    ecosystem: Ecosystem
    name: str
    version: str
    line: int = 0


class Manifest(msgspec.Struct, frozen=True):
    """What a file pins, and how many more it names without a version."""

    pinned: tuple[Pinned, ...]
    loose: int = 0


class NotRead(Exception):
    """Say why a file is none that can be read."""


def reader_of(path: str) -> Callable[[str], Manifest] | None:
    """Return how a file of this name is read; None for what is no manifest."""
    name = path.rpartition("/")[2]
    return _READERS.get(name) or (_requirements if _REQUIREMENTS.fullmatch(path) else None)


def locks(path: str) -> tuple[str, ...]:
    """Return the lock files that say more than a manifest which they lie beside; none for others."""
    home, name = path[: path.rfind("/") + 1], path.rpartition("/")[2]
    return tuple(home + lock for lock in _LOCKS.get(name, ()))


def _requirements(text: str) -> Manifest:
    pinned: list[Pinned] = []
    loose = 0
    for line, written in _logical(text):
        words = _OPTION.sub("", f" {_COMMENT.sub('', written)}").strip()
        if not words or (words.startswith("-") and not words.startswith(("-e", "--editable"))):
            continue
        found = _pin(words, line)
        pinned += [] if found is None else [found]
        loose += found is None
    return Manifest(tuple(pinned), loose)


def _logical(text: str) -> Iterator[tuple[int, str]]:
    waiting, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first if waiting else number
        if line.endswith("\\"):
            waiting += line[:-1] + " "
        else:
            yield first, waiting + line
            waiting = ""
    if waiting:
        yield first, waiting


def _pin(words: str, line: int) -> Pinned | None:
    try:
        needed = Requirement(words)
    except InvalidRequirement:
        return None
    for each in needed.specifier:
        if each.operator in {"==", "==="} and not each.version.endswith(".*"):
            return Pinned("PyPI", needed.name, each.version, line)
    return None


def _pyproject(text: str) -> Manifest:
    found = _toml(text)
    project = _table(found.get("project"))
    lists = [project.get("dependencies"), _table(found.get("build-system")).get("requires")]
    lists += [*_table(project.get("optional-dependencies")).values(), *_table(found.get("dependency-groups")).values()]
    written = [each for some in lists if isinstance(some, list) for each in some if isinstance(each, str)]
    pins = [_pin(each, _line_of(text, each)) for each in written]
    return Manifest(tuple(pin for pin in pins if pin is not None), pins.count(None))


def _line_of(text: str, written: str) -> int:
    place = text.find(written)
    return 0 if place < 0 else text.count("\n", 0, place) + 1


def _lock(text: str) -> Manifest:
    """Read `uv.lock`, `poetry.lock`, `pdm.lock` and `pylock.toml`: they list packages with names and versions."""
    found = _toml(text)
    listed = found.get("package", found.get("packages", []))
    if not isinstance(listed, list):
        raise NotRead("it lists no packages")
    lines = _lines(_NAME_LINE, text)
    pinned: list[Pinned] = []
    loose = 0
    for each in map(_table, listed):
        name, version = each.get("name"), each.get("version")
        if not isinstance(name, str):
            raise NotRead("a package has no name")
        line = next(lines.get(name, iter(())), 0)
        if _table(each.get("source")).keys() & {"virtual", "editable", "directory"}:
            continue  # the project itself, or a part of it
        if isinstance(version, str):
            pinned.append(Pinned("PyPI", name, version, line))
        else:
            loose += 1
    return Manifest(tuple(pinned), loose)


def _package_lock(text: str) -> Manifest:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as why:
        raise NotRead(str(why)) from None
    if not isinstance(found, dict):
        raise NotRead("it is no object")
    lines = _lines(_KEY_LINE, text)
    packages = found.get("packages")
    if isinstance(packages, dict):
        return _manifest(_of_packages(packages, lines))
    return _manifest(_of_dependencies(_table(found.get("dependencies")), lines, 0))


def _manifest(found: Iterable[Pinned | None]) -> Manifest:
    listed = list(found)
    return Manifest(tuple(each for each in listed if each is not None), listed.count(None))


def _of_packages(packages: dict[str, Any], lines: dict[str, Iterator[int]]) -> Iterator[Pinned | None]:
    for path, each in packages.items():
        if "node_modules/" not in path or not isinstance(each, dict) or each.get("link") is True:
            continue  # the project itself, or a part of it
        line = next(lines.get(path, iter(())), 0)
        yield _node(each.get("name") or path.rpartition("node_modules/")[2], each.get("version"), line)


def _of_dependencies(found: dict[str, Any], lines: dict[str, Iterator[int]], depth: int) -> Iterator[Pinned | None]:
    if depth > _DEPTH_MAX:
        raise NotRead("its packages lie in each other too deeply")
    for name, each in found.items():
        said = _table(each)
        yield _node(name, said.get("version"), next(lines.get(name, iter(())), 0))
        yield from _of_dependencies(_table(said.get("dependencies")), lines, depth + 1)


def _node(name: object, version: object, line: int) -> Pinned | None:
    if isinstance(name, str) and isinstance(version, str) and version[:1].isdigit():
        return Pinned("npm", name, version, line)
    return None


def _lines(pattern: re.Pattern[str], text: str) -> dict[str, Iterator[int]]:
    """Return at which lines names stand, in order; a name that stands there again takes the next."""
    found: dict[str, list[int]] = {}
    line, at = 1, 0
    for each in pattern.finditer(text):
        line, at = line + text.count("\n", at, each.start(1)), each.start(1)
        found.setdefault(each[1], []).append(line)
    return {name: iter(places) for name, places in found.items()}


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as why:
        raise NotRead(str(why)) from None


def _table(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


_READERS: dict[str, Callable[[str], Manifest]] = {
    "pyproject.toml": _pyproject,
    "uv.lock": _lock,
    "poetry.lock": _lock,
    "pdm.lock": _lock,
    "pylock.toml": _lock,
    "package-lock.json": _package_lock,
    "npm-shrinkwrap.json": _package_lock,
}
_LOCKS = {"pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml", "requirements.txt")}
