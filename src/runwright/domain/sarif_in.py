"""SARIF 2.1.0 of others, read: what a tool found, where, and how grave that is by our measure.

It is read generously, as tools write it in many ways, and believed in nothing but what it found: what it says is
suppressed is told all the same, for the tree may have said so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from runwright.domain.finding import Severity
from runwright.domain.severities import of_sarif

VERSION = "2.1.0"
_BASES_MAX = 10
_PLACEHOLDER = re.compile(r"\{(\d{1,3})\}")
_FINE = frozenset({"pass", "notApplicable", "informational"})


class NotSarif(Exception):
    """Say why a text is no log of SARIF 2.1.0."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a tool found; a `path` that is absolute is one of its machine, no `path`: of no file."""

    tool: str
    rule: str
    severity: Severity
    message: str
    path: str = ""
    line: int = 0
    end_line: int = 0


class Log(msgspec.Struct, frozen=True):
    """What a log says: results, what the tools complain of where they did not succeed, and how many files they name."""

    results: tuple[Result, ...]
    failures: tuple[str, ...]
    files: int


class _Message(msgspec.Struct):
    text: str = ""
    markdown: str = ""
    id: str | None = None
    arguments: tuple[str, ...] = ()


class _Config(msgspec.Struct):
    level: str = "warning"


class _Rule(msgspec.Struct, rename="camel"):
    id: str
    name: str = ""
    short_description: _Message = msgspec.field(default_factory=_Message)
    message_strings: dict[str, _Message] = msgspec.field(default_factory=dict)
    default_configuration: _Config = msgspec.field(default_factory=_Config)
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


class _Driver(msgspec.Struct):
    name: str
    rules: tuple[_Rule, ...] = ()


class _Tool(msgspec.Struct):
    driver: _Driver
    extensions: tuple[_Driver, ...] = ()


class _Place(msgspec.Struct, rename="camel"):
    uri: str = ""
    uri_base_id: str | None = None
    index: int = -1


class _Region(msgspec.Struct, rename="camel"):
    start_line: int = 0
    end_line: int = 0


class _Physical(msgspec.Struct, rename="camel"):
    artifact_location: _Place = msgspec.field(default_factory=_Place)
    region: _Region = msgspec.field(default_factory=_Region)


class _Location(msgspec.Struct, rename="camel"):
    physical_location: _Physical = msgspec.field(default_factory=_Physical)


class _RuleRef(msgspec.Struct):
    id: str = ""
    index: int = -1


class _Result(msgspec.Struct, rename="camel"):
    message: _Message = msgspec.field(default_factory=_Message)
    rule_id: str = ""
    rule_index: int = -1
    rule: _RuleRef = msgspec.field(default_factory=_RuleRef)
    level: str | None = None
    kind: str = "fail"
    baseline_state: str = ""
    locations: tuple[_Location, ...] = ()
    properties: dict[str, Any] = msgspec.field(default_factory=dict)


class _Notice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    level: str = "warning"


class _Invocation(msgspec.Struct, rename="camel"):
    execution_successful: bool = True
    tool_execution_notifications: tuple[_Notice, ...] = ()


class _Artifact(msgspec.Struct):
    location: _Place = msgspec.field(default_factory=_Place)


class _Run(msgspec.Struct, rename="camel"):
    tool: _Tool
    results: tuple[_Result, ...] | None = None
    invocations: tuple[_Invocation, ...] = ()
    artifacts: tuple[_Artifact, ...] = ()
    original_uri_base_ids: dict[str, _Place] = msgspec.field(default_factory=dict)


class _Log(msgspec.Struct):
    version: str
    runs: tuple[_Run, ...]


_decode = msgspec.json.Decoder(_Log).decode


def read_sarif(data: bytes) -> Log:
    """Return what a log says. Raises `NotSarif`."""
    try:
        found = _decode(data)
    except (msgspec.DecodeError, RecursionError) as why:
        raise NotSarif(str(why)) from None
    if found.version != VERSION:
        raise NotSarif(f"it is of version {found.version!r}, and not {VERSION}")
    return Log(
        tuple(result for run in found.runs for result in _results(run)),
        tuple(failure for run in found.runs for failure in _failures(run)),
        sum(len(run.artifacts) for run in found.runs),
    )


def _results(run: _Run) -> Iterator[Result]:
    for each in run.results or ():
        if each.kind not in _FINE and each.baseline_state != "absent":
            yield _result(run, each)


def _result(run: _Run, each: _Result) -> Result:
    rule = _rule(run.tool, each)
    place = each.locations[0].physical_location if each.locations else _Physical()
    level = each.level or rule.default_configuration.level
    return Result(
        tool=run.tool.driver.name,
        rule=each.rule_id or each.rule.id or rule.id,
        severity=of_sarif(level, _score(each.properties, rule.properties)),
        message=_said(each.message, rule),
        path=_path(run, place.artifact_location),
        line=max(0, place.region.start_line),
        end_line=max(0, place.region.end_line),
    )


def _rule(tool: _Tool, each: _Result) -> _Rule:
    ident = each.rule_id or each.rule.id
    index = each.rule_index if each.rule_index >= 0 else each.rule.index
    if 0 <= index < len(tool.driver.rules) and ident in {"", tool.driver.rules[index].id}:
        return tool.driver.rules[index]
    every = (rule for part in (tool.driver, *tool.extensions) for rule in part.rules)
    return next((rule for rule in every if rule.id == ident), _Rule(ident or "unnamed"))


def _score(*properties: Mapping[str, Any]) -> float | None:
    for each in properties:
        try:
            score = float(each.get("security-severity", ""))
        except (TypeError, ValueError):
            continue
        if 0 <= score <= 10:
            return score
    return None


def _said(message: _Message, rule: _Rule) -> str:
    text = message.text or message.markdown
    if not text and message.id is not None and message.id in rule.message_strings:
        text = rule.message_strings[message.id].text
    words = message.arguments
    filled = _PLACEHOLDER.sub(lambda mark: words[int(mark[1])] if int(mark[1]) < len(words) else mark[0], text)
    return filled or rule.short_description.text or rule.name or rule.id


def _path(run: _Run, place: _Place) -> str:
    if not place.uri and 0 <= place.index < len(run.artifacts):
        place = run.artifacts[place.index].location
    uri, base = place.uri, place.uri_base_id
    for _ in range(_BASES_MAX):
        before = run.original_uri_base_ids.get(base or "")
        if before is None or urlsplit(uri).scheme:
            break
        uri, base = before.uri + uri, before.uri_base_id
    parts = _split(uri)
    return unquote(parts) if parts is not None else ""


def _split(uri: str) -> str | None:
    """Return the path of a URI of a file; None for what is no file."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return None
    if parts.scheme not in {"", "file"} or (parts.netloc and parts.netloc != "localhost"):
        return None
    return parts.path if parts.scheme else uri.partition("#")[0].partition("?")[0]


def _failures(run: _Run) -> Iterator[str]:
    for each in run.invocations:
        if each.execution_successful:
            continue
        errors = [note.message.text for note in each.tool_execution_notifications if note.level == "error"]
        yield (errors or ["it says that it did not succeed"])[0]
