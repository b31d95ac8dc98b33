# Generated from runwright/client/run_handle.py by `make docs`; change that one instead.
"""What the code behind an endpoint calls while it works on a run that it has accepted."""

from collections.abc import Mapping
from typing import Any, Self, Unpack
from urllib.parse import quote

import httpx2
import msgspec

from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, StopKind
from runwright.client.event_models import SpawnedRun, Waiting
from runwright.client.fields import Level, SpawnOptions
from runwright.client.json_values import json_copy
from runwright.client.models import (
    Checkpoint,
    Event,
    MemoryValue,
    Output,
    OwnSecrets,
    R,
    Run,
    Standing,
    StateValue,
    ToolCall,
    Usage,
)
from runwright.client.sync.transport import TIMEOUT_S, Transport, server_url

RUN_ID = "runwright-run-id"
RUN_TOKEN = "runwright-run-token"

_STOPS: dict[str, StopKind] = {"cancel": "cancel", "restart": "restart", "pause": "pause"}


class RunHandle:
    """Call back for one run, with the token of its dispatch: `with RunHandle.of(headers) as run: …`.

    Answer the dispatch with 202, then call within the job's `heartbeat_timeout_secs` again and again, and `complete` or
    `fail` at the end. Each answer tells in `stop` what the run is asked to do. Once the lease is over, every call is an
    `ApiError`: 401 (`auth.stale_token`) when the run goes on elsewhere, 410 (`runs.ended`) when it has ended.
    """

    def __init__(
        self,
        run_id: str,
        run_token: str,
        url: str | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        backoff: Backoff | None = None,
    ) -> None:
        self.run_id = run_id
        self.stop: StopKind | None = None
        self._transport = Transport(server_url(url), run_token, timeout_s=timeout_s, backoff=backoff or Backoff())
        self._path = f"/sdk/v1/runs/{quote(run_id, safe='')}"

    @classmethod
    def of(cls, headers: Mapping[str, str], url: str | None = None) -> Self:
        """Return the handle of the run whose dispatch had these headers. Raises `ValueError` for other requests."""
        named = {name.lower(): value for name, value in headers.items()}
        if RUN_ID not in named or RUN_TOKEN not in named:
            raise ValueError(f"The request has no {RUN_ID} and {RUN_TOKEN}: it is no dispatch of a run.")
        return cls(named[RUN_ID], named[RUN_TOKEN], url)

    def payload(self) -> dict[str, Any]:
        """Return the run's payload."""
        found: dict[str, Any] = (self._send("GET", "payload")).json()
        return found

    def secrets(self) -> OwnSecrets:
        """Return the secrets and the variables that the run is given, as they are now."""
        return self._transport.read(OwnSecrets, self._send("GET", "secrets"))

    def log(self, message: str, level: Level = "info", **data: Any) -> Event:
        """Write a line into the run's log."""
        return self._post(Event, "log", {"message": message, "level": level, "data": json_copy(data)})

    def progress(
        self, percent: float, message: str = "", *, step: str | None = None, eta_seconds: float | None = None
    ) -> Event:
        """Tell how far the work is: 0 to 100."""
        body = {"percent": percent, "message": message, "step": step, "eta_seconds": eta_seconds}
        return self._post(Event, "progress", body)

    def annotate(self, annotations: Mapping[str, str]) -> Standing:
        """Add to the run's metadata."""
        return self._post(Standing, "annotate", {"annotations": dict(annotations)}, repeatable=True)

    def heartbeat(self) -> Standing:
        """Renew the lease, for when there is nothing else to say."""
        return self._transport.read(Standing, self._send("POST", "heartbeat", repeatable=True))

    def checkpoint(self, state: Mapping[str, Any], *, source: str = "sdk") -> Checkpoint:
        """Save a state to go on from, under the next number."""
        return self._post(Checkpoint, "checkpoint", {"state": json_copy(dict(state)), "source": source})

    def last_checkpoint(self) -> dict[str, Any] | None:
        """Return the state that was saved last, by an earlier attempt or by the run that this one replays; or None."""
        try:
            response = self._send("GET", "checkpoint")
        except ApiError as refusal:
            if refusal.code == "checkpoints.not_found":
                return None
            raise
        found: dict[str, Any] = self._transport.read(Checkpoint, response).state
        return found

    def output(self, key: str, value: Any, schema: Mapping[str, Any] | None = None) -> Output:
        """Publish a named output; a later one of the same key replaces it."""
        body = {"key": key, "value": json_copy(value), "schema": None if schema is None else dict(schema)}
        return self._post(Output, "output", body, repeatable=True)

    def usage(
        self,
        provider: str,
        model: str,
        *,
        prompt_tokens: int = 0,
        completion_tokens: int = 0,
        total_tokens: int | None = None,
        cost_microusd: int = 0,
    ) -> Usage:
        """Tell what a call of a model used; the cost is in millionths of a US dollar."""
        body = {
            "provider": provider,
            "model": model,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": total_tokens,
            "cost_microusd": cost_microusd,
        }
        return self._post(Usage, "usage", body)

    def tool_call(
        self, tool_name: str, input: Any = None, output: Any = None, *, duration_ms: int = 0, status: str = "completed"
    ) -> ToolCall:
        """Tell that a tool was called, with what, and what came of it."""
        body = {"tool_name": tool_name, "input": json_copy(input), "output": json_copy(output)}
        return self._post(ToolCall, "tool-call", {**body, "duration_ms": duration_ms, "status": status})

    def iteration(self, iteration: int, description: str = "") -> Event:
        """Tell which round of its work begins: 1, 2, …."""
        return self._post(Event, "iteration", {"iteration": iteration, "description": description})

    def resources(
        self, *, cpu_percent: float | None = None, memory_mb: float | None = None, memory_percent: float | None = None
    ) -> Event:
        """Tell what the run uses of its machine."""
        body = {"cpu_percent": cpu_percent, "memory_mb": memory_mb, "memory_percent": memory_percent}
        return self._post(Event, "resources", body)

    def stream(self, chunk: str, stream_id: str = "default", done: bool = False) -> Standing:
        """Send a piece of text to whoever follows the run."""
        return self._post(Standing, "stream", {"chunk": chunk, "stream_id": stream_id, "done": done})

    def state(self, key: str, default: Any = None) -> Any:
        """Return what the run keeps under a key, kept by this attempt or an earlier one; `default` where nothing is."""
        try:
            response = self._send("GET", f"state/{quote(key, safe='')}")
        except ApiError as refusal:
            if refusal.code == "values.not_found":
                return default
            raise
        return self._transport.read(StateValue, response).value

    def all_state(self) -> dict[str, Any]:
        """Return all that the run keeps, by key."""
        response = self._send("GET", "state")
        return {each.state_key: each.value for each in self._transport.read_all(StateValue, response)}

    def set_state(self, key: str, value: Any) -> StateValue:
        """Keep a small JSON value under a key, for later attempts and for operators to see."""
        return self._post(StateValue, "state", {"key": key, "value": json_copy(value)}, repeatable=True)

    def delete_state(self, key: str) -> None:
        """Forget what is kept under a key; where nothing is kept, nothing happens."""
        self._send("DELETE", f"state/{quote(key, safe='')}", repeatable=True)

    def memory(self, key: str, default: Any = None) -> Any:
        """Return what the job remembers under a key, kept by any of its runs; `default` where that is nothing."""
        try:
            response = self._send("GET", f"memory/{quote(key, safe='')}")
        except ApiError as refusal:
            if refusal.code == "values.not_found":
                return default
            raise
        return self._transport.read(MemoryValue, response).value

    def all_memory(self) -> dict[str, Any]:
        """Return all that the job remembers, by key."""
        response = self._send("GET", "memory")
        return {each.memory_key: each.value for each in self._transport.read_all(MemoryValue, response)}

    def set_memory(self, key: str, value: Any, *, ttl_secs: float | None = None) -> MemoryValue:
        """Keep a JSON value for every run of the job, for so long; without a time until it is deleted."""
        body = {"key": key, "value": json_copy(value), "ttl_secs": ttl_secs}
        return self._post(MemoryValue, "memory", body, repeatable=True)

    def delete_memory(self, key: str) -> None:
        """Forget what the job remembers under a key; where that is nothing, nothing happens."""
        self._send("DELETE", f"memory/{quote(key, safe='')}", repeatable=True)

    def wait_for_event(self, key: str, *, timeout_secs: float | None = None, name: str | None = None) -> Waiting:
        """Return the payload of an event (`received`), or park the run until it comes: then the attempt is over.

        Answer the dispatch then with any 2xx, or not at all; the run is dispatched again when the event is there, and
        this call answers it. `name` tells several waits for one key apart.
        """
        body = {"event_key": key, "timeout_secs": timeout_secs, "name": name}
        return self._post(Waiting, "wait-for-event", body)

    def spawn(
        self,
        job: str,
        payload: Mapping[str, Any] | None = None,
        *,
        project_id: str | None = None,
        await_completion: bool = False,
        await_timeout_secs: float | None = None,
        name: str | None = None,
        ttl_secs: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SpawnOptions],
    ) -> SpawnedRun:
        """Start a run of another job, as a child of this one; with an `idempotency_key` once in all attempts.

        With `await_completion` this run is parked until the child ends, and its attempt is over; dispatched again, the
        same call answers with what became of it in `awaited`. `name` tells several awaited runs of one job apart.
        """
        body = {"job": job, "payload": json_copy(payload or {}), "project_id": project_id, "name": name, **options}
        body |= {"await_completion": await_completion, "await_timeout_secs": await_timeout_secs}
        body |= {"idempotency_key": idempotency_key, "ttl_secs": ttl_secs}
        return self._post(SpawnedRun, "spawn", body, repeatable=idempotency_key is not None)

    def continue_run(
        self, payload: Mapping[str, Any] | None = None, *, idempotency_key: str | None = None
    ) -> SpawnedRun:
        """Start the run of the same job that goes on where this one ends; this one is not ended by it."""
        body = {"payload": None if payload is None else json_copy(payload), "idempotency_key": idempotency_key}
        return self._post(SpawnedRun, "continue", body, repeatable=idempotency_key is not None)

    def complete(self, result: Any = None) -> Run:
        """End the run well, with its result."""
        return self._post(Run, "complete", {"result": json_copy(result)})

    def fail(self, error: str, *, error_class: str = "Error", retryable: bool = True) -> Run:
        """End the attempt badly; whether another follows is the job's retry policy's to say, unless not `retryable`."""
        return self._post(Run, "fail", {"error": error, "error_class": error_class, "retryable": retryable})

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def _post(self, kind: type[R], verb: str, body: Mapping[str, Any], *, repeatable: bool = False) -> R:
        given = {name: value for name, value in body.items() if value is not None or name in ("value", "result")}
        return self._transport.read(kind, self._send("POST", verb, body=given, repeatable=repeatable))

    def _send(
        self, method: str, verb: str, body: Any = msgspec.UNSET, repeatable: bool | None = None
    ) -> httpx2.Response:
        response = self._transport.send(method, f"{self._path}/{verb}", body=body, repeatable=repeatable)
        self.stop = _STOPS.get(response.headers.get("x-runwright-stop", ""))
        return response

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
