# Generated from runwright/client/transport.py by `make docs`; change that one instead.
"""Calls over HTTP: one place that sends, tries again, and turns every failure into an error of ours."""

import os
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx2
import msgspec

from runwright.client import waiting
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ClientError, ServerUnreachable, UnexpectedAnswer
from runwright.client.models import R
from runwright.client.sync.pages import Page, Pages

DEFAULT_URL = "http://localhost:8080"
TIMEOUT_S = 30.0

_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
_TRY_AGAIN = frozenset({502, 503, 504})


class Transport:
    """Send requests to one server with one key."""

    def __init__(self, url: str, api_key: str | None, *, timeout_s: float, backoff: Backoff) -> None:
        self.url = url.rstrip("/")
        self.backoff = backoff
        headers = {"User-Agent": "runwright-python", "Accept": "application/json"}
        if api_key:
            if not re.fullmatch(r"[!-~]+", api_key):
                raise ValueError("An API key has only printable ASCII characters, and no spaces.")
            headers["Authorization"] = f"Bearer {api_key}"
        try:
            # No TLS, no certificates to load: that takes longer than all the rest. Redirects are not followed.
            secure = not self.url.startswith("http://")
            self._http = waiting.HttpClient(base_url=self.url, headers=headers, timeout=timeout_s, verify=secure)
        except httpx2.InvalidURL as error:
            raise ValueError(f"{url!r} is not the address of a server: {error}") from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def one(self, kind: type[R], method: str, path: str, **request: Any) -> R:
        """Send a request that answers with one object."""
        return self.read(kind, self.send(method, path, **request))

    def read(self, kind: type[R], response: httpx2.Response) -> R:
        """Return the object of an answer."""
        try:
            return kind.read(response.content)
        except msgspec.MsgspecError as error:
            raise self._unexpected(response, error) from None

    def made(self, kind: type[R], path: str, body: Any, idempotency_key: str | None = None, **request: Any) -> R:
        """Send a POST that makes something, under a key of its own: sent again, it finds what it made."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self.one(kind, "POST", path, body=body, headers=headers, **{"repeatable": True, **request})

    def made_all(self, kind: type[R], path: str, body: Any, idempotency_key: str | None = None) -> list[R]:
        """Send a POST that makes several things, as `made` does one."""
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self.read_all(kind, self.send("POST", path, body=body, headers=headers, repeatable=True))

    def many(self, kind: type[R], path: str, params: Mapping[str, Any]) -> Page[R]:
        """Get one page of a list."""
        response = self.send("GET", path, params=params)
        return Page(self.read_all(kind, response), response.headers.get("x-next-cursor"))

    def read_all(self, kind: type[R], response: httpx2.Response) -> list[R]:
        """Return the objects of an answer that is a list."""
        try:
            return kind.read_all(response.content)
        except msgspec.MsgspecError as error:
            raise self._unexpected(response, error) from None

    def pages(self, kind: type[R], path: str, params: Mapping[str, Any]) -> Pages[R]:
        """Return the rows of a list, page by page as they are asked for."""
        return Pages(lambda cursor: self.many(kind, path, {**params, "cursor": cursor}))

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = msgspec.UNSET,
        content: Callable[[], Any] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        attempts: int | None = None,
    ) -> httpx2.Response:
        """Send a request, again where that is safe, and return its successful answer.

        `repeatable` says that doing it twice is doing it once (default: GET). Anything is tried again if it was never
        sent or if the server refused it for now (429), at most `attempts` times. `content` gives a body that is
        no JSON, for each try. Raises `ApiError`, `ServerUnreachable` or `UnexpectedAnswer`.
        """
        repeatable = method == "GET" if repeatable is None else repeatable
        encoded = None if body is msgspec.UNSET else _encoded(body)
        sent = {**(headers or {}), **({} if encoded is None else {"Content-Type": "application/json"})}
        failures = 0
        while True:
            failure: ClientError
            asked_s = None
            try:
                response = self._http.request(
                    method,
                    path,
                    params=query(params or {}),
                    content=encoded if content is None else content(),
                    headers=sent,
                )
            except _UNSENT as error:
                failure, again = self._unreachable(error), True
            except (httpx2.RequestError, httpx2.InvalidURL) as error:
                failure, again = self._unreachable(error), repeatable
            else:
                if response.is_success:
                    return response
                refusal = self.refusal(response)
                failure, asked_s = refusal, refusal.retry_after_s if isinstance(refusal, ApiError) else None
                again = response.status_code == 429 or (repeatable and response.status_code in _TRY_AGAIN)
            failures += 1
            if not again or failures >= (attempts or self.backoff.attempts):
                raise failure
            waiting.sleep(self.backoff.delay_s(failures, asked_s))

    @contextmanager
    def stream(
        self, path: str, params: Mapping[str, Any], headers: Mapping[str, str], idle_timeout_s: float
    ) -> Iterator[httpx2.Response]:
        """Open a stream: the answer is there, its body is not read yet. Tried once."""
        timeout = httpx2.Timeout(self._http.timeout.connect, read=idle_timeout_s)
        try:
            with self._http.stream(
                "GET", path, params=query(params), headers=dict(headers), timeout=timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    raise self.refusal(response)
                yield response
        except httpx2.RequestError as error:
            raise self._unreachable(error) from None

    def socket(self, path: str, params: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        """Return the address of a WebSocket, and the headers that open it."""
        request = self._http.build_request("GET", path, params=query(params))
        shown = {name: request.headers[name] for name in ("authorization", "user-agent") if name in request.headers}
        return str(request.url).replace("http", "ws", 1), shown

    def refusal(self, response: httpx2.Response) -> ClientError:
        """Turn an answer that is no success into an error."""
        if response.status_code < 400:
            return UnexpectedAnswer(f"{self.url} answered {response.status_code}: is another program listening there?")
        try:
            problem = msgspec.json.decode(response.content, type=_Problem)
        except msgspec.MsgspecError:
            problem = _Problem()
        if isinstance(problem.error, dict):  # as `/api/v1` says it
            problem = msgspec.convert(problem.error, _Problem, strict=False)
        phrase = f"{response.status_code} {response.reason_phrase}".strip()
        return ApiError(
            response.status_code,
            problem.code or f"http.{response.status_code}",
            problem.message or (problem.error if isinstance(problem.error, str) else "") or phrase,
            request_id=problem.request_id or response.headers.get("x-request-id"),
            details=problem.details,
            retry_after_s=_seconds(response.headers.get("retry-after")),
        )

    def _unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(self.url, str(error) or type(error).__name__)

    def _unexpected(self, response: httpx2.Response, error: Exception) -> UnexpectedAnswer:
        start = response.content[:80].decode("utf-8", "replace")
        return UnexpectedAnswer(f"{response.request.method} {response.request.url} answered {start!r}: {error}")


class _Problem(msgspec.Struct):
    error: Any = None
    code: str | None = None
    message: str | None = None
    request_id: str | None = None
    details: Any = None


def server_url(given: str | None) -> str:
    """Return the address of the server: the one that is given, else `RUNWRIGHT_URL`, else this machine's."""
    return given or os.environ.get("RUNWRIGHT_URL") or DEFAULT_URL


def query(params: Mapping[str, Any]) -> list[tuple[str, str | int | float | bool | None]]:
    """Return query parameters as texts: lists repeat the name, maps become `name[key]`, None is left out."""
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in params.items():
        if isinstance(value, Mapping):
            pairs += [(f"{name}[{key}]", _text(item)) for key, item in value.items()]
        elif isinstance(value, list | tuple | set | frozenset):
            pairs += [(name, _text(item)) for item in value]
        elif value is not None:
            pairs.append((name, _text(value)))
    return pairs


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _encoded(body: Any) -> bytes:
    return msgspec.json.encode(body)


def _seconds(value: str | None) -> float | None:
    return float(value) if value is not None and re.fullmatch(r"\d{1,9}(\.\d+)?", value) else None
