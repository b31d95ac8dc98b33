"""Hooks that the core calls and sinks attach to: the core never imports a metrics or tracing library.

`report` tells what is worth a line of a log; `observe` hands over a measurement of a hot path. Both call the sinks at
once, on the thread they are called on; the sinks are the process's.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

Sink = Callable[[str, Mapping[str, Any]], None]

_log = logging.getLogger(__name__)
_ALL = "*"
_sinks: dict[str, tuple[Sink, ...]] = {}


def attach(sink: Sink, *names: str) -> Callable[[], None]:
    """Let `sink(name, fields)` hear what has these names, or, without names, every report; return what detaches it."""
    for name in names or (_ALL,):
        _sinks[name] = (*_sinks.get(name, ()), sink)

    def detach() -> None:
        for name in names or (_ALL,):
            left = tuple(each for each in _sinks.pop(name, ()) if each is not sink)
            if left:
                _sinks[name] = left

    return detach


def report(name: str, **fields: Any) -> None:
    """Tell the sinks that something happened, such as `worker.lease_lost`."""
    if _ALL in _sinks:
        _tell(_sinks[_ALL], name, fields)
    if name in _sinks:
        _tell(_sinks[name], name, fields)


def observe(name: str, **fields: Any) -> None:
    """Hand a measurement to those who asked for this very name; costs a look into a dict when nobody did."""
    if name in _sinks:
        _tell(_sinks[name], name, fields)


def _tell(sinks: tuple[Sink, ...], name: str, fields: Mapping[str, Any]) -> None:
    for sink in sinks:
        try:
            sink(name, fields)
        except Exception:  # noqa: BLE001 - a sink's fault must never become the fault of what it watches
            _log.exception("a sink failed over %s", name)
