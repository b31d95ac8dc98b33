# Generated from runwright/client/runs.py by `make docs`; change that one instead.
"""Calls about runs."""

from collections.abc import Iterable
from typing import Any, Unpack
from urllib.parse import quote

import msgspec

from runwright.client import waiting
from runwright.client.backoff import Backoff
from runwright.client.fields import PageOptions, ReplayOptions, RunFilters
from runwright.client.insight_models import DebugBundle, Timeline, Why
from runwright.client.json_values import json_copy
from runwright.client.models import (
    Attempt,
    Checkpoint,
    Effects,
    Event,
    Output,
    Run,
    RunArtifact,
    RunValue,
    StateValue,
    ToolCall,
    Usage,
)
from runwright.client.sync.many_runs import ManyRuns
from runwright.client.sync.pages import Pages
from runwright.client.sync.stream import EventStream, OnCut

STREAM_BACKOFF = Backoff(attempts=10)


class Runs(ManyRuns):
    """Read, follow, stop and repeat runs."""

    def list(self, **filters: Unpack[RunFilters]) -> Pages[Run]:
        """Return runs, newest first; `limit` is the size of a page."""
        return self._transport.pages(Run, "/v1/runs", run_params(filters))

    def get(self, run_id: str) -> Run:
        """Return a run."""
        return self._transport.one(Run, "GET", _path(run_id))

    def cancel(self, run_id: str, *, reason: str | None = None, last_seen_seq: int | None = None) -> Run:
        """Ask for a run's end and return the run: ended, or executing still until its executor confirms.

        A cancelled run stays as it is; one that ended in another way is an `ApiError` (409). `last_seen_seq` tells the
        log how much of it the caller had seen.
        """
        given = {"reason": reason, "last_seen_seq": last_seen_seq}
        body = {name: said for name, said in given.items() if said is not None}
        self._transport.send("POST", f"{_path(run_id)}:cancel", body=body, repeatable=True)
        return self.get(run_id)

    def pause(self, run_id: str) -> Run:
        """Pause a run; a paused run stays as it is."""
        return self._transport.one(Run, "POST", f"{_path(run_id)}/pause", repeatable=True)

    def restart(self, run_id: str, *, preset: str | None = None) -> Run:
        """Begin a run again, in a new attempt that counts for nothing; a process run with another preset, if given.

        It is executing, paused or waiting, else this is an `ApiError` (409).
        """
        body = {} if preset is None else {"preset": preset}
        return self._transport.one(Run, "POST", f"{_path(run_id)}/restart", body=body)

    def resume(self, run_id: str) -> Run:
        """Let a paused run go on; another stays as it is."""
        return self._transport.one(Run, "POST", f"{_path(run_id)}/resume", repeatable=True)

    def replay(self, run_id: str, *, idempotency_key: str | None = None, **options: Unpack[ReplayOptions]) -> Run:
        """Start a new run like a finished one, and return it; a completed one needs `force`."""
        body: dict[str, Any] = dict(options)
        if "payload" in options:
            body["payload"] = json_copy(options["payload"])
        return self._transport.made(Run, f"{_path(run_id)}/replay", body, idempotency_key)

    def erase(self, run_id: str) -> Run:
        """Erase the data of a run that has ended, for ever; its log stays and still verifies."""
        return self._transport.one(Run, "POST", f"{_path(run_id)}/erase", repeatable=True)

    def events(
        self,
        run_id: str,
        *,
        after_seq: int = 0,
        level: str | None = None,
        type: str | None = None,
        types: Iterable[str] = (),
        limit: int | None = None,
    ) -> Pages[Event]:
        """Return the events that the run has so far, oldest first."""
        named = ",".join(types) or None
        params = {"after_seq": after_seq or None, "level": level, "type": type, "types": named, "limit": limit}
        return self._transport.pages(Event, f"{_path(run_id)}/events", params)

    def stream(
        self,
        run_id: str,
        after_seq: int = 0,
        *,
        types: Iterable[str] = (),
        allow_gaps: bool = False,
        backoff: Backoff = STREAM_BACKOFF,
        on_cut: OnCut | None = None,
    ) -> EventStream:
        """Return the events of a run as they happen, to the last one; see `EventStream`."""
        return EventStream(
            self._transport,
            quote(run_id, safe=""),
            after_seq=after_seq,
            types=types,
            allow_gaps=allow_gaps,
            backoff=backoff,
            on_cut=on_cut,
        )

    def chunks(
        self, run_id: str, after_seq: int = 0, *, backoff: Backoff = STREAM_BACKOFF, on_cut: OnCut | None = None
    ) -> EventStream:
        """Return the pieces of the run's streams as they are written: its `stream.chunk` events, and no others."""
        return EventStream(
            self._transport,
            quote(run_id, safe=""),
            path="stream/chunks",
            after_seq=after_seq,
            allow_gaps=True,
            backoff=backoff,
            on_cut=on_cut,
        )

    def wait(self, run_id: str, *, timeout_s: float | None = None) -> Run:
        """Return the run once it has ended. Raises `TimeoutError` after `timeout_s`; the run goes on."""
        with waiting.timeout(timeout_s):
            run = self.get(run_id)
            while not run.finished:
                for _ in self.stream(run_id, run.last_seq, types=("run.completed",), allow_gaps=True):
                    pass
                run = self.get(run_id)
            return run

    def attempts(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Attempt]:
        """Return the attempts of a run."""
        return self._transport.pages(Attempt, f"{_path(run_id)}/attempts", page)

    def effects(self, run_id: str) -> Effects:
        """Return which effects of the run's steps are finished, would repeat, or are unknown."""
        return self._transport.one(Effects, "GET", f"{_path(run_id)}/effects")

    def why(self, run_id: str) -> Why:
        """Return why a run is not executing."""
        return self._transport.one(Why, "GET", f"{_path(run_id)}/why")

    def timeline(self, run_id: str) -> Timeline:
        """Return where a run's time went: states, attempts, phases of dispatch, steps and tool calls."""
        return self._transport.one(Timeline, "GET", f"{_path(run_id)}/timeline")

    def debug_bundle(self, run_id: str) -> DebugBundle:
        """Return a run with all its records, attempts, children, deliveries and job version, redacted."""
        return self._transport.one(DebugBundle, "GET", f"{_path(run_id)}/debug-bundle")

    def checkpoints(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Checkpoint]:
        """Return the checkpoints of a run."""
        return self._transport.pages(Checkpoint, f"{_path(run_id)}/checkpoints", page)

    def outputs(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Output]:
        """Return the outputs of a run, the latest of each key."""
        return self._transport.pages(Output, f"{_path(run_id)}/outputs", page)

    def usage(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Usage]:
        """Return what the run's model calls used."""
        return self._transport.pages(Usage, f"{_path(run_id)}/usage", page)

    def tool_calls(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[ToolCall]:
        """Return the tools that the run's code called."""
        return self._transport.pages(ToolCall, f"{_path(run_id)}/tool-calls", page)

    def state(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[StateValue]:
        """Return what the run keeps under keys."""
        return self._transport.pages(StateValue, f"{_path(run_id)}/state", page)

    def artifacts(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[RunArtifact]:
        """Return the values of the run that lie in artifacts."""
        return self._transport.pages(RunArtifact, f"{_path(run_id)}/artifacts", page)

    def value(self, run_id: str, digest: str) -> RunValue:
        """Return what an agent run keeps under a digest that its log names: a prompt, a long output, its workspace."""
        return self._transport.one(RunValue, "GET", f"{_path(run_id)}/values/{quote(digest, safe='')}")

    def lineage(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Run]:
        """Return the runs that continue each other, of which this is one; the first of them first."""
        return self._transport.pages(Run, f"{_path(run_id)}/lineage", page)

    def children(self, run_id: str, **page: Unpack[PageOptions]) -> Pages[Run]:
        """Return the runs that this run started."""
        return self._transport.pages(Run, f"{_path(run_id)}/children", page)


def run_params(filters: RunFilters) -> dict[str, Any]:
    """Return the filters of a list of runs as its query takes them."""
    params: dict[str, Any] = dict(filters)
    if "payload_contains" in filters:
        params["payload_contains"] = msgspec.json.encode(filters["payload_contains"]).decode()
    return params


def _path(run_id: str) -> str:
    return f"/v1/runs/{quote(run_id, safe='')}"
