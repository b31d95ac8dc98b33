"""The files of a repository that say what counts: read once, when its tree has just been laid out, and kept.

Nobody changes by what they do later what they are judged by. A file that was left out of the checkout, or cannot be
read within its bound, is never taken for one that is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from runwright.agents.notes import LAST, Kept, Note
from runwright.domain import baseline as b
from runwright.domain import owners
from runwright.domain import suppressions as s
from runwright.domain.accepted import Accepted
from runwright.domain.baseline import Baseline
from runwright.domain.instants import EPOCH
from runwright.domain.inventory import SKIPS
from runwright.domain.owners import Owners
from runwright.domain.patch import PatchBounds
from runwright.domain.patch_refusal import PatchRefused
from runwright.domain.policy_file import FILES, PolicyFile, read_policy
from runwright.domain.policy_text import MAX_BYTES
from runwright.domain.redaction import Redactor
from runwright.domain.repository_events import CheckedOut
from runwright.domain.suppressions import Suppressions
from runwright.errors import PolicyInvalid
from runwright.fixers.apply import reader
from runwright.sandbox.beneath import Beneath

ACCEPTED = "accepted"
"""The kind of values that hold what people live with, as a run found it in its base."""
COUNTS = frozenset({*FILES, *owners.FILES, s.FILE, b.FILE})
"""The files that say what counts."""


def text_of(files: Beneath, laid: CheckedOut | None, name: str, most: int = MAX_BYTES) -> str | None:
    """Return a file that says what counts; None where there is none. Raises `PolicyInvalid`."""
    left_out = () if laid is None else laid.left_out
    missing = next((each for each in left_out if each.path == name), None)
    if missing is not None:
        raise PolicyInvalid.of(name, "", None, f"it was not checked out: {SKIPS[missing.reason]}")
    try:
        data = reader(files, PatchBounds(file_bytes=most), setting=None)(name)
        return None if data is None else data.decode()
    except (PatchRefused, UnicodeDecodeError) as why:
        raise PolicyInvalid.of(name, "", None, str(why)) from None


def written_of(files: Beneath, laid: CheckedOut | None, at: int) -> dict[str, Any]:
    """Return what says what people live with, as of an instant. Raises `PolicyInvalid`."""
    hidden, known = text_of(files, laid, s.FILE), text_of(files, laid, b.FILE, b.MAX_BYTES)
    owned = next((text for name in owners.FILES if (text := text_of(files, laid, name)) is not None), None)
    return {"suppressions": hidden, "baseline": known, "owners": owned, "at": at}


def policy_text(files: Beneath, laid: CheckedOut | None) -> tuple[str, str]:
    """Return the policy that was laid out, its name first; nothing where there is none. Raises `PolicyInvalid`."""
    texts = ((name, text_of(files, laid, name)) for name in FILES)
    return next(((name, text) for name, text in texts if text is not None), ("", ""))


def policy_of(name: str, text: str) -> PolicyFile:
    """Return the policy of a text; the defaults without a name. Raises `PolicyInvalid`."""
    return read_policy(text.encode(), name) if name else PolicyFile()


def suppressions_of(written: Mapping[str, Any]) -> Suppressions:
    """Return what was suppressed at the instant that is kept with it. Raises `PolicyInvalid`."""
    text, at = written.get("suppressions"), EPOCH + timedelta(microseconds=written.get("at", 0))
    return Suppressions() if text is None else s.read_suppressions(text.encode(), at)


def baseline_of(written: Mapping[str, Any]) -> Baseline | None:
    """Return what was known. Raises `PolicyInvalid`."""
    text = written.get("baseline")
    return None if text is None else b.read_baseline(text.encode())


def owners_of(written: Mapping[str, Any]) -> Owners:
    """Return who owns what."""
    return owners.read_owners(written.get("owners") or "")


def accepted_of(written: Mapping[str, Any]) -> Accepted:
    """Return what people live with. Raises `PolicyInvalid`."""
    return Accepted(suppressions=suppressions_of(written), baseline=baseline_of(written), owners=owners_of(written))


def noted(files: Beneath, laid: CheckedOut | None, at: int, redactor: Redactor) -> tuple[list[Note], Kept]:
    """Return what a run keeps of what people live with, and what it warns of.

    A file that cannot be read accepts nothing: that ends no run, and more findings are open for it.
    """
    written: dict[str, Any] = {"at": at}
    notes: list[Note] = []
    named = (("owners", name, MAX_BYTES) for name in reversed(owners.FILES))  # the first that is there counts
    for key, name, most in (("suppressions", s.FILE, MAX_BYTES), ("baseline", b.FILE, b.MAX_BYTES), *named):
        try:
            text = text_of(files, laid, name, most)
            _READ[key]({"at": at, key: text})
            written[key] = text if text is not None else written.get(key)
        except PolicyInvalid as wrong:
            told = redactor.text(f"{wrong.detail}; it counts for nothing")
            notes.append(Note("log", {"file": name}, "warning", told))
    said = [redactor.text(each) for each in accepted_of(written).void()]
    return [*notes, *(Note("log", {"file": s.FILE}, "warning", each) for each in said)], Kept(ACCEPTED, LAST, written)


_READ: dict[str, Callable[[Mapping[str, Any]], object]] = {
    "suppressions": suppressions_of,
    "baseline": baseline_of,
    "owners": owners_of,
}
