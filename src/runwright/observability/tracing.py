"""Tracing is an extra: this is the one place that loads it, and only when the setting `tracing` asks for it."""

from __future__ import annotations

import importlib
from typing import Protocol, cast

from starlette.types import ASGIApp

from runwright.config import Settings
from runwright.errors import InvalidSettings


class Tracing(Protocol):
    """Spans of requests, attempts and dispatches, on their way to a collector."""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application with a span around each of its requests."""
        ...

    def close(self) -> None:
        """Hear no more, and send what was not sent yet."""
        ...


def start(settings: Settings) -> Tracing | None:
    """Return the tracing that the settings and the `OTEL_*` variables ask for; None when it is off.

    Raises `InvalidSettings` when it is turned on and the extra is not installed.
    """
    if not settings.tracing:
        return None
    try:
        spans = importlib.import_module("runwright.observability.spans")
    except ModuleNotFoundError as missing:
        if not (missing.name or "").startswith("opentelemetry"):
            raise
        told = "needs the extra `otel`: pip install 'runwright[otel]', or turn it off"
        raise InvalidSettings.at("RUNWRIGHT_TRACING", told) from None
    return cast("Tracing", spans.exported())
