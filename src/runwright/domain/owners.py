"""Who owns which files of a repository, as its CODEOWNERS says: the last rule that is for a path decides.

Patterns are read as GitHub reads them: like those of gitignore, without negation and ranges; `docs/*` is for the files
in `docs` and not for those deeper down. Sections are GitLab's: each decides for itself, and what they say adds up. What
is no rule is left out and told of, for a forge would do so, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import groupby

import msgspec

from runwright.domain.linear import linear, which

FILES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where it may stand; the first that is there counts."""
MAX_BYTES = 1 << 20
RULES_MAX = 2_000
VOID_TOLD = 5
"""So many of its lines that are no rules are told of."""
PATTERN_MAX = 1_000
_SECTION = re.compile(r"\^?\[(?P<name>[^\]]+)\](?:\[\d+\])?(?P<owners>(?:\s+.*)?)\Z")
_OWNER = re.compile(r"@[\w.-]+(?:/[\w.-]+)*|[^\s@<>]+@[^\s@<>]+\.[^\s@<>]+|@@?[\w.-]+")
_UNKNOWN = re.compile(r"[\[\]]")


class Rule(msgspec.Struct, frozen=True):
    """A pattern of paths, who owns them (nobody: the rule takes them out), and the section that it stands in."""

    pattern: str
    owners: tuple[str, ...]
    section: str = ""


class Owners(msgspec.Struct, frozen=True, dict=True):
    """The rules of a file, by their sections; `void` are the numbers of its lines that are none, with the reason."""

    rules: tuple[Rule, ...] = ()
    void: tuple[tuple[int, str], ...] = ()

    def of(self, path: str) -> tuple[str, ...]:
        """Return who owns a path; empty where nobody does."""
        found: list[str] = []
        name = path.encode("utf-8", "surrogatepass")
        for rules, covering in self._sections:
            found += rules[max(covers)].owners if (covers := covering(name)) else ()
        return tuple(dict.fromkeys(found))

    @cached_property
    def _sections(self) -> tuple[tuple[tuple[Rule, ...], Callable[[bytes], Sequence[int]]], ...]:
        sections = (tuple(each) for _, each in groupby(self.rules, key=lambda rule: rule.section))
        return tuple((rules, which([_expression(rule.pattern) for rule in rules])) for rules in sections)


def read_owners(text: str) -> Owners:
    """Return what a file says."""
    rules: list[Rule] = []
    void: list[tuple[int, str]] = []
    section = ""
    usual: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        written = line.strip()
        if not written or written.startswith("#"):
            continue
        opened = _SECTION.match(_uncommented(written))
        if opened is not None:
            section, usual = opened["name"].strip().lower(), tuple(_OWNER.findall(opened["owners"]))
            continue
        why, rule = _rule(written, section, usual)
        if len(rules) == RULES_MAX and rule is not None:
            void.append((number, f"there are more than {RULES_MAX} rules; this and what follows is left out"))
            break
        if rule is None:
            void.append((number, why))
        else:
            rules.append(rule)
    order = {each.section: at for at, each in reversed(list(enumerate(rules)))}
    return Owners(tuple(sorted(rules, key=lambda rule: order[rule.section])), tuple(void))


def _rule(written: str, section: str, usual: tuple[str, ...]) -> tuple[str, Rule | None]:
    """Return a rule, or why a line is none."""
    pattern, *words = re.split(r"(?<!\\)\s+", _uncommented(written))
    pattern = pattern.replace("\\ ", " ").replace("\\#", "#")
    if pattern.startswith("!"):
        return "a pattern cannot be negated", None
    if _UNKNOWN.search(pattern) or "\\" in pattern or not pattern.strip("/"):
        return "it is no pattern", None
    if len(pattern) > PATTERN_MAX:
        return f"a pattern has at most {PATTERN_MAX} characters", None
    strange = next((word for word in words if _OWNER.fullmatch(word) is None), None)
    if strange is not None:
        return "an owner is @user, @organization/team or an address of e-mail", None
    try:
        linear(_expression(pattern), within_lines=False)
    except ValueError as wrong:
        return str(wrong), None
    return "", Rule(pattern, tuple(words) or usual, section)


def _uncommented(written: str) -> str:
    return re.split(r"\s#", written, maxsplit=1)[0].rstrip()


def _expression(pattern: str) -> str:
    """Return the regular expression of a pattern; one without a slash within it is for names in every directory."""
    below = pattern.endswith("/")
    parts = pattern.strip("/").split("/")
    anchored = pattern.startswith("/") or len(parts) > 1
    found = "" if anchored else "(?:.*/)?"
    for at, part in enumerate(parts):
        last = at == len(parts) - 1
        if part == "**":
            found += ".*" if last else "(?:.*/)?"
        else:
            found += "".join(_piece(piece) for piece in re.findall(r"\*+|\?|[^*?]+", part)) + ("" if last else "/")
    if below:
        return f"{found}/.*"
    return found if parts[-1] in ("*", "**") else f"{found}(?:/.*)?"


def _piece(piece: str) -> str:
    return "[^/]" if piece == "?" else "[^/]*" if piece.startswith("*") else re.escape(piece)
