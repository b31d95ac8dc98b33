"""Requests, attempts and dispatches make spans that hang together; off loads nothing, on without the extra is told."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from runwright import Context, job, telemetry
from runwright.engine.orders import Order
from runwright.observability.spans import Spans, TraceIds
from tests.acceptance.live_server import LiveServer, environment, program
from tests.acceptance.speech import Speech
from tests.api.served import Served, ok, serving
from tests.engine.world import ADMIN, PROJECT, World
from tests.executors.endpoint import always, answer
from tests.executors.endpoint import serving as endpoint_serving
from tests.executors.test_dispatch import client as dispatcher
from tests.waiting import until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = PARENT[3:35]


class Kept:
    """The spans of a test, in memory."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(id_generator=TraceIds(), shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.spans = Spans(self.provider)

    def all(self) -> list[ReadableSpan]:
        return [*self._exporter.get_finished_spans()]

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span


@pytest.fixture
def kept() -> Any:
    made = Kept()
    yield made
    made.spans.close()


def trace_id(span: ReadableSpan) -> str:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}"


def span_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


@asynccontextmanager
async def traced(kept: Kept, directory: Path) -> AsyncIterator[tuple[Served, httpx2.AsyncClient]]:
    async with serving(directory, worker=("tests.acceptance.handlers:app",)) as served:
        transport = httpx2.ASGITransport(app=kept.spans.around(served.house.app))
        headers = {"authorization": f"Bearer {served.admin_token}"}
        yield served, httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers)


# --- requests ---------------------------------------------------------------------------------------------------------


async def test_a_request_is_a_server_span_that_joins_the_caller(kept: Kept, tmp_path: Path):
    async with traced(kept, tmp_path) as (_, api):
        answer = await api.get("/v1/runs/run_1?ticket=secret", headers={"traceparent": PARENT})
    span = kept.one("GET /v1/runs/{run_id}")
    assert span.kind is SpanKind.SERVER
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == PARENT[36:52]
    assert trace_id(span) == TRACE == answer.headers["x-trace-id"]
    given = dict(span.attributes or {})
    assert given["http.request.method"] == "GET"
    assert given["http.route"] == "/v1/runs/{run_id}"
    assert given["http.response.status_code"] == 422
    assert given["url.path"] == "/v1/runs/run_1"
    assert given["url.scheme"] == "http"
    assert "error.type" not in given
    assert span.status.status_code is StatusCode.UNSET, "what the caller did wrong is no error of the server"
    assert "secret" not in str(given)


@pytest.mark.parametrize("parent", [None, "00-" + "0" * 32 + "-b7ad6b7169203331-01", "nonsense"])
async def test_a_request_without_a_trace_begins_one_and_tells_it(kept: Kept, tmp_path: Path, parent: str | None):
    async with traced(kept, tmp_path) as (_, api):
        answer = await api.get("/healthz", headers={} if parent is None else {"traceparent": parent})
    assert trace_id(kept.one("GET /healthz")) == answer.headers["x-trace-id"]


async def test_a_failure_of_the_server_is_an_error_and_an_odd_method_makes_no_name(kept: Kept, tmp_path: Path):
    async with traced(kept, tmp_path) as (served, api):
        await api.request("ODD1", "/nothing/1")
        await served.house.services.engine.store.close()
        assert (await api.get("/readyz")).status_code == 503
    broken = kept.one("GET /readyz")
    assert broken.status.status_code is StatusCode.ERROR
    assert dict(broken.attributes or {})["error.type"] == "503"
    assert dict(kept.one("HTTP").attributes or {})["http.request.method"] == "_OTHER"


# --- attempts ---------------------------------------------------------------------------------------------------------


async def test_an_attempt_is_a_span_of_the_trace_of_the_request_that_made_its_run(kept: Kept, tmp_path: Path):
    async with traced(kept, tmp_path) as (served, api):
        body = {"payload": {"word": "x"}}
        run = await ok(api.post("/v1/jobs/echo/trigger", json=body, headers={"traceparent": PARENT}), 201)
        await until(lambda: all(worker.busy == 0 for worker in served.house.services.engine.workers))
    request, attempt = kept.one("POST /v1/jobs/{job}/trigger"), kept.one("run echo")
    assert trace_id(request) == trace_id(attempt) == TRACE
    assert attempt.kind is SpanKind.CONSUMER
    assert attempt.parent is None
    given = dict(attempt.attributes or {})
    assert (given["runwright.run.id"], given["runwright.run.attempt"]) == (run["id"], 1)
    assert given["runwright.run.outcome"] == "completed"


