"""What the tests of a file are in languages that are not parsed here: counted by line, comments aside."""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

_BLOCK = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_STRINGS_MAX = 2_000


class Family(NamedTuple):
    """How the tests of some languages look: which files have them, and what tests, skips and asserts there."""

    name: str
    files: re.Pattern[str]
    comment: str
    test: re.Pattern[str]
    skip: re.Pattern[str]
    assertion: re.Pattern[str]


class Counts(NamedTuple):
    """How many tests, skips and assertions a file has."""

    tests: int
    skips: int
    assertions: int


def _family(name: str, files: str, comment: str, test: str, skip: str, assertion: str) -> Family:
    return Family(name, *(re.compile(files), comment, re.compile(test), re.compile(skip), re.compile(assertion)))


_FAMILIES = (
    _family(
        "JavaScript",
        r"(?:.*/)?(?:__tests__|tests?|specs?|cypress|e2e)/.*\.[cm]?[jt]sx?\Z|.*\.(?:test|spec|cy|e2e)\.[cm]?[jt]sx?\Z",
        "//",
        r"(?<![\w.$])(?:it|test|specify|fit)(?:\.\w{1,20})?\s{0,4}[(`]",
        r"(?<![\w.$])(?:x(?:it|describe|test|context|specify)|(?:it|test|describe|context|suite|specify)\."
        r"(?:skip|skipIf|runIf|todo|only|fixme|failing|fails))\b|(?<![\w.$])f(?:it|describe)\s{0,4}\(|\bthis\.skip\(",
        r"\bexpect\s{0,4}[(.]|\bassert\b|\bshould\b",
    ),
    _family(
        "Go",
        r".*_test\.go\Z",
        "//",
        r"^func\s+(?:Test|Fuzz|Example)\w*\s*\(",
        r"\b[tbf]\.(?:Skip|Skipf|SkipNow)\(|\btesting\.Short\(|^//go:build|^// \+build",
        r"\b[tbf]\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\(|\b(?:assert|require)\.\w+\(",
    ),
    _family(
        "Rust",
        r".*\.rs\Z",
        "//",
        r"#\[(?:\w+::)*test\b",
        r"#\[ignore|#\[cfg\((?:any\(\)|not\(test\)|FALSE)",
        r"\b(?:debug_)?assert(?:_eq|_ne|_matches)?!|#\[should_panic",
    ),
    _family(
        "Java",
        r"(?:.*/)?(?:src/)?test/.*\.(?:java|kt|scala|groovy)\Z|.*(?:Tests?|IT|Spec)\.(?:java|kt|scala|groovy|cs)\Z",
        "//",
        r"@(?:Test|ParameterizedTest|RepeatedTest|Property)\b|\[(?:Test|Fact|Theory|TestMethod|TestCase)\b",
        r"@(?:Disabled|Ignore)\w*|\bAssum(?:e|ptions)\b|\[Ignore|\bSkip\s{0,4}=|\benabled\s{0,4}=\s{0,4}false",
        r"\bassert\w*\s{0,4}[({]|\bAssert\w*\.|\bverify\s{0,4}\(|\.Should\(|\bfail\(",
    ),
    _family(
        "Ruby",
        r".*_(?:spec|test)\.rb\Z",
        "#",
        r"^\s*(?:it|specify|scenario|test)\s+['\"({]|^\s*def\s+test_",
        r"^\s*(?:xit|xdescribe|xcontext|xspecify|fit|fdescribe)\b|\b(?:skip|pending)\b",
        r"\bexpect\b|\bassert|\brefute|\.should\b|\bmust_",
    ),
    _family(
        "PHP",
        r".*Test\.php\Z",
        "//",
        r"function\s+test\w*\s*\(|@test\b|#\[Test\]",
        r"markTestSkipped|markTestIncomplete|@group\s+skip",
        r"(?:->|::)(?:assert|expect)\w+\(",
    ),
    _family("Bats", r".*\.bats\Z", "#", r"^@test\b", r"^\s*skip\b", r"^\s*\[\[?\s|\bassert|\brefute|\[\s*\"\$status"),
    _family(
        "doctest",
        r"(?:.*/)?tests?/.*\.(?:txt|rst)\Z",
        "\0",
        r"^\s*>>> ",
        r"doctest:\s*\+(?:SKIP|ELLIPSIS)",
        r"^\s*>>> ",
    ),
)


def family_of(path: str) -> Family | None:
    """Return how the tests of a file look, if they are of a family that is known."""
    return next((each for each in _FAMILIES if each.files.match(path)), None)


def count(family: Family, text: str) -> Counts:
    """Return how many tests, skips and assertions a text has; what stands in comments is none."""
    if family.comment == "//":
        text = _BLOCK.sub("", text)
    found: Counter[str] = Counter()
    for line in text.split("\n"):
        if line.lstrip().startswith(family.comment) and not family.skip.match(line):
            continue
        line = line[:_STRINGS_MAX]
        for name, pattern in (("test", family.test), ("skip", family.skip), ("assertion", family.assertion)):
            found[name] += sum(1 for _ in pattern.finditer(line))
    return Counts(found["test"], found["skip"], found["assertion"])
