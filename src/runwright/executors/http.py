"""Run jobs behind endpoints: post the payload, signed, and read from the answer how the attempt ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import quote

from msgspec.structs import asdict, replace

from runwright.domain import outcome as o
from runwright.domain.addresses import read_url
from runwright.domain.events import Level
from runwright.domain.lane import Lane
from runwright.domain.run import Run, Trace
from runwright.domain.signing import signature_headers
from runwright.engine.attempt import Attempt
from runwright.engine.endpoints import Endpoint, Endpoints
from runwright.engine.values import encode
from runwright.errors import NotFound
from runwright.executors.answers import ACCEPTED, excerpt, is_retryable, result_of, retry_after_s
from runwright.executors.dispatch import Answer, Dispatcher, Fault

Minter = Callable[[str, int], str]
"""Returns the run token of a lease: (run id, lease epoch)."""

_VISIBLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


class HttpExecutor:
    """Executes the runs of http jobs, each by one request, or by two when the job has a fallback endpoint.

    A stop request is the endpoint's to hear, by what the run's API answers it: until it answers here, or the fence
    ends the attempt, its work is not known to have stopped.
    """

    name = "http"

    def __init__(self, endpoints: Endpoints, dispatcher: Dispatcher, mint: Minter) -> None:
        self._endpoints = endpoints
        self._dispatcher = dispatcher
        self._mint = mint

    def serves(self, lane: Lane) -> bool:
        """Tell whether a lane holds runs of http jobs."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Post the attempt's payload and return how it ended."""
        run, now = attempt.run, attempt.clock.now()
        try:
            endpoint = await self._endpoints.find(run, now)
        except NotFound as gone:
            return attempt.failed("JobGone", gone.detail, retryable=False, code=gone.code, reason="system")
        body = encode(attempt.payload())
        token = self._mint(run.run_id, run.lease_epoch)
        headers = _headers(run, token) | signature_headers(endpoint.secrets, message_id(run), now // 1_000_000, body)
        url, fallback = endpoint.url, False
        answer = await self._post(attempt, url, headers, body, token)
        if endpoint.fallback_url is not None and _asks_for_fallback(answer):
            attempt.emit(_Log(f"{_told(answer)}; the fallback endpoint is tried"))
            url, fallback = endpoint.fallback_url, True
            answer = await self._post(attempt, url, headers, body, token)
        trace = _trace(answer, url, fallback)
        if isinstance(answer, Fault):
            failed = attempt.failed(answer.error_class, answer.message, retryable=answer.retryable, code=answer.code)
            return replace(failed, trace=trace)
        return _ended(attempt, endpoint, answer, token, trace)

    async def _post(
        self, attempt: Attempt, url: str, headers: Mapping[str, str], body: bytes, token: str
    ) -> Answer | Fault:
        head = {"method": "POST", "url": url, "headers": headers}
        attempt.capture("debug.request", head, body, token)
        answer = await self._dispatcher.post(url, headers, body)
        await attempt.up_to_date()  # the endpoint may have asked for secrets meanwhile, and say them
        if isinstance(answer, Fault):
            fault = {"error_class": answer.error_class, "code": answer.code}
            attempt.capture("debug.response", fault, answer.message.encode(), token)
        else:
            told = {"status": answer.status, "headers": answer.headers}
            attempt.capture("debug.response", told, answer.body, token)
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._dispatcher.close()


def message_id(run: Run) -> str:
    """Return the name of what is sent: one for each attempt, the same when a dispatch is repeated or falls back."""
    return f"{run.run_id}.{run.attempt}"


def _headers(run: Run, token: str) -> dict[str, str]:
    spec = run.spec
    ours = {
        "Run-Id": run.run_id,
        "Job-Id": spec.job_id or "",
        "Attempt": str(run.attempt),
        "Run-Token": token,
    }
    return {
        **{f"Runwright-{name}": value for name, value in ours.items()},
        **{f"X-{name.replace('-Id', '-ID')}": value for name, value in ours.items()},
        # The same in every attempt, so that an endpoint does once what it was asked once.
        "Runwright-Idempotency-Key": quote(spec.idempotency_key or run.run_id, safe=_VISIBLE),
        "traceparent": f"00-{spec.trace_id}-{os.urandom(8).hex()}-01",
    }


def _asks_for_fallback(answer: Answer | Fault) -> bool:
    if isinstance(answer, Fault):
        return answer.unreached and answer.retryable
    return answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _ended(attempt: Attempt, endpoint: Endpoint, answer: Answer, token: str, trace: Trace) -> o.Outcome:
    if answer.status == ACCEPTED:
        return o.Accepted(trace)
    if answer.status in range(200, 300):
        return replace(attempt.completed(result_of(answer.body)), trace=trace)
    message = _told(answer)
    shown = excerpt(answer.body, token)
    if answer.status in range(300, 400):
        message += "; redirects are not followed: name the address that they lead to as endpoint_url"
    elif shown:
        message += f": {shown}"
    failed = attempt.failed(
        f"Http{answer.status}",
        message,
        retryable=is_retryable(answer.status, endpoint.retry_on),
        code="dispatch.status",
        retry_after_s=retry_after_s(answer.headers.get("retry-after"), attempt.clock.now()),
    )
    return replace(failed, trace=trace)


def _told(answer: Answer | Fault) -> str:
    if isinstance(answer, Fault):
        return answer.message
    try:
        phrase = f" {HTTPStatus(answer.status).phrase}"
    except ValueError:
        phrase = ""
    return f"the endpoint answered {answer.status}{phrase}"


def _trace(answer: Answer | Fault, url: str, fallback: bool) -> Trace:
    status = None if isinstance(answer, Fault) else answer.status
    return Trace(**asdict(answer.phases), status=status, endpoint=read_url(url).origin, fallback=fallback)


class _Log(NamedTuple):
    """A line in the run's log."""

    message: str
    type: str = "log"
    level: Level = "warning"
    data: dict[str, Any] = {}  # noqa: RUF012 - never changed
