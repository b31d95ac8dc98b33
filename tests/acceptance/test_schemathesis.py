"""What schemathesis makes of the OpenAPI document, every operation and every caller: all is answered as documented.

It generates the requests (every edge that a schema has, then random ones, valid and broken) and checks the answers. Ids
that a valid request names are replaced by those of things that exist, or nothing would be reached but 404.
`RUNWRIGHT_TEST_SOAK=<examples>` makes a long campaign of new random cases: of each operation and caller a tenth.
Without it the cases are always the same, and those that say the same thing once more are left out: see `Turns`.
"""

import asyncio
import os
import re
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.core.failures import FailureGroup
from schemathesis.core.transport import Response
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario, TestPhase
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import negative_data_rejection, response_schema_conformance

from runwright.api.context import PUBLIC
from runwright.api.routing import Endpoint
from runwright.api.sse import MEDIA_TYPE as EVENT_STREAM
from runwright.clock import SystemClock
from tests.acceptance.contract import ContractClient, contract
from tests.acceptance.live_server import API_KEY, PATIENCE_S, LiveServer
from tests.acceptance.speech import said
from tests.acceptance.stage import ENDING, Stage
from tests.acceptance.table import ENDPOINTS, name
from tests.auth.issuer import AUDIENCE, ISSUER, Issuer
from tests.engine.databases import DATABASES

pytestmark = [pytest.mark.xdist_group("acceptance-schemathesis"), pytest.mark.slow]

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0")) // 10
"""Random cases of an operation and a caller, of which there are hundreds."""
LISTED = [endpoint for endpoint in ENDPOINTS if endpoint.listed]
CALLERS = [
    (by, endpoint)
    for endpoint in LISTED
    for by in ("key", "jwt", "run token", "nobody")
    if by == "key" or (endpoint.run_tokens if by == "run token" else SOAK)
]
"""A JWT is let in where a key is (`test_roles`) and nobody nowhere (`test_every_request`): the long campaign asks."""
OF_OBJECT = re.compile(r"\w+\[[^\[\]]*\]")
"""How a query names a field of an object: `tags[team]`."""
FEED = "/v1/feed"
REFUSALS = ["401", "403", "404", "405", "408", "409", "410", "413", "415", "422"]
CONFIG: dict[str, Any] = {
    # Its own patience of ten seconds is less than a request may ask the server to wait.
    "request-timeout": PATIENCE_S + 60,
    # Who asks is ours to say.
    "generation": {"with-security-parameters": False},
    "checks": {
        "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx"]},
        "negative_data_rejection": {"expected-statuses": REFUSALS},
        "missing_required_header": {"expected-statuses": REFUSALS},
        # Rules of the domain refuse much that a schema lets through.
        "positive_data_acceptance": {"enabled": False},
        # These look at what an earlier request of the same scenario did; here each stands for itself.
        "use_after_free": {"enabled": False},
        "ensure_resource_availability": {"enabled": False},
        # These send requests of their own: `test_every_request` and `test_roles` ask more of the same.
        "ignored_auth": {"enabled": False},
        "object_level_authorization": {"enabled": False},
    },
    # It never ends: its first frame tells enough.
    "operations": [{"include-path": FEED, "max-stream-events": 1, "request-timeout": 0.5}],
}


@dataclass
class House:
    """A server, how its administrator is known to it, and what each operation is tried on there, whoever asks."""

    server: LiveServer
    admin: ContractClient
    jwt: str
    stages: dict[str, Stage] = field(default_factory=dict)

    async def stage(self, endpoint: Endpoint) -> Stage:
        if endpoint.name not in self.stages:
            self.stages[endpoint.name] = Stage(self.admin, endpoint)
            await self.stages[endpoint.name].make()
        return self.stages[endpoint.name]


@pytest.fixture(scope="module")
async def houses(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[House]]:
    """Serve on each database, with an issuer whose keys lie in a file; what is sent is thought of once for all."""
    issuer = Issuer(SystemClock())
    async with AsyncExitStack() as opened:
        yield [await settled(issuer, kind, tmp_path_factory.mktemp(kind), opened) for kind in DATABASES]


