"""The rules of the scanners that come with Runwright: secrets in texts, and signs of a repository that means harm.

Texts of a repository are data. What one of them tells its reader to do is told as a finding, and never done. No finding
holds a word of a secret: it says of which kind it is and where.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import log2

from runwright.domain.finding import Match, Severity, symbol, window
from runwright.domain.inventory import Skip
from runwright.domain.patterns import KNOWN
from runwright.domain.sighting import Sighting, masked

SECRETS, REPOSITORY = "secrets", "repository"
BUILT_IN = (SECRETS, REPOSITORY)
"""The scanners that come with Runwright: they look whenever anybody does."""
"""The scanners, by the name that their findings and their coverage carry."""
_LEAK = "take it out, and replace it wherever it is used: whoever reads the repository has it"
_ASSIGNED = frozenset({"password", "secret", "token", "api_key", "access_key"})
_LESS_SURE = frozenset({"jwt", "url_password", "authorization"})
_SHORTEST, _LEAST_BITS = 8, 3.0
_UNQUOTED = frozenset({"INI", "YAML", "TOML", "Shell", "Dockerfile", "JSON", "HCL", "Batch", "PowerShell"})
_LINES_OF_A_SECRET = 200
_WORDS = re.compile(r"[a-z_\-]*")
_STAND_IN = re.compile(
    r"\$\(|\$?\{|%\(|<[a-zA-Z]|(?:\$?[A-Z_][A-Z0-9_]*|\$[a-z_]+|[Pp]ass(?:word|wd)?|pwd?|[^A-Za-z0-9]*)[`.…)]*\Z"
)
"""What stands where a secret would: a variable, something to be filled in, dots, or the word itself."""
_DESCRIBED_MAX = 200
"""So many secrets of one file are told by what is around them; the others by their place among all."""

_PROSE = frozenset({"Markdown", "reStructuredText", "AsciiDoc", "Text", "HTML", "Other"})
_ORDERS = re.compile(
    r"(?:ignore|disregard|forget|override)\s{1,4}(?:(?:any|every|the|of|my)\s{1,4}){0,3}"
    r"(?:(?:all|previous|prior|above|earlier|preceding|system|your)\s{1,4}){1,3}"
    r"(?:\w{1,20}\s{1,4})?(?:instructions|prompts?|guidelines|rules)\b"
    r"|(?:reveal|print|show|repeat|output)\s{1,4}(?:\w{1,20}\s{1,4}){0,2}?system\s{1,4}prompt\b"
    r"|do\s{1,4}not\s{1,4}(?:tell|inform|alert|notify|mention\s{1,4}\w{1,20}\s{1,4}to)\s{1,4}the\s{1,4}"
    r"(?:user|developer|reviewer|operator|human|owner)\b"
    r"|<\|?(?:system|im_start|assistant)\|?>|\[/?(?:inst|system)\]"
    r"|(?:you\s{1,4}are|as)\s{1,4}(?:now\s{1,4})?an\s{1,4}ai\b[^\n.]{0,80}\b(?:must|should|shall|will|have\s{1,4}to)\b",
)
"""In small letters: a text is looked through in these several times faster than in either."""
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_FILTER = re.compile(r"^[^#\n]{0,1000}\sfilter=(?!lfs\b)(?P<name>[^\s]{1,100})", re.MULTILINE)
_MODULE = re.compile(
    r"^[ \t]{0,100}(?:update[ \t]{0,20}=[ \t]{0,20}!"
    r"|(?:url|path)[ \t]{0,20}=[ \t]{0,20}\"?(?:-|ext::|file:|/|(?:[^\s\"]{1,500}/)?\.\./))",
    re.MULTILINE,
)
_PROGRAMS = re.compile(
    r"^[ \t]{0,100}(?:sshCommand|fsmonitor|hooksPath|askPass|gitProxy|editor|pager|clean|smudge|process|textconv"
    r"|external|helper|packObjectsHook|customtransfer[^\s=]{0,100}|path)[ \t]{0,20}=",
    re.MULTILINE | re.IGNORECASE,
)
_CONFIGS = frozenset({".gitconfig", ".lfsconfig"})
_HOOK = re.compile(
    r"(?:^|/)(?:hooks|\.githooks|\.husky)/(?:(?:pre|post)-(?:commit|checkout|merge|push|rebase|rewrite|receive|update)"
    r"|applypatch-msg|(?:pre|post)-applypatch|commit-msg|prepare-commit-msg|update|reference-transaction)\Z"
)
_LEFT_OUT: dict[Skip, tuple[str, Severity, str]] = {
    "link_leads_out": ("link-leads-out", "P2", "a link leads out of the repository; it was not made"),
    "name_forbidden": ("forbidden-name", "P1", "a name is one that git lets nothing have (.git, ..); it was not made"),
    "name_twice": ("name-twice", "P1", "one name is given to two things, which git never does; one was made"),
    "too_large": ("too-large", "P3", "a file is too large to be taken, or to be looked into; nobody has read it"),
}


def secrets(path: str, language: str, text: str, look: Callable[[str], list[Sighting]]) -> Iterator[Match]:
    """Yield a match for each secret that a redactor sees in a text and that is one as far as its looks go.

    `look` is how it looks. What a password's name is given may have its issuer's form: then that is what it is.
    """
    found = look(text)
    if not found:
        return
    lines = masked(text, found).split("\n")
    line, at = 1, 0
    for count, each in enumerate(found):
        line, at = line + text.count("\n", at, each.start), each.start
        kind = _kind(each.kind, text[each.start : each.end], look)
        if not _convincing(kind, text, each, language):
            continue
        last = min(line + text.count("\n", each.start, each.end), line + _LINES_OF_A_SECRET)
        severity, confidence = _grade(kind)
        yield Match(
            rule_id=f"{SECRETS}:{kind}",
            severity=severity,
            message=f"{_named(kind)} stands here; {_LEAK}",
            tool=SECRETS,
            file=path,
            line=line,
            end_line=last,
            confidence=confidence,
            window=window(lines, line, line) if count < _DESCRIBED_MAX else "",
            symbol=symbol(lines, line, path) if count < _DESCRIBED_MAX else "",
        )


def _kind(kind: str, value: str, look: Callable[[str], list[Sighting]]) -> str:
    if kind not in _ASSIGNED | _LESS_SURE:
        return kind
    return next((inner.kind for inner in look(value) if inner.kind not in _ASSIGNED | _LESS_SURE), kind)


def _grade(kind: str) -> tuple[Severity, float]:
    if kind in _ASSIGNED:
        return "P2", 0.5
    if kind in _LESS_SURE:
        return "P1", 0.8
    return "P0", 1.0 if kind == KNOWN else 0.95


def _named(kind: str) -> str:
    return "a secret of this project" if kind == KNOWN else f"a secret ({kind.replace('_', ' ')})"


def _convincing(kind: str, text: str, found: Sighting, language: str) -> bool:
    """Tell whether it is a secret rather than what stands for one, or a name that begins as an issuer's tokens do."""
    if kind in _ASSIGNED:
        return _unthinkable(text, found, language)
    value = text[found.start : found.end]
    if kind == "url_password":
        return _STAND_IN.match(value.partition(":")[2]) is None
    if kind == "authorization":
        value = value.rstrip(")]}`")
        return len(value) >= _SHORTEST and _STAND_IN.match(value) is None and _WORDS.fullmatch(value) is None
    return kind == KNOWN or _WORDS.fullmatch(value) is None


