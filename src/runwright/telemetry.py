"""Hooks that the core calls and sinks attach to: the core never imports a logging or metrics library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Sink = Callable[[str, Mapping[str, Any]], None]

_sinks: list[Sink] = []


def attach(sink: Sink) -> Callable[[], None]:
    """Let `sink(name, fields)` hear everything that is reported from now on; return what detaches it."""
    _sinks.append(sink)
    return lambda: _sinks.remove(sink)


def report(name: str, **fields: Any) -> None:
    """Tell the sinks that something happened, such as `worker.lease_lost`; costs nothing when nobody listens."""
    for sink in _sinks:
        sink(name, fields)
