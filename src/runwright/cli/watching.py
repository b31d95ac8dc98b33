"""Follow a run in the terminal: its events as they happen, a progress bar, and how it ended."""

from base64 import b64decode
from datetime import datetime
from typing import Any, Self

from runwright.cli import printing
from runwright.cli.exits import BY_STATE, FAILED
from runwright.cli.progress import Bar
from runwright.client.backoff import Backoff
from runwright.client.errors import ClientError
from runwright.client.models import Event, Run
from runwright.client.sync.api import Client

PATIENCE = Backoff(attempts=60, initial_s=0.2, max_s=5.0)
"""A watcher outlives a restart of the server: it tries for about five minutes."""

_COLOURS = {"debug": "dim", "warning": "yellow", "error": "red"}


def watch(client: Client, run_id: str, *, after_seq: int = 0, as_json: bool = False) -> Run:
    """Show the events of a run until it ends, over cuts and restarts, and return how it ended."""
    with Lines() if as_json else Screen() as screen:
        stream = client.runs.stream(run_id, after_seq, allow_gaps=True, backoff=PATIENCE, on_cut=screen.cut)
        for event in stream:
            screen.show(event)
    return client.runs.get(run_id)


def exit_code(run: Run) -> int:
    """Return what a command that followed the run exits with."""
    return BY_STATE.get(run.state, FAILED)


class Lines:
    """Show each event as a line of JSON."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def show(self, event: Event) -> None:
        """Print the event as the server sent it."""
        printing.show_line(event.raw)

    def cut(self, why: ClientError | None, delay_s: float) -> None:
        """Keep still: the events tell all."""


class Screen:
    """Show events as lines above a progress bar; without a terminal, as lines alone."""

    def __init__(self) -> None:
        self._bar = Bar("waiting")

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.__exit__(*error)

    def show(self, event: Event) -> None:
        """Print the event, and move the bar if it says how far the work is."""
        if event.type == "run.progress":
            data = event.data if isinstance(event.data, dict) else {}
            percent, message = data.get("percent"), event.message or str(data.get("message", ""))
            if isinstance(percent, int | float):
                self._bar.show(percent / 100, message)
            if self._bar.shown:
                return  # the bar shows it
        elif event.type == "run.started":
            self._bar.restart("running")
        self._bar.print(line(event))

    def cut(self, why: ClientError | None, delay_s: float) -> None:
        """Say that the connection was lost and comes back."""
        if delay_s > 0:
            self._bar.clear()
            printing.note(f"connection lost ({why or 'ended by the server'}); again in {delay_s:.1f} s")


def line(event: Event) -> str:
    """Return an event as one line of text."""
    at = event.created_at.astimezone().strftime("%H:%M:%S.%f")[:-3] if event.created_at else "-" * 12
    kind = "" if event.type == "log" else event.type
    text = printing.printable(event.message or _summary(event.type, event.data))
    before = printing.styled(f"{at} {event.seq:>5}  ", "dim")
    about = printing.styled(f"{kind:<16} ", "cyan") if kind else ""
    return f"{before}{about}{printing.styled(text, _COLOURS.get(event.level, ''))}".rstrip()


def _summary(type: str, data: Any) -> str:
    if not isinstance(data, dict):
        return ""
    if type in ("stream.chunk", "terminal.output"):
        if data.get("encoding") == "base64":
            return b64decode(data.get("chunk", "")).decode("utf-8", "replace").rstrip("\n")
        return str(data.get("chunk", "")).rstrip("\n")
    if type == "run.progress":
        return f"{data.get('percent', '?')} % {data.get('message', '')}".rstrip()
    known = {name: value for name, value in data.items() if isinstance(value, str | int | float) and value != ""}
    return " ".join(f"{name}={value}" for name, value in known.items())


def show_end(run: Run) -> None:
    """Print how a run ended: its status, result or error, and the time that it took."""
    total_ms = _between(run.created_at, run.finished_at)
    printing.detail(
        [
            ("run", run.id),
            ("status", run.status),
            ("attempts", run.attempt),
            ("result", run.result),
            ("error", run.error and f"{run.error_class}: {run.error}"),
            ("took", total_ms and printing.duration(total_ms)),
        ]
    )


def _between(first: datetime | None, last: datetime | None) -> float | None:
    return (last - first).total_seconds() * 1000 if first and last else None