def _unthinkable(text: str, found: Sighting, language: str) -> bool:
    """Tell whether what is assigned to a secret's name is a literal that nobody would think up."""
    value = text[found.start : found.end]
    literal = language in _UNQUOTED or text[max(0, found.start - 1) : found.start] in {'"', "'"}
    if not literal or len(value) < _SHORTEST or any(character in value for character in " ({<$"):
        return False
    if not (any(map(str.isdigit, value)) and any(map(str.isalpha, value))):
        return False
    return -sum(n / len(value) * log2(n / len(value)) for n in Counter(value).values()) >= _LEAST_BITS


def signs(path: str, language: str, text: str) -> Iterator[Match]:
    """Yield what a text tells of its repository: orders for its reader, hidden order of letters, programs for git."""
    name = path.rpartition("/")[2]
    if language in _PROSE and (found := _ORDERS.search(small := text.lower())):
        message = "the text gives orders to whoever reads it; it is data here, and nobody follows it"
        yield _sign("instructions", "P2", message, path, small, found.start(), confidence=0.5)
    if found := _BIDI.search(text):
        message = "characters that turn the order of letters hide what the text says; remove them"
        yield _sign("bidi-control", "P2", message, path, text, found.start())
    if name == ".gitattributes" and (found := _FILTER.search(text)):
        message = (
            "an attribute asks git to pass files through a program; none was run, and files are as they are stored"
        )
        yield _sign("git-filter", "P2", message, path, text, found.start())
    if name == ".gitmodules" and (found := _MODULE.search(text)):
        message = "a submodule names a command, an option or a path outside; submodules are not fetched"
        yield _sign("git-submodule", "P1", message, path, text, found.start())
    if name in _CONFIGS and (found := _PROGRAMS.search(text)):
        message = "a configuration of git names programs; it is not read here"
        yield _sign("git-config", "P2", message, path, text, found.start())
    if _HOOK.search(path):
        yield _sign("git-hook", "P3", "a hook of git lies in the tree; nothing runs it here", path, text, 0)


def _sign(
    rule: str, severity: Severity, message: str, path: str, text: str, at: int, *, confidence: float = 1.0
) -> Match:
    line, lines = text.count("\n", 0, at) + 1, text.split("\n")
    return Match(
        rule_id=f"{REPOSITORY}:{rule}",
        severity=severity,
        message=message,
        tool=REPOSITORY,
        file=path,
        line=line,
        end_line=line,
        confidence=confidence,
        window=window(lines, line, line),
    )


def passed_over(path: str, reason: Skip) -> Match | None:
    """Return what it tells of a repository that something was passed over, if it tells anything."""
    if reason not in _LEFT_OUT:
        return None
    rule, severity, message = _LEFT_OUT[reason]
    return Match(rule_id=f"{REPOSITORY}:{rule}", severity=severity, message=message, tool=REPOSITORY, file=path)


def hooks(names: Iterable[str]) -> Iterator[Match]:
    """Yield what the hooks of a repository on this machine tell: they were not taken along."""
    for name in names:
        message = "the repository has a hook; it was not taken along, and nothing ran it"
        yield Match(
            rule_id=f"{REPOSITORY}:repository-hook",
            severity="P2",
            message=message,
            tool=REPOSITORY,
            file=f".git/hooks/{name}",
        )


def embedded(directory: str) -> Match:
    """Return what it tells that a directory of the tree is a repository by itself (bare, with its configuration)."""
    message = "a directory is laid out as a repository of its own: a git that is run in it would obey its configuration"
    return Match(
        rule_id=f"{REPOSITORY}:embedded-repository", severity="P2", message=message, tool=REPOSITORY, file=directory
    )
