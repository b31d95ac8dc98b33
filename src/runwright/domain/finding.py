"""Findings: what a look at a tree found, in one schema whoever looked, with a name that outlives edits around it.

The name of a finding (its fingerprint) is over the rule, the file, the symbol around it and its neighbouring code,
without white space and with literals by class only: neither its line nor its severity nor its message. So lines that
are inserted above, another indentation and another severity leave it the same finding (`omar/v2`).

Two scanners that look for the same thing under different numbers have one name for it (`family`). Where they tell of
the same statement by different lines of it, that is one place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Literal

import msgspec

Severity = Literal["P0", "P1", "P2", "P3"]
BaselineState = Literal["new", "unchanged", "fixed", "regressed"]
Status = Literal["completed", "partial", "not_run"]

SCHEME = b"omar/v2"
WINDOW = 2
"""How many lines that are not blank belong to a finding's neighbourhood, before it and after it."""
_LINES_BACK = 400
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}|[0-9][0-9A-Za-z_.]{0,60}|\"[^\"\n]*\"|'[^'\n]*'|[^\sA-Za-z0-9_\"']")
_SYMBOL = re.compile(
    r"(?P<indent>[ \t]*)(?:(?:export|default|public|private|protected|static|async|pub|abstract|final)\s+){0,4}"
    r"(?:class|def|function|func|fn|interface|struct|trait|impl|module|namespace)\s+(?P<name>[A-Za-z_]\w{0,120})"
)
_TWINS = re.compile(r"(?:bandit:B|ruff:S)(?P<number>\d{3})")
"""Ruff has the rules of bandit under bandit's numbers."""
_LETTERS = {"bandit": "B", "ruff": "S"}
_NEAR = 64
"""With so many places before it in its file, of its family, is a match compared."""
_WITH_HEADINGS = (".md", ".markdown", ".mdx")
_HEADING = re.compile(r"(?P<marks>#{1,6})\s+(?P<name>[^\n]{1,120})")


def _new() -> BaselineState:
    return "new"


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """What a scanner found; of its words and its file only what the redactor left is kept.

    `window` is the text around it, in which secrets are replaced already; `symbol` what it stands in; `owners` whose
    the file is.
    """

    rule_id: str
    severity: Severity
    message: str
    tool: str
    file: str
    line: int = 0
    end_line: int = 0
    confidence: float = 1.0
    window: str = ""
    symbol: str = ""
    owners: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`finding.opened`: something to be looked at. A `line` of 0 means the whole file, no `file` the whole tree.

    `sources` are all who found it; `baseline_state` compares it with an earlier look. `content_key` is over the rule
    and the neighbouring code alone: it is the same in a file that was renamed, or in another function. What has no
    neighbourhood has none. `owners` are those of its file, as the base says.
    """

    finding_id: str
    fingerprint: str
    severity: Severity
    rule_id: str
    message: str
    file: str
    line: int
    end_line: int
    tool: str
    confidence: float
    baseline_state: BaselineState = msgspec.field(default_factory=_new)  # a factory's value is never left out
    sources: tuple[str, ...] = ()
    symbol: str = ""
    content_key: str = ""
    owners: tuple[str, ...] = ()


class _Place(msgspec.Struct):
    """Where one statement is told of, and by whom so far."""

    first: Match
    told: set[str]


def findings(matches: Iterable[Match]) -> list[Finding]:
    """Return the findings of one look, the gravest first; equal ones by several scanners are one with all its sources.

    Of the same finding twice in a file each is told, by its place among them.
    """
    return findings_by([list(matches)])[0]


def findings_by(reports: Sequence[Sequence[Match]]) -> tuple[list[Finding], list[set[str]]]:
    """Return the findings of all reports together, and for each report the fingerprints of those that are its own."""
    counts: dict[tuple[str, str, bytes], int] = {}
    found: dict[str, Finding] = {}
    own: list[set[str]] = [set() for _ in reports]
    pairs = [(match, names) for matches, names in zip(reports, own, strict=True) for match in matches]
    pairs.sort(key=lambda pair: (pair[0].file, pair[0].line, pair[0].rule_id, pair[0].tool))
    for (each, place), (_, names) in zip(_placed(match for match, _ in pairs), pairs, strict=True):
        neighbourhood = _neighbourhood(place)
        key = (each.tool, each.rule_id, neighbourhood)
        counts[key] = counts.get(key, 0) + 1
        name = sha256(neighbourhood + b"\0" + str(counts[key]).encode()).hexdigest()
        found[name] = _joined(found[name], each) if name in found else _finding(name, each, _content_key(place))
        names.add(name)
    return sorted(found.values(), key=rank), own


def rank(finding: Finding) -> tuple[str, str, int, str]:
    """Return the place of a finding among others: the gravest first, then by file and line."""
    return (finding.severity, finding.file, finding.line, finding.rule_id)


def _placed(matches: Iterable[Match]) -> Iterator[tuple[Match, Match]]:
    """Yield each match with the first of its statement: of lines that overlap, each tool tells once for a family."""
    before: dict[tuple[str, str], list[_Place]] = {}
    for each in matches:
        places = before.setdefault((each.file, family(each.rule_id)), [])
        near = [
            place
            for place in places[-_NEAR:]
            if each.line and each.tool not in place.told and each.line <= max(place.first.line, place.first.end_line)
        ]
        if near:
            nearest = max(near, key=lambda place: place.first.line)
            nearest.told.add(each.tool)
            yield each, nearest.first
        else:
            places.append(_Place(each, {each.tool}))
            yield each, each


def family(rule_id: str) -> str:
    """Return what a rule looks for, whoever has it: what stands behind the tool's name, or the name twins share."""
    if twin := _TWINS.fullmatch(rule_id):
        return f"S{twin['number']}"
    return rule_id.rpartition(":")[2]


