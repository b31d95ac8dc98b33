"""Every route of the API has a method of the client, which takes what it takes and shows what it answers.

Nothing here names a route: a new one fails until the client has a method for it, and then passes.
"""

import inspect
import types
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
import pytest

from runwright.api.openapi import _answers
from runwright.api.routing import Endpoint
from runwright.api.sse import EventStream
from runwright.api.surface import TABLES
from runwright.api.tree import Tree
from runwright.client.api import AsyncClient
from runwright.client.backoff import Backoff
from runwright.client.errors import ClientError
from runwright.client.models import Record
from runwright.client.pages import Pages
from runwright.client.run_handle import AsyncRunHandle
from runwright.client.tenancy import Collection
from runwright.client.terminal import TerminalStream
from tests.client.local_server import Answer, Request, serving

ENDPOINTS = {endpoint.name: endpoint for table in TABLES for endpoint in table.endpoints if endpoint.listed}

NO_METHOD = {
    "cancel_run": "`runs.cancel` asks by `:cancel`, which may be repeated",
    "stream_runtime_events": "`runs.stream` follows runs of every kind",
    "get_readiness": "for whoever sends traffic to servers, not for their callers",
    "get_metrics": "for Prometheus",
    "get_run_dependencies": "the other name of `get_dependency_status`",
    "get_debug_mode": "the run itself says it: `debug_mode`",
} | dict.fromkeys(
    ("claim_runs", "heartbeat", "append_records", "finish_attempts", "read_kept", "leave"),
    "between machines: `client/remote.py`, `remote_session.py` and `reporting.py` speak it for `RemoteWorker`",
)
NOT_TAKEN = {
    ("*", "cursor"): "`Pages` turns the pages",
    ("*", "before"): "a synonym of `cursor`",
    ("list_events", "follow"): "for the stream, which is `runs.stream`",
    ("list_events", "named"): "for the stream",
    ("list_events", "order"): "it has only one",
    ("stream_events", "follow"): "what there is so far is `runs.events`",
    ("stream_events", "named"): "for an EventSource",
    ("stream_chunks", "follow"): "what there is so far is `runs.events`",
    ("stream_chunks", "named"): "for an EventSource",
    ("start_run", "stream"): "`runs.stream` follows the run that was started",
    ("retry_thread", "stream"): "`runs.stream` follows the run that was started",
    ("restart_run", "machine_preset"): "the other spelling of `preset`",
    ("wait_for_event", "event_key"): "the other spelling of `key`",
    ("spawn_run", "job_slug"): "the other spelling of `job`",
    ("save_output", "output_key"): "the other spelling of `key`",
    ("set_state", "state_key"): "the other spelling of `key`",
    ("set_memory", "memory_key"): "the other spelling of `key`",
    ("create_job", "rate_limit_max"): "the other spelling of `rate_limit`",
    ("create_job", "rate_limit_window_secs"): "the other spelling of `rate_limit`",
}
NOT_SHOWN = {("Run", "ok"): "`runs.cancel` reads the run behind the answer that it was accepted"} | {
    (kind, "stop"): "`AsyncRunHandle.stop` has it, from every answer"
    for kind in ("Run", "Event", "Checkpoint", "Output", "Usage", "ToolCall", "StateValue", "MemoryValue", "Standing")
}
BUILT = {("Event", "event_id"): "what the stream calls `id`"} | {
    ("SpawnedRun", name): "a spawn has no dry run, and joins no other" for name in ("dry_run", "joined")
}
"""Fields of the client's records that this answer does not have."""

SECRETS = {"create_key", "rotate_key", "create_organization", "rotate_job_secret"}
SECRETS |= {"create_subscription", "rotate_subscription_secret"}
"""Their answers hold a token or secret that is shown once: sent again, it would be lost."""


AT_ONCE = Backoff(attempts=2, initial_s=0, max_s=0)


class Reached(msgspec.Struct):
    """What a method of the client sent, and where it arrived."""

    name: str
    method: Callable[..., Any]
    endpoint: Endpoint
    request: Request


