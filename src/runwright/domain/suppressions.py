"""Suppressions: findings that people have decided to live with, each with a reason, an owner and a last day.

They are a file of the repository, read like the policy from the base of a change: what a change, an agent or a loop
adds counts when people have merged it. One whose day has passed is none, and neither is one whose owner is no person.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.finding import Finding, rules_of
from runwright.domain.globs import matches, require_glob
from runwright.domain.policy_terms import Part
from runwright.domain.policy_text import Written, read_written

FILE = ".runwright/suppressions.yaml"
NOBODY = re.compile(r"(?:agent|bot|loop|run|model|omar|runwright)(?:[:/_\s-].*|\Z)|.*\[bot\]\Z|agt_.*", re.IGNORECASE)
"""Owners that are no people: what they suppress is not."""
_Text = Annotated[str, Meta(min_length=1, max_length=1000)]


class Suppression(Part, frozen=True):
    """A finding by its fingerprint (or the beginning of it), a rule, a path, or what has all that are named."""

    reason: _Text
    owner: Annotated[str, Meta(min_length=1, max_length=200)]
    expires_at: Annotated[str, Meta(min_length=10, max_length=40)]
    fingerprint: Annotated[str, Meta(pattern=r"^(?:fnd_)?[0-9a-f]{16,64}(?!\n)$")] | None = None
    rule: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=200)] | None = None

    @property
    def ends_at(self) -> datetime:
        """Return when it ends; a day ends with its last second, everywhere in UTC."""
        return _instant(self.expires_at)

    def covers(self, finding: Finding) -> bool:
        """Tell whether it is for a finding."""
        name = None if self.fingerprint is None else self.fingerprint.removeprefix("fnd_")
        return (
            (name is None or finding.fingerprint.startswith(name))
            and (self.rule is None or self.rule in rules_of(finding))
            and (self.path is None or matches((self.path,), finding.file))
        )

    @property
    def about(self) -> str:
        """Return what it is for, in one line."""
        return " ".join(part for part in (self.fingerprint, self.rule, self.path) if part)


class _File(Part, frozen=True):
    version: int = 1
    suppressions: Annotated[tuple[Suppression, ...], Meta(max_length=1_000)] = ()


class Suppressions(msgspec.Struct, frozen=True, kw_only=True):
    """Those that count now, and those that do not, each with the reason."""

    active: tuple[Suppression, ...] = ()
    void: tuple[tuple[Suppression, str], ...] = ()

    def of(self, finding: Finding) -> Suppression | None:
        """Return the one that covers a finding, if one does."""
        return next((each for each in self.active if each.covers(finding)), None)

    def unused(self, findings: Sequence[Finding]) -> tuple[Suppression, ...]:
        """Return those that cover nothing any more."""
        return tuple(each for each in self.active if not any(map(each.covers, findings)))


def read_suppressions(data: bytes, now: datetime, name: str = FILE) -> Suppressions:
    """Return what a file suppresses at an instant. Raises `PolicyInvalid` with the place of what is wrong."""
    written = read_written(data, name)
    file = written.read(_File, {} if written.value is None else written.value)
    if file.version != 1:
        raise written.invalid("version", f"this is for version 1 of suppressions, and not for {file.version}")
    active: list[Suppression] = []
    void: list[tuple[Suppression, str]] = []
    for place, each in enumerate(file.suppressions):
        _require(written, each, f"suppressions[{place}]")
        if each.ends_at <= now:
            void.append((each, f"it ended on {each.expires_at}"))
        elif NOBODY.fullmatch(each.owner.strip()):
            void.append((each, f"its owner, {each.owner}, is no person"))
        else:
            active.append(each)
    return Suppressions(active=tuple(active), void=tuple(void))


def _require(written: Written, each: Suppression, place: str) -> None:
    if not each.about:
        raise written.invalid(place, "it names neither a fingerprint nor a rule nor a path")
    for key in ("reason", "owner"):
        if not getattr(each, key).strip():
            raise written.invalid(f"{place}.{key}", "it says nothing")
    try:
        _instant(each.expires_at)
    except (ValueError, OverflowError):
        message = "it is no day (2027-01-31) and no instant (2027-01-31T12:00:00Z)"
        raise written.invalid(f"{place}.expires_at", message) from None
    if each.path is not None:
        try:
            require_glob(each.path)
        except ValueError as wrong:
            raise written.invalid(f"{place}.path", str(wrong)) from None


def _instant(text: str) -> datetime:
    if len(text) == len("2027-01-31"):
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("an instant says its zone")
    return at
