"""Whatever is sent, the server answers in its own shapes: documented, never 5xx, never without a request id."""

import json
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.api.routing import Endpoint
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.plausible import JSON, NUMBERS, TEXTS, objects, values
from tests.acceptance.speech import Json, said, unique
from tests.acceptance.table import ENDPOINTS, World, found_world

pytestmark = [pytest.mark.xdist_group("acceptance-routes"), pytest.mark.slow]

BOUNDED = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
FUZZED = [endpoint for endpoint in ENDPOINTS if endpoint.listed and endpoint.name not in ("delete_job", "get_feed")]
"""Those of the document, but not what takes away the job that the others need, nor what never ends."""
AS_JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
async def worlds(server: LiveServer, admin: ContractClient) -> tuple[World, World]:
    """Return a world of the caller's and one of others; what is deleted or revoked in them does no harm elsewhere."""
    made = [await said(admin.post("/v1/organizations", json={"slug": unique("fuzz")}), 201) for _ in range(2)]
    ours, theirs = [await found_world(server, admin, each["token"]) for each in made]
    return ours, theirs


@st.composite
def requests(draw: st.DrawFn, worlds: tuple[World, World]) -> tuple[Endpoint, str, Json]:
    """Draw an endpoint, and a request of it in which most things are right and some are odd."""
    ours, theirs = worlds
    endpoint = draw(st.sampled_from(FUZZED))
    operation = ours.client.contract.document["paths"][endpoint.path][endpoint.method.lower()]
    components = ours.client.contract.document["components"]
    odd = draw(st.sampled_from(["nothing", "nothing", "nothing", "path", "query", "body"]))
    idents = dict(ours.idents)
    if odd == "path":
        strange = TEXTS.filter(lambda text: text not in ("", ".", ".."))
        idents |= {name: draw(st.sampled_from([theirs.idents[name], *idents.values()]) | strange) for name in idents}
    path = endpoint.path.format_map({name: quote(ident, safe="") for name, ident in idents.items()})
    options: Json = {"params": draw(_queries(operation.get("parameters", []), components, ours, odd == "query"))}
    if endpoint.method in ("POST", "PATCH"):
        schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
        options |= draw(_bodies(ours.body(endpoint) or {}, schema, components, odd == "body"))
    return endpoint, path, options


def _queries(
    parameters: list[Json], components: Json, world: World, odd: bool
) -> st.SearchStrategy[list[tuple[str, str]]]:
    known = {each["name"]: each["schema"] for each in parameters if each["in"] == "query" and each["name"] != "follow"}
    if odd or not known:
        named = st.sampled_from(sorted(known)) if known else TEXTS
        pairs = st.tuples(named | named.map(lambda name: f"{name}[a]") | TEXTS, TEXTS | NUMBERS.map(str))
        return st.lists(pairs, max_size=3 if odd else 0)

    def pair(name: str) -> st.SearchStrategy[tuple[str, str]]:
        schema = known[name]["items"] if known[name].get("type") == "array" else known[name]
        if schema.get("type") == "object":
            return st.tuples(TEXTS.map(lambda key: f"{name}[{key}]"), TEXTS)
        if name == "limit":
            return st.tuples(st.just(name), st.integers(0, 501).map(str))
        idents = st.sampled_from([*world.idents.values(), '{"a": 1}'])
        return st.tuples(st.just(name), values(schema, components).map(_as_query) | idents)

    return st.lists(st.sampled_from(sorted(known)), max_size=3, unique=True).flatmap(
        lambda names: st.tuples(*map(pair, names)).map(list)
    )


def _as_query(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bodies(needed: Json, schema: Json | None, components: Json, odd: bool) -> st.SearchStrategy[Json]:
    drawn = st.just({}) if schema is None else objects(schema, components)
    valid = drawn.map(lambda body: needed | body)
    if not odd:
        return valid.map(lambda body: {"json": body})
    changed = st.tuples(valid, st.dictionaries(TEXTS, JSON, max_size=2)).map(lambda both: both[0] | both[1])
    replaced = st.tuples(valid, JSON).map(lambda both: dict.fromkeys(both[0], both[1]))
    raw = st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()[:-1])
    return (changed | replaced | JSON).map(lambda body: {"json": body}) | raw.map(
        lambda content: {"content": content, "headers": AS_JSON}
    )


def test_no_request_is_answered_otherwise_than_documented(anyio_backend: str, worlds: tuple[World, World]):
    ours, _ = worlds
    with httpx2.Client(base_url=ours.client.base_url, headers=ours.client.headers, timeout=30) as client:

        @given(requests(worlds))
        @BOUNDED
        def ask(asked: tuple[Endpoint, str, Json]) -> None:
            endpoint, path, options = asked
            ours.client.contract.check(client.request(endpoint.method, path, **options))

        ask()
