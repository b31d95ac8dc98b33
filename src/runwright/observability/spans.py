"""Spans by OpenTelemetry, heard from `telemetry`: of requests (server), attempts, dispatches (client), and agents.

A request joins the `traceparent` it came with. The runs that it makes keep its trace, so an attempt's span is one of
the same trace, whenever and wherever it executes; it has no parent, for the request may be long over. What a handler
does happens within its attempt's span, and a dispatch hands its own on as `traceparent`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import ASGIApp, Receive, Scope, Send

from runwright import telemetry
from runwright.domain.outcome import Failed
from runwright.domain.run import Run
from runwright.observability.agent_spans import AgentSpans, invoked

_VERSION = version("runwright")
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_propagator = TraceContextTextMapPropagator()
_wanted: ContextVar[int | None] = ContextVar("runwright_trace_id", default=None)
_request: ContextVar[Span | None] = ContextVar("runwright_request_span", default=None)
_dispatch: ContextVar[Span | None] = ContextVar("runwright_dispatch_span", default=None)


class TraceIds(RandomIdGenerator):
    """Begins a trace under the id that is wanted in this context: an attempt belongs to the trace that its run has."""

    def generate_trace_id(self) -> int:
        """Return the wanted trace id, or a random one."""
        return _wanted.get() or super().generate_trace_id()

    def is_trace_id_random(self) -> bool:
        """Tell whether the id was drawn here; of one that a caller brought nobody knows."""
        return _wanted.get() is None


def exported() -> Spans:
    """Return spans that go to the collector that the `OTEL_*` variables name, by OTLP over HTTP."""
    named = OTELResourceDetector().detect().attributes.get("service.name", "runwright")
    resource = Resource.create({"service.name": named, "service.version": _VERSION})
    provider = TracerProvider(resource=resource, id_generator=TraceIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)  # the spans that a handler makes of its own go the same way
    return Spans(provider)


class Spans:
    """Make spans of what is observed. The provider's ids must be `TraceIds`."""

    def __init__(self, provider: TracerProvider) -> None:
        """Listen from now on."""
        self._provider = provider
        self._tracer = provider.get_tracer("runwright", _VERSION)
        self._attempts: dict[tuple[str, int], Span] = {}
        self._hearers: dict[str, Callable[..., None]] = {
            "http.answered": self._answered,
            "attempt.began": self._began,
            "attempt.ended": self._ended,
            "dispatch.began": self._dispatched,
            "dispatch.ended": self._returned,
            **AgentSpans(self._tracer).hearers,
        }
        self._detach = telemetry.attach(self._hear, *self._hearers)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application with a span around each of its requests."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            with self._server_span(scope) as span:
                token = _request.set(span)
                carrier: dict[str, str] = {}
                _propagator.inject(carrier)
                # The surface joins this header: the answer's X-Trace-Id and the run's trace are the span's.
                kept = [(name, value) for name, value in scope["headers"] if name != b"traceparent"]
                parent = carrier.get("traceparent", "").encode("ascii")
                try:
                    await app({**scope, "headers": [*kept, (b"traceparent", parent)]}, receive, send)
                finally:
                    _request.reset(token)

        return traced

    def close(self) -> None:
        """Hear no more, and send what was not sent yet."""
        self._detach()
        self._provider.shutdown()

    def _hear(self, name: str, fields: Mapping[str, Any]) -> None:
        self._hearers[name](**fields)

    def _server_span(self, scope: Scope) -> Any:
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in {b"traceparent", b"tracestate", b"user-agent"}
        }
        known = scope["method"] in _METHODS
        attributes: dict[str, str | int] = {
            "http.request.method": scope["method"] if known else "_OTHER",
            "url.scheme": scope["scheme"],
            "url.path": scope["path"],
            "network.protocol.version": scope["http_version"],
        }
        if scope.get("server"):
            attributes["server.address"], attributes["server.port"] = scope["server"][:2]
        if scope.get("client"):
            attributes["client.address"] = scope["client"][0]
        if "user-agent" in headers:
            attributes["user_agent.original"] = headers["user-agent"]
        return self._tracer.start_as_current_span(
            scope["method"] if known else "HTTP",
            context=_propagator.extract(headers, Context()),
            kind=SpanKind.SERVER,
            attributes={name: value for name, value in attributes.items() if value is not None},
        )

    def _answered(self, method: str, route: str, status: int | None, **_: Any) -> None:
        span = _request.get()
        if span is None:
            return
        if route != "none":
            span.update_name(f"{method} {route}")
            span.set_attribute("http.route", route)
        if status is None:
            span.set_attribute("error.type", "aborted")
            return
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(Status(StatusCode.ERROR))

    def _began(self, run: Run, **_: Any) -> None:
        spec = run.spec
        name, more = (f"run {spec.handler or spec.executor}", {}) if spec.agent is None else invoked(spec.agent)
        known = _TRACE_ID.fullmatch(spec.trace_id) is not None
        token = _wanted.set(int(spec.trace_id, 16) if known else None)
        try:
            span = self._tracer.start_span(
                name,
                context=Context(),
                kind=SpanKind.CONSUMER if spec.agent is None else SpanKind.INTERNAL,
                attributes={
                    "runwright.run.id": run.run_id,
                    "runwright.run.kind": spec.kind,
                    "runwright.run.attempt": run.attempt,
                    "runwright.run.executor": spec.executor,
                    "runwright.run.queue": spec.queue,
                    **more,
                },
            )
        finally:
            _wanted.reset(token)
        self._attempts[run.run_id, run.lease_epoch] = span
        _request.set(None)  # the task inherited whatever request woke it
        context.attach(trace.set_span_in_context(span, Context()))  # of the attempt's own task, and gone with it

    def _ended(self, run: Run, outcome: Any) -> None:
        span = self._attempts.pop((run.run_id, run.lease_epoch), None)
        if span is None:
            return
        span.set_attribute("runwright.run.outcome", "lost" if outcome is None else type(outcome).__name__.lower())
        if outcome is None:
            span.set_attribute("error.type", "lost")
            span.set_status(Status(StatusCode.ERROR, "the lease of the attempt is over"))
        elif isinstance(outcome, Failed):
            span.set_attribute("error.type", outcome.error_class)
            # What a provider says of a prompt may be the prompt.
            span.set_status(Status(StatusCode.ERROR, outcome.message if run.spec.agent is None else None))
        span.end()

    def _dispatched(self, url: str, headers: dict[str, str]) -> None:
        to = urlsplit(url)
        span = self._tracer.start_span(
            "POST",
            kind=SpanKind.CLIENT,
            attributes={
                "http.request.method": "POST",
                "url.scheme": to.scheme,
                "server.address": to.hostname or "",
                "server.port": to.port or (443 if to.scheme == "https" else 80),
            },
        )
        _dispatch.set(span)
        _propagator.inject(headers, trace.set_span_in_context(span))

    def _returned(self, status: int | None, code: str | None, **_: Any) -> None:
        span = _dispatch.get()
        if span is None:
            return
        _dispatch.set(None)
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= 400:
            span.set_attribute("error.type", code or str(status or "given_up"))
            span.set_status(Status(StatusCode.ERROR))
        span.end()
