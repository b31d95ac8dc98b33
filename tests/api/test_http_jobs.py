"""Jobs behind an endpoint, over HTTP: their fields, the secret that is shown once, and what is refused."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, refused, serving

URL = "https://hooks.example.com/run?token=abc"
HTTP = {"slug": "hook", "execution_mode": "http", "endpoint_url": URL}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        yield served


@pytest.fixture(scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("standing")) as served:
        yield served


async def test_an_http_job_keeps_its_fields_and_shows_its_secret_once(server: Served) -> None:
    fields = {
        **HTTP,
        "fallback_endpoint_url": "http://8.8.8.8:81/",
        "retry_on": [404, 503],
        "heartbeat_timeout_secs": 5,
    }
    made = await ok(server.admin.post("/v1/jobs", json=fields), 201)
    assert {name: made[name] for name in fields} == fields
    assert made["signing_secret"].startswith("whsec_")
    assert len(made["signing_secret"]) == len("whsec_") + 44
    assert await ok(server.admin.get("/v1/jobs/hook")) == {**made, "signing_secret": None}
    changed = await ok(server.admin.patch("/v1/jobs/hook", json={"retry_on": []}))
    assert (changed["signing_secret"], changed["retry_on"]) == (None, [])
    assert "signing_secret" not in (await ok(server.admin.get("/v1/jobs/hook/versions")))[0]


async def test_a_job_that_has_an_endpoint_and_names_no_mode_is_an_http_job(server: Served) -> None:
    made = await ok(server.admin.post("/v1/jobs", json={"slug": "posted", "endpoint_url": URL}), 201)
    put = await ok(server.admin.put("/v1/jobs/hook", json={"endpoint_url": URL}))
    assert {made["execution_mode"], put["execution_mode"]} == {"http"}
    said = {"slug": "mine", "endpoint_url": URL, "execution_mode": "worker"}
    details = await refused(server.admin.post("/v1/jobs", json=said), 422, "request.invalid")
    assert [each["path"] for each in details["fields"]] == ["endpoint_url"]


async def test_a_job_that_becomes_an_http_job_gets_its_secret_then(server: Served) -> None:
    made = await ok(server.admin.post("/v1/jobs", json={"slug": "hook"}), 201)
    assert made["signing_secret"] is None
    http = {"execution_mode": "http", "endpoint_url": URL}
    worker = {"execution_mode": "worker", "endpoint_url": None}
    assert (await ok(server.admin.patch("/v1/jobs/hook", json=http)))["signing_secret"].startswith("whsec_")
    assert (await ok(server.admin.patch("/v1/jobs/hook", json=worker)))["signing_secret"] is None
    again = await ok(server.admin.patch("/v1/jobs/hook", json=http))
    assert again["signing_secret"] is None, "runs of the earlier version are signed with it still"


async def test_a_repeated_creation_finds_the_job_without_its_secret(server: Served) -> None:
    key = {"Idempotency-Key": "once"}
    made = await ok(server.admin.post("/v1/jobs", json=HTTP, headers=key), 201)
    assert await ok(server.admin.post("/v1/jobs", json=HTTP, headers=key)) == {**made, "signing_secret": None}


async def test_a_rotated_secret_is_shown_once_and_says_how_long_the_old_one_signs(server: Served) -> None:
    made = await ok(server.admin.post("/v1/jobs", json=HTTP), 201)
    key = {"Idempotency-Key": "rotate"}
    rotated = await ok(server.admin.post("/v1/jobs/hook/rotate-secret", json={"grace_secs": 60}, headers=key))
    assert rotated["job_id"] == made["id"]
    assert rotated["signing_secret"].startswith("whsec_")
    assert rotated["signing_secret"] != made["signing_secret"]
    assert rotated["previous_expires_at"] is not None
    again = await ok(server.admin.post("/v1/jobs/hook/rotate-secret", json={"grace_secs": 60}, headers=key))
    assert again == {"job_id": made["id"], "signing_secret": None, "previous_expires_at": None}
    other = await ok(server.admin.post(f"/v1/jobs/{made['id']}/rotate-secret"))
    assert other["signing_secret"] not in {made["signing_secret"], rotated["signing_secret"], None}


async def test_only_a_job_with_a_secret_has_one_to_rotate(server: Served) -> None:
    await ok(server.admin.post("/v1/jobs", json={"slug": "plain"}), 201)
    await refused(server.admin.post("/v1/jobs/plain/rotate-secret"), 409, "conflict")
    await refused(server.admin.post("/v1/jobs/nothing/rotate-secret"), 404, "jobs.not_found")
    await ok(server.admin.post("/v1/jobs", json=HTTP), 201)
    reader = await server.key("jobs:read")
    await refused(reader.post("/v1/jobs/hook/rotate-secret"), 403, "auth.missing_scope")
    for body in ({"grace_secs": -1}, {"grace_secs": 2_592_001}, {"grace_secs": "1"}, {"grace": 1}):
        await refused(server.admin.post("/v1/jobs/hook/rotate-secret", json=body), 422, "request.invalid")


async def test_the_secret_lies_nowhere_in_the_clear(server: Served, tmp_path: Path) -> None:
    made = await ok(server.admin.post("/v1/jobs", json=HTTP), 201)
    rotated = await ok(server.admin.post("/v1/jobs/hook/rotate-secret"))
    await ok(server.admin.delete("/v1/jobs/hook"), 204)
    actions = [entry["action"] for entry in await ok(server.admin.get("/v1/audit"))]
    assert {"job.created", "job.secret_rotated", "job.deleted"} <= set(actions)
    lying = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (made["signing_secret"], rotated["signing_secret"]):
        assert secret.removeprefix("whsec_").encode() not in lying


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"endpoint_url": None}, "endpoint_url"),
        ({"endpoint_url": ""}, "endpoint_url"),
        ({"endpoint_url": "example.com"}, "endpoint_url"),
        ({"endpoint_url": "ftp://example.com"}, "endpoint_url"),
        ({"endpoint_url": "https://example.com/#x"}, "endpoint_url"),
        ({"endpoint_url": "https://me:pw@example.com/"}, "endpoint_url"),
        ({"endpoint_url": "https://example.com/" + "a" * 2048}, "endpoint_url"),
        ({"endpoint_url": "http://127.0.0.1/"}, "endpoint_url"),
        ({"endpoint_url": "http://0177.0.0.1/"}, "endpoint_url"),
        ({"endpoint_url": "http://0x7f000001/"}, "endpoint_url"),
        ({"endpoint_url": "http://2130706433/"}, "endpoint_url"),
        ({"endpoint_url": "http://127.1/"}, "endpoint_url"),
        ({"endpoint_url": "http://[::ffff:10.0.0.1]/"}, "endpoint_url"),
        ({"endpoint_url": "http://[64:ff9b::a00:1]/"}, "endpoint_url"),
        ({"endpoint_url": "http://[2002:a00:1::]/"}, "endpoint_url"),
        ({"endpoint_url": "http://169.254.169.254/latest/meta-data"}, "endpoint_url"),
        ({"endpoint_url": "http://localhost:8080/"}, "endpoint_url"),
        ({"fallback_endpoint_url": "http://10.0.0.1/"}, "fallback_endpoint_url"),
        ({"retry_on": [200]}, "retry_on[0]"),
        ({"retry_on": [600]}, "retry_on[0]"),
        ({"retry_on": ["503"]}, "retry_on[0]"),
        ({"retry_on": [503] * 101}, "retry_on"),
        ({"heartbeat_timeout_secs": 0}, "heartbeat_timeout_secs"),
        ({"handler": "greet"}, "handler"),
        ({"rerun_unknown_steps": True}, "rerun_unknown_steps"),
        ({"execution_mode": "worker"}, "endpoint_url"),
    ],
)
async def test_an_http_job_that_says_nonsense_is_refused_at_its_place(standing: Served, fields, path) -> None:
    details = await refused(standing.admin.post("/v1/jobs", json={**HTTP, **fields}), 422, "request.invalid")
    assert [field["path"] for field in details["fields"]] == [path]
    assert "pw" not in str(details)
    assert await ok(standing.admin.get("/v1/jobs")) == []


async def test_development_may_have_endpoints_on_this_machine(tmp_path: Path) -> None:
    async with serving(tmp_path, allow_private_endpoints=True) as server:
        await ok(server.admin.post("/v1/jobs", json={**HTTP, "endpoint_url": "http://127.0.0.1:9000/"}), 201)
        metadata = {**HTTP, "slug": "other", "endpoint_url": "http://169.254.169.254/"}
        await refused(server.admin.post("/v1/jobs", json=metadata), 422, "request.invalid")
