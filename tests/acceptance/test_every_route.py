"""Every route of the table, by the same rules: what is whose, by which ids it is found, and what lists hold."""

from typing import Any

import httpx2
import pytest

from runwright.api.routing import Endpoint
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.routes import each_of
from tests.acceptance.speech import Speech, problem, refused, said, unique
from tests.acceptance.table import (
    FINDING,
    GUARDED,
    NAMING,
    PAGED,
    WITH_BODY,
    World,
    field_names,
    found_world,
    name,
)

pytestmark = pytest.mark.xdist_group("acceptance-routes")


@pytest.fixture(scope="module")
async def ours(server: LiveServer, admin: ContractClient) -> World:
    return await found_world(server, admin, None)


@pytest.fixture(scope="module")
async def theirs(server: LiveServer, admin: ContractClient) -> World:
    made = await said(admin.post("/v1/organizations", json={"slug": unique("others")}), 201)
    return await found_world(server, admin, made["token"])


@each_of(NAMING)
async def test_appendix_c_20_an_id_of_another_organization_is_404(ours: World, theirs: World, endpoint: Endpoint):
    await not_found_by_others(ours, theirs, endpoint)


async def not_found_by_others(ours: World, theirs: World, endpoint: Endpoint) -> None:
    """Ask each for what is the other's."""
    for one, other in ((ours, theirs), (theirs, ours)):
        response = await one.ask(endpoint, path=one.path(endpoint, other))
        assert response.status_code == 404, response.text
        assert problem(response)["code"].lower().endswith("not_found")


@each_of(NAMING)
async def test_scenario_12_an_id_of_others_is_404_in_the_words_of_one_that_nothing_has(
    ours: World, theirs: World, endpoint: Endpoint
):
    parameter = endpoint.parameters[0]
    unknown = ours.idents[parameter][:-6] + "abcdef"
    answers = [
        await ours.ask(endpoint, path=endpoint.path.format_map({**ours.idents, parameter: ident}))
        for ident in (unknown, theirs.idents[parameter])
    ]
    told = [problem(answer)["message"] for answer in answers]
    assert {answer.status_code for answer in answers} == {404}
    assert told[0].replace(unknown, "") == told[1].replace(theirs.idents[parameter], "")


@each_of(FINDING)
async def test_an_id_of_any_form_is_404(ours: World, endpoint: Endpoint):
    for ident in ("0", "run_", "%20", "ü", "'; DROP TABLE runs; --", "a" * 3000, "%2e%2e", "null"):
        path = endpoint.path.format_map(dict.fromkeys(endpoint.parameters, ident))
        response = await ours.ask(endpoint, path=path)
        assert response.status_code == 404, f"{ident[:50]}: {response.text}"


async def test_scenario_12_a_project_of_others_is_404_wherever_it_is_named(ours: World, theirs: World):
    project = theirs.idents["project"]
    for endpoint in GUARDED:
        if "project_id" in field_names(endpoint.query):
            response = await ours.ask(endpoint, params={"project_id": project})
            assert response.status_code == 404, f"{name(endpoint)}: {response.text}"
        if endpoint.name == "spawn_run":
            continue  # the run that spawns has its say first, and this one has ended
        if endpoint.body is not None and "project_id" in field_names(endpoint.body):
            response = await ours.ask(endpoint, json={**(ours.body(endpoint) or {}), "project_id": project})
            assert response.status_code == 404, f"{name(endpoint)}: {response.text}"


async def test_a_parent_run_of_others_is_404(ours: World, theirs: World):
    job, parent = ours.idents["job"], theirs.idents["run_id"]
    for path, body in (
        ("trigger", {"parent_run_id": parent}),
        ("trigger/bulk", {"items": [{"payload": {}}, {"parent_run_id": parent}]}),
    ):
        await refused(ours.client.post(f"/v1/jobs/{job}/{path}", json=body), 404, "runs.not_found")


async def test_appendix_c_20_a_key_of_one_project_finds_nothing_of_another(server: LiveServer, ours: World):
    api = Speech(ours.client)
    bound = server.client((await api.key("admin", project_id=ours.idents["project"]))["token"])
    for endpoint in NAMING:
        if endpoint.parameters[0] in ("job", "run_id"):
            response = await ours.ask(endpoint, bound)
            assert response.status_code == 404, f"{name(endpoint)}: {response.text}"
    assert await said(bound.get("/v1/runs")) == []
    assert await said(bound.get("/v1/jobs")) == []


async def test_lists_hold_nothing_of_another_organization(ours: World, theirs: World):
    for endpoint in PAGED:
        mine = known_by(await Speech(ours.client).listed(ours.path(endpoint), limit=100))
        other = known_by(await Speech(theirs.client).listed(theirs.path(endpoint), limit=100))
        assert not mine & other, name(endpoint)


def known_by(rows: list[dict[str, Any]]) -> set[str]:
    """Return the ids by which rows are known; queues have names instead, which those of others may have, too."""
    queues = [row for row in rows if {"ready", "capped"} <= row.keys()]
    return {row["id"] if "id" in row else row["run_id"] for row in rows if row not in queues}


@each_of([each for each in WITH_BODY if each.body is None])
async def test_a_route_without_a_body_accepts_an_empty_one(ours: World, endpoint: Endpoint):
    with_empty = await ours.ask(endpoint, json={})
    without = await ours.ask(endpoint)
    assert with_empty.status_code == without.status_code not in (415, 422)


@each_of(PAGED)
async def test_an_instant_of_any_year_is_a_cursor(ours: World, endpoint: Endpoint):
    for year in ("0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-12:00"):
        for order in ("asc", "desc"):
            if endpoint.name == "list_events" and order == "desc":
                continue
            response = await ours.ask(endpoint, params={"cursor": year, "order": order})
            assert response.status_code in (200, 422), response.text


async def test_an_api_key_is_taken_from_both_headers_in_any_case(server: LiveServer):
    async with httpx2.AsyncClient(base_url=server.url) as client:
        for header in ({"x-api-key": API_KEY}, {"authorization": f"bearer {API_KEY}"}):
            assert (await client.get("/v1/me", headers=header)).status_code == 200


async def test_a_key_that_has_expired_is_401(server: LiveServer, ours: World):
    api = Speech(ours.client)
    now = (await api.run(ours.idents["run_id"]))["created_at"]
    past = {"name": "late", "scopes": ["runs:read"], "expires_at": now}
    await refused(ours.client.post("/v1/keys", json=past), 422, "request.invalid")
    rotated = await api.key("runs:read")
    await said(ours.client.post(f"/v1/keys/{rotated['id']}/rotate", json={"grace_s": 0}), 201)
    response = await server.client(rotated["token"]).get("/v1/me")
    assert response.status_code == 401


async def test_a_key_may_last_as_long_as_the_calendar(ours: World):
    key = await Speech(ours.client).key("runs:read", expires_at="9999-12-31T23:59:59-23:59")
    assert key["expires_at"] == "9999-12-31T23:59:59.999999Z"
    rotated = await said(ours.client.post(f"/v1/keys/{key['id']}/rotate"), 201)
    assert rotated["token"]
