"""Log lines on standard error: everything that the core reports, requests, runs, and the loggers of the libraries."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import structlog

from runwright import telemetry
from runwright.config import Settings
from runwright.domain.redaction import Redactor
from runwright.engine.batch import Batch
from runwright.observability.lines import Lines

_LEVELS = {
    "attempt.broken": logging.ERROR,
    "loop.broken": logging.ERROR,
    "bus.hearer_broken": logging.ERROR,
    "bus.lost": logging.WARNING,
    "commit.listener_broken": logging.ERROR,
    "partitions.not_dropped": logging.WARNING,
    "partitions.not_made": logging.WARNING,
    "store.row_security_missing": logging.WARNING,
    "store.waiting_for_migration": logging.WARNING,
    "stream.not_read": logging.WARNING,
    "store.checkpoint_failed": logging.ERROR,
    "inbox.broken": logging.ERROR,
    "inbox.refused": logging.WARNING,
    "loop.failed": logging.WARNING,
    "clock.jumped": logging.WARNING,
    "reaper.lost": logging.WARNING,
    "reaper.fenced": logging.WARNING,
    "cron.fired": logging.DEBUG,
    "cron.missed": logging.WARNING,
    "chain.refused": logging.WARNING,
    "workflow.advanced": logging.DEBUG,
    "workflow.step_refused": logging.WARNING,
    "workflow.refused": logging.WARNING,
    "cron.refused": logging.WARNING,
    "cron.orphaned": logging.WARNING,
    "worker.lease_lost": logging.WARNING,
    "worker.attempt_lost": logging.WARNING,
    "worker.finish_refused": logging.WARNING,
}
"""The level of each report; what is not here is told at `info`."""

_RUNS = {
    "run.created": logging.DEBUG,
    "run.started": logging.DEBUG,
    "run.queued": logging.DEBUG,
    "run.waiting": logging.DEBUG,
    "run.retrying": logging.INFO,
    "run.paused": logging.INFO,
    "run.resumed": logging.INFO,
    "run.completed": logging.DEBUG,
    "run.failed": logging.INFO,
    "run.cancelled": logging.INFO,
    "run.expired": logging.INFO,
}
"""The events of runs that are worth a line, and its level."""

_CHATTY = ("httpx2", "httpcore2", "urllib3")
"""Libraries whose lines below a warning are nobody's concern, and could tell addresses with secrets in them."""


def configure(settings: Settings, redactor: Redactor) -> Callable[[], None]:
    """Send every log line of the process to standard error; return what puts everything back as it was."""
    undo = ExitStack()
    root = logging.getLogger()
    _handle(root, settings, redactor, undo)
    for name in _CHATTY:
        _level(logging.getLogger(name), max(root.level, logging.WARNING), undo)
    # At `debug` everything that the HTTP server tells; above, what it tells of its start and end is said elsewhere.
    verbose = root.level <= logging.DEBUG
    _level(logging.getLogger("uvicorn"), root.level if verbose else max(root.level, logging.WARNING), undo)
    structlog.configure(
        processors=[structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log = structlog.get_logger("runwright")
    undo.callback(telemetry.attach(lambda name, fields: log.log(_LEVELS.get(name, logging.INFO), name, **fields)))
    if root.isEnabledFor(logging.INFO):
        undo.callback(telemetry.attach(_runs(log, root.level), "commit.written"))
    level = {"debug": logging.DEBUG, "info": logging.INFO}.get(settings.log_requests)
    if level is not None and root.isEnabledFor(level):
        undo.callback(telemetry.attach(_requests(log, level), "http.answered"))
    return undo.close


def _handle(root: logging.Logger, settings: Settings, redactor: Redactor, undo: ExitStack) -> None:
    lines = Lines(redactor, settings.log_format, settings.log_line_max_bytes, colors=sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                lines,
            ]
        )
    )
    undo.callback(setattr, root, "handlers", root.handlers)
    root.handlers = [handler]
    _level(root, logging.getLevelNamesMapping()[settings.log_level.upper()], undo)


def _level(logger: logging.Logger, level: int, undo: ExitStack) -> None:
    undo.callback(logger.setLevel, logger.level)
    logger.setLevel(level)


def _runs(log: Any, least: int) -> telemetry.Sink:
    told = {name: level for name, level in _RUNS.items() if level >= least}

    def sink(_: str, fields: Mapping[str, Any]) -> None:
        batch: Batch = fields["batch"]
        for run_id, events in batch.events.items():
            for event in events:
                level = told.get(event.type)
                if level is not None:
                    run = batch.after[run_id]
                    more = {"reason": run.reason, "error_class": run.error_class, "state": run.state}
                    log.log(
                        level,
                        event.type,
                        run_id=run_id,
                        actor=event.actor,
                        attempt=run.attempt,
                        trace_id=run.spec.trace_id,
                        **{name: value for name, value in more.items() if value is not None},
                    )

    return sink


def _requests(log: Any, level: int) -> telemetry.Sink:
    def sink(_: str, fields: Mapping[str, Any]) -> None:
        shown = dict(fields)
        shown["duration_ms"] = round(shown.pop("seconds") * 1000, 3)
        log.log(level, "request", **shown)

    return sink