@job(slug="fails", max_attempts=1)
async def fails(ctx: Context, payload: dict[str, Any]) -> None:
    raise ZeroDivisionError("open sesame")


SEEN: list[trace.Span] = []


@job(slug="looks")
async def looks(ctx: Context, payload: dict[str, Any]) -> None:
    """Look which span is the current one."""
    SEEN.append(trace.get_current_span())


async def submit(world: World, slug: str, trace_of: str = TRACE) -> str:
    order = world.engine.submitter.command(
        ADMIN, PROJECT, world.job(slug, max_attempts=1), Order(), request_id=None, trace_id=trace_of
    )
    answer = await world.engine.commit.apply(order)
    await until(lambda: all(worker.busy == 0 for worker in world.engine.workers))
    run_id: str = answer.run_id
    return run_id


async def test_a_failed_attempt_is_an_error_of_its_class(kept: Kept, open_world):
    world = await open_world(fails)
    await submit(world, "fails")
    span = kept.one("run fails")
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {})["error.type"] == "ZeroDivisionError"


async def test_a_handler_works_within_the_span_of_its_attempt(kept: Kept, open_world):
    world = await open_world(looks)
    SEEN.clear()
    with kept.provider.get_tracer("test").start_as_current_span("somebody else"):
        await submit(world, "looks")
    assert SEEN[0].get_span_context() == kept.one("run looks").get_span_context()
    assert kept.one("run looks").parent is None, "whoever woke the worker is not what the attempt belongs to"


async def test_a_run_whose_trace_is_no_id_has_a_trace_of_its_own(kept: Kept, open_world):
    world = await open_world(looks)
    await submit(world, "looks", "t" * 32)
    assert trace_id(kept.one("run looks")) != "0" * 32


# --- dispatches -------------------------------------------------------------------------------------------------------


async def test_a_dispatch_is_a_client_span_of_its_attempt_and_hands_its_own_trace_on(kept: Kept):
    async with endpoint_serving(always(answer())) as endpoint, dispatcher() as sender:
        with kept.provider.get_tracer("test").start_as_current_span("attempt") as parent:
            await sender.post(endpoint.url, {"traceparent": PARENT}, b"{}")
        (heard,) = endpoint.received
    span = kept.one("POST")
    assert span.kind is SpanKind.CLIENT
    assert span.parent is not None
    assert span.parent.span_id == parent.get_span_context().span_id
    assert heard.headers["traceparent"][:53] == f"00-{trace_id(span)}-{span_id(span):016x}-"
    assert dict(span.attributes or {})["http.response.status_code"] == 200


async def test_a_dispatch_without_an_answer_is_an_error(kept: Kept):
    async with dispatcher() as sender:
        await sender.post("http://127.0.0.1:9/", {}, b"{}")
    assert kept.one("POST").status.status_code is StatusCode.ERROR


# --- on and off -------------------------------------------------------------------------------------------------------


async def test_on_sends_the_spans_to_the_collector_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with endpoint_serving(always(answer())) as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        live = LiveServer(tmp_path, tracing=True)
        await live.start()
        api = Speech(live.client())
        run = await api.trigger(await api.job("echo"))
        await api.ended(run["id"])
        await live.stop()
        await live.close()
    assert {received.line for received in collector.received} == {"POST /v1/traces HTTP/1.1"}
    sent = b"".join(received.body for received in collector.received)
    for told in (b"service.name", b"runwright", b"run echo", b"POST /v1/jobs/{job}/trigger", run["id"].encode()):
        assert told in sent


async def test_off_is_the_default_and_nobody_listens_nor_is_the_library_loaded(tmp_path: Path):
    code = """
import asyncio, sys
from pathlib import Path
from runwright import config, telemetry
from runwright.app import open_house
async def main():
    async with open_house(config.load({}, overrides={"data_dir": Path(sys.argv[1])})):
        print([name for name in sys.modules if name.startswith("opentelemetry")], "dispatch.began" in telemetry._sinks)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "[] False\n"


async def test_on_without_the_extra_says_what_to_install(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['opentelemetry'] = None\n", encoding="utf-8")
    env = environment(tracing="true", data_dir=tmp_path / "data", port=0)
    ended = await program("serve", env={**env, "PYTHONPATH": str(tmp_path)})
    assert ended.code != 0
    assert "RUNWRIGHT_TRACING: needs the extra `otel`: pip install 'runwright[otel]'" in " ".join(ended.err.split())


async def test_closed_spans_hear_no_more(kept: Kept):
    kept.spans.close()
    telemetry.observe("dispatch.began", url="http://127.0.0.1/", headers={})
    assert "dispatch.began" not in telemetry._sinks
