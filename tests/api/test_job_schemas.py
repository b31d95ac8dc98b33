"""The schemas of jobs, over HTTP: refused where they are wrong, kept as they are, and asked of every payload."""

from collections.abc import AsyncIterator

import pytest

from tests.api.served import Served, ok, refused, serving

PAGES = {"type": "object", "required": ["pages"], "properties": {"pages": {"type": "integer"}}}


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("schemas"), schema_max_bytes=1000) as served:
        yield served


async def test_a_schema_that_is_none_is_refused_with_its_place(server: Served) -> None:
    for name in ("payload_schema", "result_schema"):
        for schema, path in (
            ({"properties": {"a": {"type": "strng"}}}, f"{name}.properties.a.type"),
            ({"$ref": "http://127.0.0.1:9/s"}, f"{name}.$ref"),
            ({"pattern": "(?<=a)b"}, f"{name}.pattern"),
            ({"description": "x" * 1000}, name),
        ):
            body = {"slug": "broken", name: schema}
            details = await refused(server.admin.post("/v1/jobs", json=body), 422, "request.invalid")
            assert [field["path"] for field in details["fields"]] == [path]
    await refused(server.admin.get("/v1/jobs/broken"), 404, "jobs.not_found")


async def test_a_payload_is_judged_wherever_it_comes_from(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json={"slug": "pages", "payload_schema": PAGES}), 201)
    path = "/v1/jobs/pages/trigger"
    run = await ok(server.admin.post(path, json={"payload": {"pages": 1}}), 201)
    details = await refused(server.admin.post(path, json={"payload": {"pages": "one"}}), 422, "payload.schema_mismatch")
    assert [field["path"] for field in details["fields"]] == ["payload.pages"]
    dry = {"payload": {}, "dry_run": True}
    await refused(server.admin.post(path, json=dry), 422, "payload.schema_mismatch")
    items = [{"payload": {"pages": 1}}, {"payload": {}}]
    details = await refused(server.admin.post(f"{path}/bulk", json={"items": items}), 422, "payload.schema_mismatch")
    assert [field["path"] for field in details["fields"]] == ["items[1].payload"]
    await ok(server.admin.delete(f"/v1/runs/{run['id']}"))
    replay = {"payload": {"pages": None}}
    await refused(server.admin.post(f"/v1/runs/{run['id']}/replay", json=replay), 422, "payload.schema_mismatch")
    [only] = await ok(server.admin.get("/v1/runs", params={"job_id": run["job_id"]}))
    assert only["id"] == run["id"]
