"""Templates of payloads: JSON in whose texts `{{path}}` stands for a value of another run. Pure.

A text that is one reference becomes the value itself, whatever its type; within a longer text a value stands as text,
and one that is no text as its JSON. A path that leads nowhere is null, and nothing within a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

_REFERENCE = re.compile(r"\{\{\s*([A-Za-z0-9_][A-Za-z0-9_.-]*)\s*\}\}")


def fill(template: Any, known: Mapping[str, Any]) -> Any:
    """Return the template with its references replaced by what is known."""
    if isinstance(template, dict):
        return {key: fill(value, known) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, known) for value in template]
    if not isinstance(template, str):
        return template
    whole = _REFERENCE.fullmatch(template.strip())
    if whole is not None:
        return look(whole[1], known)
    return _REFERENCE.sub(lambda found: _text(look(found[1], known)), template)


def look(path: str, known: Any) -> Any:
    """Return what a dotted path leads to: keys of objects, places of arrays; null where it leads nowhere."""
    for name in path.split("."):
        if isinstance(known, Mapping):
            known = known.get(name)
        elif isinstance(known, list) and name.isdigit() and int(name) < len(known):
            known = known[int(name)]
        else:
            return None
    return known


def references(template: Any) -> Iterator[str]:
    """Yield the paths that a template refers to."""
    if isinstance(template, dict):
        for value in template.values():
            yield from references(value)
    elif isinstance(template, list):
        for value in template:
            yield from references(value)
    elif isinstance(template, str):
        yield from (found[1] for found in _REFERENCE.finditer(template))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
