"""Log lines on standard error, as text for people or JSON for machines, with secrets taken out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog

from runwright import telemetry
from runwright.config import Settings
from runwright.domain.redaction import Redactor

_LEVELS = {
    "attempt.broken": logging.ERROR,
    "loop.broken": logging.ERROR,
    "loop.failed": logging.WARNING,
    "clock.jumped": logging.WARNING,
    "worker.lease_lost": logging.WARNING,
    "worker.attempt_lost": logging.WARNING,
    "worker.finish_refused": logging.WARNING,
}


def configure(settings: Settings, redactor: Redactor) -> None:
    """Send every log line of the process, and everything that the core reports, to standard error."""

    def redact(_: Any, __: str, fields: Any) -> Any:
        return {key: redactor.text(value) if isinstance(value, str) else value for key, value in fields.items()}

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    last: Any = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    for chatty in ("uvicorn", "httpx2", "httpcore2"):  # what they tell is said elsewhere, or is nobody's concern
        logging.getLogger(chatty).setLevel(max(root.level, logging.WARNING))
    log = structlog.get_logger("runwright")

    def sink(name: str, fields: Mapping[str, Any]) -> None:
        log.log(_LEVELS.get(name, logging.INFO), name, **fields)

    telemetry.attach(sink)