def rules_of(finding: Finding) -> frozenset[str]:
    """Return the rules by which it was found: its own, and what its other sources call the same."""
    twin = _TWINS.fullmatch(finding.rule_id)
    if twin is None:
        rule = family(finding.rule_id)
        return frozenset({finding.rule_id, *(f"{source}:{rule}" for source in finding.sources)})
    named = {tool: f"{tool}:{letter}{twin['number']}" for tool, letter in _LETTERS.items()}
    return frozenset({finding.rule_id, *(named[source] for source in finding.sources if source in named)})


def _neighbourhood(match: Match) -> bytes:
    return _scheme(family(match.rule_id), match.file, match.symbol, _window_hash(match))


def _content_key(match: Match) -> str:
    if not match.window.strip():
        return ""
    return sha256(_scheme(family(match.rule_id), _window_hash(match))).hexdigest()[:32]


def _window_hash(match: Match) -> str:
    tokens = " ".join(_class(token) for token in _TOKEN.findall(match.window))
    return sha256(tokens.encode("utf-8", "surrogatepass")).hexdigest()


def _scheme(*parts: str) -> bytes:
    return SCHEME + b"".join(b"\0" + part.encode("utf-8", "surrogatepass") for part in parts)


def _class(token: str) -> str:
    if token[0] in "\"'":
        return "S"
    return "N" if token[0].isdigit() else token


def _finding(name: str, match: Match, content_key: str) -> Finding:
    return Finding(
        finding_id=f"fnd_{name[:32]}",
        fingerprint=name,
        severity=match.severity,
        rule_id=match.rule_id,
        message=match.message,
        file=match.file,
        line=match.line,
        end_line=max(match.line, match.end_line),
        tool=match.tool,
        confidence=match.confidence,
        sources=(match.tool,),
        symbol=match.symbol,
        content_key=content_key,
        owners=match.owners,
    )


def _joined(one: Finding, other: Match) -> Finding:
    """Return a finding that another scanner found, too: the graver severity counts, then the higher confidence."""
    sources = tuple(sorted({*one.sources, other.tool}))
    if (other.severity, -other.confidence) < (one.severity, -one.confidence):
        one = _finding(one.fingerprint, other, one.content_key)
    return msgspec.structs.replace(one, sources=sources)


def window(lines: Sequence[str], first: int, last: int) -> str:
    """Return the lines from `first` to `last` (counted from 1) with their neighbours that are not blank."""
    before = [line for line in lines[max(0, first - 1 - _LINES_BACK) : first - 1] if line.strip()][-WINDOW:]
    after = [line for line in lines[last : last + _LINES_BACK] if line.strip()][:WINDOW]
    return "\n".join((*before, *lines[first - 1 : last], *after))


def symbol(lines: Sequence[str], line: int, file: str = "") -> str:
    """Return what the line stands in: classes and functions around it by their indentation; in Markdown its heading.

    It is read from the lines alone, as a parser is more than a stranger's file should be given.
    """
    names: list[str] = []
    headings = file.lower().endswith(_WITH_HEADINGS)  # elsewhere it is a comment, which comes and goes
    here = lines[line - 1] if 0 < line <= len(lines) else ""
    depth = len(here) - len(here.lstrip()) if here.strip() else 1 << 30
    for each in reversed(lines[max(0, line - _LINES_BACK) : line]):
        found = _SYMBOL.match(each)
        if found and (len(found["indent"]) < depth or each is here):
            names.append(found["name"])
            depth = len(found["indent"])
            if depth == 0:
                break
        elif headings and not names and (title := _HEADING.match(each)):
            return title["name"].strip()
    return ".".join(reversed(names))
