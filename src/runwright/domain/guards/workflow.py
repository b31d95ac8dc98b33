"""Tell whether a workflow is changed for the better alone: pins of actions, fewer permissions, no kept credentials."""

from __future__ import annotations

import re

from runwright.domain.line_diff import spans

_USES = re.compile(
    r"(?P<head>\s*(?:-\s+)?uses:\s*)(?P<action>[\w.-]+(?:/[\w.-]+)+)@(?P<ref>[\w./-]+)(?P<rest>\s*(?:#[^\n]*)?)\Z"
)
_SHA = re.compile(r"[0-9a-f]{40}\Z")
_LESS = re.compile(
    r"\s*(?:permissions:\s*(?:\{\}|read-all|none)?|(?:actions|checks|contents|deployments|id-token|issues|packages|pages|pull-requests"
    r"|security-events|statuses|attestations):\s*(?:read|none)|with:|persist-credentials:\s*false)\s*\Z"
)


def hardened(before: str | None, after: str | None) -> bool:
    """Tell whether a workflow stays what it is, but for what it is allowed and whose code it runs, which is less."""
    if before is None or after is None:
        return False
    old, new = before.split("\n"), after.split("\n")
    for span in spans(old, new):
        gone, come = old[span.old : span.old_end], new[span.new : span.new_end]
        if not _better(gone, [line for line in come if not _LESS.match(line)]):
            return False
    return True


def _better(gone: list[str], come: list[str]) -> bool:
    return len(gone) == len(come) and all(_pinned(one, other) for one, other in zip(gone, come, strict=True))


def _pinned(one: str, other: str) -> bool:
    was, now = _USES.match(one), _USES.match(other)
    if was is None or now is None or was["head"] != now["head"]:
        return one == other
    return was["action"] == now["action"] and _SHA.match(was["ref"]) is None and _SHA.match(now["ref"]) is not None
