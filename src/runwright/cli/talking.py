"""Show what happens in an agent run: what it says on standard output, everything about it on standard error."""

import sys
from typing import Any, Protocol

import msgspec

from runwright.cli import printing
from runwright.client import agent_events as a
from runwright.client.errors import ClientError
from runwright.client.models import Run

SHORT = 120
"""Characters of arguments and results that are shown of a call."""


class Shows(Protocol):
    """Whatever shows events."""

    def show(self, event: a.AgentEvent) -> None:
        """Show an event."""
        ...

    def cut(self, why: ClientError | None, delay_s: float) -> None:
        """Say that the connection was lost and comes back."""
        ...


class Lines:
    """Show each event as a line of JSON."""

    def show(self, event: a.AgentEvent) -> None:
        """Print the event as the server sent it."""
        printing.show_line(event.event.raw)

    def cut(self, why: ClientError | None, delay_s: float) -> None:
        """Keep still: the events tell all."""


class Screen:
    """Show an answer as it is written; in a pipe, where nothing can be taken back, once it is whole."""

    def __init__(self) -> None:
        self._live = printing.is_terminal(sys.stdout)
        self._said: dict[str, str] = {}
        self._thoughts: set[str] = set()
        self._line_is_open = False

    def show(self, event: a.AgentEvent) -> None:
        """Show an event."""
        match event:
            case a.TextDelta():
                self._piece(event)
            case a.TextCompleted():
                self._whole(event)
            case a.TextReset():
                if self._said.pop(event.segment_id, ""):
                    self._note("the answer broke off and does not count; it is said again")
            case a.RunEnded():
                self._end()
            case _:
                for line in told(event):
                    self._note(line)

    def cut(self, why: ClientError | None, delay_s: float) -> None:
        """Say that the connection was lost and comes back."""
        if delay_s > 0:
            self._note(f"connection lost ({why or 'ended by the server'}); again in {delay_s:.1f} s")

    def _piece(self, event: a.TextDelta) -> None:
        if event.channel != "final":
            if self._live and event.segment_id not in self._thoughts:
                self._note("it thinks")
            self._thoughts.add(event.segment_id)
            return
        self._said[event.segment_id] = self._said.get(event.segment_id, "") + event.content
        if self._live:
            self._write(event.content)

    def _whole(self, event: a.TextCompleted) -> None:
        shown = self._said.pop(event.segment_id, "")
        if event.channel == "final" and not (self._live and shown):
            self._write(event.content)
        self._close()

    def _end(self) -> None:
        if not self._live:  # what was said of an answer that nobody finished
            for text in self._said.values():
                self._write(text)
        self._said.clear()
        self._close()

    def _write(self, text: str) -> None:
        if text:
            printing.show_piece(text)
            self._line_is_open = not text.endswith("\n")

    def _note(self, text: str) -> None:
        self._close()
        printing.note(f"· {printing.printable(text)}")

    def _close(self) -> None:
        if self._line_is_open:
            printing.say()
            self._line_is_open = False


def told(event: a.AgentEvent) -> list[str]:
    """Return what people are told of an event that is no text of the model; nothing of most."""
    match event:
        case a.ToolCalled(tool_name="ask_user") | a.ToolReturned(tool_name="ask_user", error=None):
            return []  # the question and its answer were just seen
        case a.ToolCalled():
            return [f"{event.tool_name} {short(event.arguments)}"]
        case a.ToolReturned(error=dict(error)):
            return [f"{event.tool_name} failed: {error.get('message')} [{error.get('code')}]"]
        case a.ToolReturned():
            more = ", shortened" if event.truncated else ""
            return [f"{event.tool_name} → {short(event.result)} ({printing.duration(event.duration_ms)}{more})"]
        case a.ToolDenied():
            return [f"{event.tool_name} was not called: {event.comment or event.reason}"]
        case a.InputHeard(mode="steer"):
            return [f"somebody said: {event.content}"]
        case a.ModelRetried():
            return [f"the model did not answer ({event.message}); again in {printing.duration(event.delay_ms)}"]
        case a.BudgetReached():
            how = "used up" if event.exhausted else "nearly used up"
            return [f"the {event.scope}'s limit {event.limit_name} is {how}: {event.used} of {event.limit}"]
    return []


def short(value: Any) -> str:
    """Return a value as one line that is not too long."""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    line = " ".join(text.split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 1]}…"


def summary(run: Run) -> str:
    """Return what a run used, and what that cost: `312 tokens in (64 % cached), 88 out, $0.000123, 2.1 s`."""
    rate = run.cache_hit_rate
    cached = f" ({rate:.0%} cached)" if rate else ""
    cost = "cost not known" if run.total_cost_usd is None else dollars(run.total_cost_usd)
    took = "" if run.duration_ms is None else f", {printing.duration(run.duration_ms)}"
    return f"{run.total_input_tokens} tokens in{cached}, {run.total_output_tokens} out, {cost}{took}"


def dollars(amount: float) -> str:
    """Return an amount of dollars, to the millionth."""
    whole, _, part = f"{amount:.6f}".partition(".")
    return f"${whole}.{part.rstrip('0').ljust(2, '0')}" if part.strip("0") else f"${whole}"