def methods(client: Any, prefix: str = "") -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public calls of a client and of its parts, by dotted name."""
    for name in dir(client):
        member = getattr(client, name)
        if name.startswith("_") or name in ("aclose", "of", "run_id", "stop", "transport", "url"):
            continue
        if callable(member):
            yield prefix + name, member
        else:
            yield from methods(member, f"{name}.")


@asynccontextmanager
async def both_clients(url: str) -> AsyncIterator[dict[str, Callable[..., Any]]]:
    """Make what calls the API and what calls back for a run; give their methods, by dotted name."""
    async with (
        AsyncClient(url, backoff=AT_ONCE) as client,
        AsyncRunHandle("x", "rwt_x", url, backoff=AT_ONCE) as handle,
    ):
        yield {**dict(methods(client)), **dict(methods(handle, "run."))}


LATE = {"TerminalStream": TerminalStream}
"""What the client loads when it is used, and names before."""


def arguments(method: Callable[..., Any]) -> list[Any]:
    """Return something for each argument that a method requires."""
    samples: dict[Any, Any] = {str: "x", int: 1, datetime: datetime(2026, 1, 1, tzinfo=UTC), bytes: b"x"}
    signature = inspect.signature(method, eval_str=True, locals=LATE)
    required = [each for each in signature.parameters.values() if each.default is each.empty]
    kinds = [each.annotation for each in required if each.kind in (each.POSITIONAL_OR_KEYWORD, each.POSITIONAL_ONLY)]
    return [samples.get(kind, {} if "Mapping" in str(kind) else []) for kind in kinds]


async def call(method: Callable[..., Any]) -> None:
    """Call a method, and read from what it gives; no answer is waited for long."""
    options = {"backoff": AT_ONCE} if "backoff" in inspect.signature(method).parameters else {}
    made = method(*arguments(method), **options)
    try:
        if inspect.isawaitable(made):
            await made
        else:
            async for _ in made:
                break
    except ClientError:
        pass  # the answer is nothing; what was sent is looked at


@pytest.fixture(scope="module")
async def reached() -> list[Reached]:
    """Call every method of the client once, and find where each request arrives."""
    tree: Tree[Endpoint] = Tree()
    for endpoint in ENDPOINTS.values():
        tree.add(endpoint.path, endpoint.method, endpoint)
    found: list[Reached] = []
    async with serving(lambda _: Answer(200, b"null", cut=True)) as server, both_clients(server.url) as named:
        for name, method in named.items():
            server.requests.clear()
            await call(method)
            assert server.requests, f"{name} sent nothing"
            at = tree.find(server.requests[0].path)
            assert at is not None, f"{name}: there is no {server.requests[0].path}"
            found.append(Reached(name, method, at[0][server.requests[0].method], server.requests[0]))
    return found


async def test_every_route_has_a_method(reached: list[Reached]):
    missing = ENDPOINTS.keys() - {each.endpoint.name for each in reached} - NO_METHOD.keys()
    assert {name: f"{ENDPOINTS[name].method} {ENDPOINTS[name].path}" for name in missing} == {}


async def test_every_query_parameter_and_field_of_a_body_can_be_given(reached: list[Reached]):
    for endpoint in {each.endpoint.name: each.endpoint for each in reached}.values():
        takes = set[str]().union(*(taken(each.method) for each in reached if each.endpoint is endpoint))
        asked = {field for kind in (endpoint.query, endpoint.body) for field in field_names(kind)}
        excused = {field for name, field in NOT_TAKEN if name in ("*", endpoint.name)}
        if "*" not in takes:
            assert asked - takes - excused == set(), endpoint.name


async def test_what_makes_something_carries_an_idempotency_key(reached: list[Reached]):
    for each in reached:
        if "Idempotency-Key" in each.endpoint.headers:
            assert each.request.headers.get("idempotency-key"), each.name
            assert "idempotency_key" in taken(each.method), each.name


async def test_only_what_is_safe_to_repeat_is_sent_again(reached: list[Reached]):
    """A request whose answer is lost: reads and what carries a key are sent again, a secret is not."""
    async with serving(lambda _: Answer(200, b"{", cut=True)) as server, both_clients(server.url) as named:
        for each in reached:
            server.requests.clear()
            await call(named[each.name])
            keyed = "Idempotency-Key" in each.endpoint.headers and each.endpoint.name not in SECRETS
            times = len([sent for sent in server.requests if sent.path == each.request.path])
            if each.endpoint.method == "GET" or keyed:
                assert times == AT_ONCE.attempts, each.name
            elif each.endpoint.name in SECRETS or each.endpoint.method == "PATCH":
                assert times == 1, each.name


async def test_a_record_has_the_fields_of_what_the_api_answers(reached: list[Reached]):
    shown: dict[str, set[str]] = {}
    kinds: dict[str, set[str]] = {}
    for each in reached:
        record = returned(each.method)
        if record is None:
            continue
        kinds[record.__name__] = set(record.__struct_fields__)
        for answer, paged in _answers(each.endpoint.returns):
            if answer is not EventStream:
                shown.setdefault(record.__name__, set()).update(field_names(get_args(answer)[0] if paged else answer))
    for name, fields in shown.items():
        assert fields - kinds[name] - {field for kind, field in NOT_SHOWN if kind == name} == set(), name
        assert kinds[name] - fields - {field for kind, field in BUILT if kind == name} == set(), name


def taken(method: Callable[..., Any]) -> set[str]:
    """Return the names that a method takes; `*` where it takes any."""
    names: set[str] = set()
    for name, parameter in inspect.signature(method, eval_str=True, locals=LATE).parameters.items():
        fields = get_args(parameter.annotation)[:1]
        if parameter.kind is not parameter.VAR_KEYWORD:
            names.add(name)
        elif fields and is_typeddict(fields[0]):
            names |= get_type_hints(fields[0]).keys()
        else:
            names.add("*")
    return names


def returned(method: Callable[..., Any]) -> type[Record] | None:
    """Return the record that a method gives, or None if it gives none."""
    owner = getattr(method, "__self__", None)
    kind = inspect.signature(method, eval_str=True, locals=LATE).return_annotation
    if get_origin(kind) is Pages:
        (kind,) = get_args(kind)
    if isinstance(owner, Collection) and not isinstance(kind, type):
        kind = owner._kind
    return kind if isinstance(kind, type) and issubclass(kind, Record) else None


def field_names(kind: Any) -> set[str]:
    """Return the fields of a struct, or of whichever structs a union has."""
    if get_origin(kind) in (Union, types.UnionType):
        return {name for each in get_args(kind) for name in field_names(each)}
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return set()
    return {field.encode_name for field in msgspec.structs.fields(kind)}
