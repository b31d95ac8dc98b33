"""Baselines: the findings that were there before, so that a gate judges what a change brings and not what it found.

A baseline is a file of the repository with the same bytes for the same findings, one to a line. What is found is
matched with it one to one, the surest way first: by its whole name (the fingerprint); by the code around it in the
same file, renamed or not; by its rule and the function it stands in; by the code around it anywhere. So as many as
were there may be there again, and each one more is new. Of what is no longer found the baseline remembers that it was
fixed: if it comes back it is a regression.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from runwright.domain.finding import BaselineState, Finding, Severity, family
from runwright.domain.policy_gates import scanner_of
from runwright.domain.policy_terms import Part
from runwright.domain.policy_text import read_written
from runwright.domain.scan_rules import SECRETS

FILE = ".runwright/baseline.json"
VERSION = 1
KNOWN_MAX = 20_000
"""So many findings a baseline holds; of more the fixed ones are forgotten first."""
MAX_BYTES = 16 << 20
"""A baseline is no larger: `KNOWN_MAX` findings have room in it."""
_Text = Annotated[str, Meta(max_length=4096)]


class Known(Part, frozen=True):
    """A finding that was there; `fixed`: it was not there any more when the baseline was written last."""

    fingerprint: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    rule_id: _Text
    file: _Text
    severity: Severity
    symbol: _Text = ""
    content_key: _Text = ""
    state: Literal["open", "fixed"] = "open"


class Baseline(Part, frozen=True):
    """The findings that are known; `tree` says of which tree, and is for people."""

    version: Literal[1] = 1
    scheme: Literal["omar/v2"] = "omar/v2"
    tree: _Text = ""
    findings: Annotated[tuple[Known, ...], Meta(max_length=KNOWN_MAX)] = ()

    @property
    def open(self) -> tuple[Known, ...]:
        """Return those that were there when it was written."""
        return tuple(each for each in self.findings if each.state == "open")


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, each with its state, and what was known and is not found: `gone`, now or long ago.

    `unseen` is what was known and not looked for: who had found it has not looked at everything this time.
    """

    findings: tuple[Finding, ...]
    gone: tuple[Known, ...] = ()
    unseen: tuple[Known, ...] = ()

    @property
    def fixed(self) -> tuple[Known, ...]:
        """Return what was there when the baseline was written, and is not any more."""
        return tuple(each for each in self.gone if each.state == "open")

    def count(self, state: BaselineState) -> int:
        """Return how many are in a state."""
        return len(self.fixed) if state == "fixed" else sum(each.baseline_state == state for each in self.findings)


def compare(
    findings: Sequence[Finding],
    baseline: Baseline | None,
    moves: Mapping[str, str] | None = None,
    *,
    absent: Collection[str] = (),
) -> Compared:
    """Compare what was found with what is known; `moves` are the files that were renamed, their old names to the new.

    `absent` are the scanners that have not looked at everything: what they had found and is not found now may be
    there still. Without a baseline everything is new.
    """
    if baseline is None:
        return Compared(findings=tuple(replace(each, baseline_state="new") for each in findings))
    moved = dict(moves or {})
    left, known = list(findings), list(baseline.findings)
    states: dict[str, BaselineState] = {}
    for mine, theirs in _ways(moved):
        left, known = _matched(left, known, mine, theirs, states)
    told = [replace(each, baseline_state=states.get(each.fingerprint, "new")) for each in findings]
    unseen = tuple(each for each in known if scanner_of(each.rule_id) in absent)
    return Compared(
        findings=tuple(told),
        gone=tuple(each for each in known if scanner_of(each.rule_id) not in absent),
        unseen=unseen,
    )


Key = Hashable | None
_Way = tuple[Callable[[Finding], Key], Callable[[Known], Key]]


