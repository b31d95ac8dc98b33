"""Whatever is sent, the server answers in its own shapes: documented, never 5xx, never without a request id."""

import json
from typing import Any

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.api.routing import Endpoint
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import said, unique
from tests.acceptance.table import ENDPOINTS, World, field_names, found_world

pytestmark = pytest.mark.xdist_group("acceptance-routes")

EXAMPLES = 400
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

ODD_TEXTS = st.sampled_from(
    ["", " ", "0", "-1", "null", "true", "NaN", "1e400", "9" * 30, "a" * 300, "ü☃", "\ud7ff", "\U0001f600", "../..", "a/b",
     "%00", ":cancel", "{}", "[]", '{"a": {}}', "run_" + "0" * 32, "2026-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59",
     "9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59Z", "[redacted:known]", "password=hunter2hunter2"]
)  # fmt: skip
TEXTS = ODD_TEXTS | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
async def worlds(server: LiveServer, admin: ContractClient) -> tuple[World, World]:
    """Return a world of the caller's and one of others; what is deleted or revoked in them does no harm elsewhere."""
    made = [await said(admin.post("/v1/organizations", json={"slug": unique("fuzz")}), 201) for _ in range(2)]
    ours, theirs = [await found_world(server, admin, each["token"]) for each in made]
    return ours, theirs


@st.composite
def requests(draw: st.DrawFn, worlds: tuple[World, World]) -> tuple[Endpoint, str, dict[str, Any]]:
    """Draw an endpoint, and a request of it in which most things are right and some are odd."""
    ours, theirs = worlds
    endpoint = draw(st.sampled_from(ENDPOINTS))
    idents = {
        parameter: draw(
            st.just(ours.idents[parameter])
            | st.sampled_from([theirs.idents[parameter], *ours.idents.values()])
            | TEXTS.filter(lambda text: text not in ("", ".", ".."))
        )
        for parameter in endpoint.parameters
    }
    quoted = {parameter: httpx2.URL("/", params={"x": ident}).query[2:].decode() for parameter, ident in idents.items()}
    path = endpoint.path.format_map({parameter: ident.replace("+", "%20") for parameter, ident in quoted.items()})
    options: dict[str, Any] = {"params": draw(st.just({}) | _queries(endpoint))}
    if endpoint.method in ("POST", "PATCH"):
        options |= draw(_bodies(endpoint, ours))
    return endpoint, path, options


def _queries(endpoint: Endpoint) -> st.SearchStrategy[list[tuple[str, str]]]:
    names = [name for name in field_names(endpoint.query) if name != "follow"]
    known = st.sampled_from(names) if names else TEXTS
    return st.lists(st.tuples(known | known.map(lambda name: f"{name}[a]") | TEXTS, TEXTS | NUMBERS.map(str)), max_size=3)


def _bodies(endpoint: Endpoint, world: World) -> st.SearchStrategy[dict[str, Any]]:
    valid = world.body(endpoint) or {}
    names = field_names(endpoint.body) or ("x",)
    changed = st.dictionaries(st.sampled_from(names) | TEXTS, JSON, max_size=3).map(lambda given: {**valid, **given})
    as_json = {"content-type": "application/json"}
    raw = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()[:-1])
    return (
        st.just({"json": valid})
        | changed.map(lambda body: {"json": body})
        | JSON.map(lambda body: {"json": body})
        | raw.map(lambda content: {"content": content, "headers": as_json})
    )


def test_no_request_is_answered_otherwise_than_documented(anyio_backend: str, worlds: tuple[World, World]):
    ours, _ = worlds
    with httpx2.Client(base_url=ours.client.base_url, headers=ours.client.headers, timeout=30) as client:

        @given(requests(worlds))
        @BOUNDED
        def ask(asked: tuple[Endpoint, str, dict[str, Any]]) -> None:
            endpoint, path, options = asked
            ours.client.contract.check(client.request(endpoint.method, path, **options))

        ask()
