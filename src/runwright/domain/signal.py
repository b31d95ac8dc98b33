"""Signals: what somebody sends for runs that wait for it (`event_key`), and for jobs that it starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END

KEY_MAX = 512
EventKey = Annotated[
    str,
    Meta(pattern=r"^(?!\.{1,2}$)[^/\x00]{1,512}" + END, description="Up to 512 characters, no slash."),
]


class Signal(msgspec.Struct, frozen=True):
    """What was sent: for one key, or with `by_prefix` for every key that begins so. `sealed` is its payload."""

    signal_id: str
    project_id: str
    event_key: str
    sealed: bytes
    created_at: int
    by_prefix: bool = False

    def meets(self, event_key: str) -> bool:
        """Tell whether it is for those who wait for this key."""
        return event_key.startswith(self.event_key) if self.by_prefix else event_key == self.event_key


class EventTrigger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which signals start a run of a job: those of a `key`, or of all keys that begin with a `prefix`.

    With `filter`, only one whose payload contains it (as PostgreSQL's `@>` has it). The run's payload is the signal's,
    or with `payload_template` what `filled` makes of that.
    """

    key: EventKey | None = None
    prefix: EventKey | None = None
    filter: dict[str, Any] = {}
    payload_template: dict[str, Any] | None = None

    @property
    def pattern(self) -> str:
        """Return the key, or the prefix."""
        return self.key or self.prefix or ""

    def takes(self, event_key: str, *, by_prefix: bool = False) -> bool:
        """Tell whether a signal of that key, or to all keys with that prefix, is one for it."""
        if self.key is not None:
            return self.key.startswith(event_key) if by_prefix else self.key == event_key
        prefix = self.prefix or ""
        return event_key.startswith(prefix) or (by_prefix and prefix.startswith(event_key))


def filled(template: Any, about: Mapping[str, Any]) -> Any:
    """Return a template with its places filled: a text that is `{{path.to.value}}` becomes that value, as it is.

    A path leads through objects by name and through lists by number; one that leads nowhere becomes null. Everything
    else stays as it is: there are no places inside of texts, and no expressions.
    """
    if isinstance(template, dict):
        return {name: filled(each, about) for name, each in template.items()}
    if isinstance(template, list):
        return [filled(each, about) for each in template]
    if isinstance(template, str) and template.startswith("{{") and template.endswith("}}"):
        return _at(template[2:-2].strip(), about)
    return template


def _at(path: str, about: Any) -> Any:
    found = about
    for name in path.split("."):
        if isinstance(found, Mapping):
            found = found.get(name)
        elif isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found