def _ways(moved: Mapping[str, str]) -> tuple[_Way, ...]:
    """Return by what a finding and a known one may be the same, the surest first; None is like nothing."""

    def now(known: Known) -> str:
        return moved.get(known.file, known.file)

    return (
        (lambda found: found.fingerprint, lambda known: known.fingerprint),
        (
            lambda found: _around(found.rule_id, found.content_key, found.file),
            lambda known: _around(known.rule_id, known.content_key, now(known)),
        ),
        (
            lambda found: _within(found.rule_id, found.symbol, found.content_key, found.file),
            lambda known: _within(known.rule_id, known.symbol, known.content_key, now(known)),
        ),
        (
            lambda found: _around(found.rule_id, found.content_key),
            lambda known: _around(known.rule_id, known.content_key),
        ),
    )


def _around(rule_id: str, content_key: str, *where: str) -> Key:
    return (family(rule_id), content_key, *where) if content_key else None


def _within(rule_id: str, symbol: str, content_key: str, file: str) -> Key:
    """Return what a finding has in common with another of its function, or of no function of its file.

    A secret has nothing: another one in the same place is another one.
    """
    if content_key and rule_id.startswith(f"{SECRETS}:"):
        return None
    return (family(rule_id), symbol, file)


def _matched(
    left: list[Finding],
    known: list[Known],
    mine: Callable[[Finding], Key],
    theirs: Callable[[Known], Key],
    states: dict[str, BaselineState],
) -> tuple[list[Finding], list[Known]]:
    """Match one to one what has the same key, open ones before those that were fixed; return what is left of both."""
    waiting: dict[Key, list[Known]] = defaultdict(list)
    for each in sorted(known, key=lambda one: one.state == "fixed"):
        waiting[theirs(each)].append(each)
    rest: list[Finding] = []
    gone: set[int] = set()
    for found in left:
        key = mine(found)
        same = waiting.get(key) if key is not None else None
        if not same:
            rest.append(found)
            continue
        one = same.pop(0)
        gone.add(id(one))
        states[found.fingerprint] = "regressed" if one.state == "fixed" else "unchanged"
    return rest, [each for each in known if id(each) not in gone]


def renewed(compared: Compared, *, tree: str = "") -> Baseline:
    """Return the baseline of what is there now; of what was known before and is gone it remembers that.

    What nobody looked for stays as it was.
    """
    now = sorted((*(_known(each) for each in compared.findings), *compared.unseen), key=_place)[:KNOWN_MAX]
    there = {each.fingerprint for each in now}
    gone = [replace(each, state="fixed") for each in compared.gone if each.fingerprint not in there]
    kept = [*now, *sorted(gone, key=_place)[: KNOWN_MAX - len(now)]]
    return Baseline(tree=tree, findings=tuple(sorted(kept, key=_place)))


def _known(found: Finding) -> Known:
    return Known(
        fingerprint=found.fingerprint,
        rule_id=found.rule_id,
        file=found.file,
        severity=found.severity,
        symbol=found.symbol,
        content_key=found.content_key,
    )


def _place(known: Known) -> tuple[str, str, str]:
    return (known.file, known.rule_id, known.fingerprint)


def written(baseline: Baseline) -> bytes:
    """Return the bytes of a baseline: the same for the same findings, one to a line, so that changes of it merge."""
    rows = ",\n".join("  " + msgspec.json.encode(_row(each)).decode() for each in baseline.findings)
    head = msgspec.json.encode({"version": VERSION, "scheme": baseline.scheme, "tree": baseline.tree}).decode()
    return f'{head[:-1]},"findings":[\n{rows}\n]}}\n'.encode() if rows else f'{head[:-1]},"findings":[]}}\n'.encode()


def _row(known: Known) -> dict[str, str]:
    return {name: value for name in Known.__struct_fields__ if (value := getattr(known, name))}


def read_baseline(data: bytes, name: str = FILE) -> Baseline:
    """Return the baseline of a file. Raises `PolicyInvalid` with the place of what is wrong."""
    text = read_written(data, name, most_bytes=MAX_BYTES)
    found = text.read(Baseline, text.value)
    names = [each.fingerprint for each in found.findings]
    if len(set(names)) < len(names):
        raise text.invalid("findings", "a fingerprint stands there twice")
    return found