async def settled(issuer: Issuer, kind: str, directory: Path, opened: AsyncExitStack) -> House:
    """Start a server, and make a user of it who is an administrator."""
    (directory / "jwks.json").write_bytes(issuer.jwks())
    logins: dict[str, Any] = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks": directory / "jwks.json"}
    database = opened.enter_context(DATABASES[kind](directory / "data"))
    # A secret waits for what other servers may believe: dozens are made here.
    live = LiveServer(directory, database, bus_poll_s=0.1, **logins)
    await live.start()
    opened.push_async_callback(live.close)
    admin = live.client()
    user = await said(admin.post("/v1/users", json={"name": "ada", "subject": "ada"}), 201)
    await said(admin.post("/v1/members", json={"user_id": user["id"], "role": "admin"}), 201)
    return House(live, admin, issuer.token(exp=issuer.clock.now() // 1_000_000 + 86_400))


@pytest.fixture(scope="module")
def schema() -> BaseSchema:
    config = schemathesis.Config.from_dict({"base-url": "http://given.with.each.call", **CONFIG})
    return schemathesis.openapi.from_dict(contract().document, config=config)


@pytest.mark.parametrize(("by", "endpoint"), CALLERS, ids=lambda part: part if isinstance(part, str) else name(part))
async def test_no_request_is_answered_otherwise_than_documented(
    schema: BaseSchema, houses: list[House], by: str, endpoint: Endpoint
):
    stages = [await house.stage(endpoint) for house in houses]
    loop = asyncio.get_running_loop()
    connection = requests.Session()  # one for all: each request would else look for proxies, and connect anew
    connection.trust_env = False
    turns = Turns(len(houses))

    def ask(case: schemathesis.Case[Any]) -> None:
        for turn in turns.of(case):
            send(twin(case), houses[turn], stages[turn])

    def send(case: schemathesis.Case[Any], house: House, stage: Stage) -> None:
        settle(case, stage)
        token = {"key": API_KEY, "jwt": house.jwt, "run token": stage.run_token}.get(by)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        response = case.call(base_url=house.server.url, session=connection, headers=headers)
        check(case, response)
        if by == "nobody" and endpoint.scope != PUBLIC:
            no_address = any("%3A" in str(value) for value in case.path_parameters.values())  # as in /v1/runs/X:cancel
            assert response.status_code in ((401, 404, 405) if no_address else (401, 405)), case.as_curl_command()
        if endpoint.name in ENDING and response.status_code < 300:
            asyncio.run_coroutine_threadsafe(stage.make(), loop).result()

    with connection:
        await asyncio.to_thread(campaign(schema, endpoint, ask, by))


def campaign(schema: BaseSchema, endpoint: Endpoint, ask: Callable[..., None], by: str) -> Callable[[], None]:
    """Return the test of one operation: what the edges of its schemas are does not depend on who asks."""
    many = HypothesisTestMode.FUZZING, HypothesisTestMode.COVERAGE
    phases = (Phase.explicit, Phase.generate, *((Phase.shrink,) if SOAK else ()))
    return create_test(
        operation=schema[endpoint.path][endpoint.method],
        test_func=ask,
        config=HypothesisTestConfig(
            project=schema.config,
            modes=list(many if by == "key" else many[:1]),
            explicit_settings=settings(  # else the profile of these tests says how many there are
                max_examples=1 if by == "nobody" else SOAK or 5,
                derandomize=not SOAK,
                database=None,
                deadline=None,
                phases=phases,
                suppress_health_check=list(HealthCheck),
            ),
        ),
    )


class Turns:
    """Who is sent a case of one operation: each database, and in turns what is refused for its form.

    Outside the long campaign of about five wrong types in one place two are sent, elsewhere others, and no method that
    a path lacks: `test_every_request` tries those on each path.
    """

    def __init__(self, count: int) -> None:
        self._all = range(count)
        self._asked: Counter[str] = Counter()

    def of(self, case: schemathesis.Case[Any]) -> Sequence[int]:
        """Return the numbers of those that are sent this case."""
        meta = case.meta
        assert meta is not None
        data = meta.phase.data
        if SOAK or not isinstance(data, CoveragePhaseData):
            return self._all
        if data.scenario is CoverageScenario.UNSPECIFIED_HTTP_METHOD:
            return ()
        if meta.generation.mode.is_positive:
            return self._all
        place = f"{data.parameter_location} {data.parameter} {data.description}"
        turn = self._asked[place] + zlib.crc32(place.encode())
        self._asked[place] += 1
        return self._all[turn % (4 if data.scenario is CoverageScenario.INCORRECT_TYPE else 2) :][:1]


def twin(case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """Return a case like one that was drawn: what is replaced in it changes what it is taken for."""
    return schemathesis.Case(
        case.operation,
        case.method,
        case.path,
        path_parameters=case.path_parameters,
        headers=case.headers,
        cookies=case.cookies,
        query=case.query,
        body=case.body,
        media_type=case.media_type,
        multipart_content_types=case.multipart_content_types,
        meta=deepcopy(case.meta),
    )


def settle(case: schemathesis.Case[Any], stage: Stage) -> None:
    """Let a path name what there is, but for one of three random ones; and all the rest of a request that is valid."""
    meta = case.meta
    assert meta is not None
    if zlib.crc32(repr(case.path_parameters).encode()) % 3 or meta.phase.name is not TestPhase.FUZZING:
        case.path_parameters = stage.replaced(case.path_parameters)
    if meta.generation.mode.is_positive:
        case.query = stage.replaced(case.query)
        if isinstance(wait_s := (case.query or {}).get("wait"), int | float):
            case.query["wait"] = min(wait_s, 0.1)  # one that nobody executes would be waited for to the end
        if isinstance(case.body, dict):
            case.body = stage.replaced(case.body)


def check(case: schemathesis.Case[Any], response: Response) -> None:
    """Refuse an answer that is not as documented, or that lacks what its status calls for."""
    headers = response.headers
    # The schema of a stream is that of its whole text (OpenAPI 3.1); schemathesis holds it against each single event.
    # That of an answer in parts is that of the whole, too.
    in_parts = headers.get("content-type") == [EVENT_STREAM] or response.status_code == 206
    excluded = [response_schema_conformance] if in_parts else []
    # What is broken by another type is whole again as a text, and in an address there are only texts.
    excluded += [negative_data_rejection] if any(OF_OBJECT.fullmatch(key) for key in case.query or {}) else []
    try:
        case.validate_response(response, excluded_checks=excluded or None)
    except FailureGroup as failures:
        raise AssertionError(str(failures)) from None  # one exception: a group would take the loop of the tests along
    needed = {401: "www-authenticate", 405: "allow", 429: "retry-after"}.get(response.status_code)
    assert needed is None or headers.get(needed), f"{case.as_curl_command()}: {response.status_code} without {needed}"
    assert headers.get("x-request-id"), case.as_curl_command()
