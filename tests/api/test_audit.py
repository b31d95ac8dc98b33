"""The audit log over HTTP: every change is there, can be verified by anybody, and shows what was done to it."""

import hashlib
import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import rfc8785

from tests.api.served import Served, ok, refused, serving

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path) as served:
        for number in range(7):
            await ok(served.admin.post("/v1/projects", json={"slug": f"p{number}"}), 201)
        yield served


async def whole(served: Served, **params: Any) -> list[dict[str, Any]]:
    """Return all entries, page by page."""
    found: list[dict[str, Any]] = []
    response = await served.admin.get("/v1/audit", params=params)
    while True:
        assert response.status_code == 200, response.text
        found += response.json()
        if "next" not in response.links:
            return found
        response = await served.admin.get(response.links["next"]["url"])


def tamper(served: Served, statement: str, *values: Any) -> None:
    """Change the database behind the server's back."""
    store: Any = served.house.services.engine.store
    store.raw_writer().execute(statement, values)


async def test_an_entry_tells_who_did_what_and_carries_what_verifies_it(server: Served) -> None:
    entries = await whole(server, order="asc")
    prev = hashlib.sha256(entries[0]["org_id"].encode()).digest()
    for number, entry in enumerate(entries, 1):
        assert (entry["number"], entry["prev_hash"]) == (number, prev.hex())
        assert hashlib.sha256(rfc8785.dumps(entry["data"])).hexdigest() == entry["data_digest"]
        created_at = (datetime.fromisoformat(entry["created_at"]) - EPOCH) // timedelta(microseconds=1)
        names = ("action", "actor", "data_digest", "number", "org_id", "target")
        header = rfc8785.dumps({**{name: entry[name] for name in names}, "created_at": created_at})
        prev = hashlib.sha256(b"\x01" + prev + header).digest()
        assert prev.hex() == entry["hash"]
    verdict = await ok(server.admin.get("/v1/audit/verify"))
    assert verdict["head"] == {"number": len(entries), "hash": prev.hex()}
    assert (verdict["whole"], verdict["verified"], verdict["first_break"]) == (True, len(entries), None)
    me = await ok(server.admin.get("/v1/me"))
    made = entries[-1]
    assert (made["actor"], made["action"], made["data"]) == (me["actor"], "project.created", {"slug": "p6"})


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 500])
async def test_pages_hold_every_entry_once_while_the_log_grows(server: Served, order: str, limit: int) -> None:
    before = [entry["number"] for entry in await whole(server)]
    assert before == sorted(before, reverse=True)
    response = await server.admin.get("/v1/audit", params={"order": order, "limit": limit})
    seen = [entry["number"] for entry in response.json()]
    for extra in itertools.count():
        if "next" not in response.links:
            break
        if extra < 3:
            await ok(server.admin.post("/v1/projects", json={"slug": f"meanwhile{extra}"}), 201)
        response = await server.admin.get(response.links["next"]["url"])
        seen += [entry["number"] for entry in response.json()]
    expected = before if order == "desc" else sorted([e["number"] for e in await whole(server)])
    assert seen == expected


async def test_filters_find_by_actor_action_target_and_time(server: Served) -> None:
    user = await ok(server.admin.post("/v1/users", json={"name": "ann"}), 201)
    made = (await whole(server, target=user["id"]))[0]
    assert (made["action"], made["target"]) == ("user.created", user["id"])
    projects = await whole(server, action="project.created", limit=2)
    assert [entry["data"]["slug"] for entry in projects] == [f"p{number}" for number in (6, 5, 4, 3, 2, 1, 0)] + [
        "default"
    ]
    assert await whole(server, actor="user:nobody") == []
    assert await whole(server, created_after=made["created_at"]) == []
    older = await whole(server, created_before=made["created_at"])
    assert [entry["number"] for entry in older] == list(range(made["number"] - 1, 0, -1))
    assert await whole(server, cursor=made["created_at"]) == older
    assert await whole(server, cursor=made["created_at"], order="asc") == []
    assert (await whole(server, cursor=made["id"]))[0]["number"] == made["number"] - 1


async def test_a_filter_that_finds_little_reads_no_more_than_the_scan_budget(tmp_path: Path) -> None:
    async with serving(tmp_path, scan_budget=5, page_max=5, page_default=5) as served:
        for number in range(8):
            await ok(served.admin.post("/v1/projects", json={"slug": f"p{number}"}), 201)
        response = await served.admin.get("/v1/audit", params={"action": "organization.created"})
        assert (response.json(), response.headers["x-scan"]) == ([], "partial")
        assert len(await whole(served, action="organization.created")) == 1
        assert len(await whole(served, action="project.created", limit=2)) == 9
        entries = await whole(served, order="asc", action="project.created", limit=3)
        assert [entry["number"] for entry in entries] == sorted(entry["number"] for entry in entries)


@pytest.mark.parametrize(
    ("statement", "first_break"),
    [
        ("UPDATE audit SET actor = 'user:else' WHERE number = 4", {"number": 4, "what": "edited"}),
        ('UPDATE audit SET data = \'{"slug":"px"}\' WHERE number = 4', {"number": 4, "what": "edited"}),
        ("UPDATE audit SET created_at = created_at + 1 WHERE number = 4", {"number": 4, "what": "edited"}),
        ("DELETE FROM audit WHERE number = 4", {"number": 4, "what": "dropped"}),
        ("DELETE FROM audit WHERE number = 1", {"number": 1, "what": "dropped"}),
        ("DELETE FROM audit WHERE number >= 8", {"number": 8, "what": "dropped"}),
        ("DELETE FROM audit", {"number": 1, "what": "dropped"}),
        ("UPDATE audit_heads SET hash = x'00'", {"number": 12, "what": "edited"}),
    ],
)
async def test_the_first_entry_that_was_touched_is_named(
    server: Served, statement: str, first_break: dict[str, Any]
) -> None:
    assert (await ok(server.admin.get("/v1/audit/verify")))["head"]["number"] == 12
    tamper(server, statement)
    verdict = await ok(server.admin.get("/v1/audit/verify"))
    assert (verdict["whole"], verdict["first_break"]) == (False, first_break)
    assert verdict["verified"] == first_break["number"] - 1


async def test_a_log_whose_end_was_cut_off_is_broken_for_ever(server: Served) -> None:
    tamper(server, "DELETE FROM audit WHERE number = 12")
    await ok(server.admin.post("/v1/projects", json={"slug": "later"}), 201)
    verdict = await ok(server.admin.get("/v1/audit/verify"))
    assert verdict["first_break"] == {"number": 12, "what": "dropped"}
    newest = (await whole(server))[0]
    assert (newest["number"], newest["prev_hash"]) == (13, None)


async def test_a_log_that_was_written_anew_does_not_hold_a_head_that_was_noted(server: Served) -> None:
    head = (await ok(server.admin.get("/v1/audit/verify")))["head"]
    noted = {"head": f"{head['number']}:{head['hash']}"}
    await ok(server.admin.post("/v1/projects", json={"slug": "later"}), 201)
    assert (await ok(server.admin.get("/v1/audit/verify", params=noted)))["whole"]
    tamper(server, "DELETE FROM audit WHERE number > 9")
    tamper(server, "UPDATE audit_heads SET (number, hash) = (SELECT number, hash FROM audit WHERE number = 9)")
    assert (await ok(server.admin.get("/v1/audit/verify")))["whole"]
    cut = await ok(server.admin.get("/v1/audit/verify", params=noted))
    assert cut["first_break"] == {"number": 10, "what": "dropped"}
    for slug in ("other1", "other2", "other3"):
        await ok(server.admin.post("/v1/projects", json={"slug": slug}), 201)
    other = await ok(server.admin.get("/v1/audit/verify", params=noted))
    assert other["first_break"] == {"number": 12, "what": "edited"}
    for odd in ("x", "1:00", f"-1:{'0' * 64}", "1"):
        await refused(server.admin.get("/v1/audit/verify", params={"head": odd}), 422, "request.invalid")


async def test_each_organization_reads_its_own_log_and_a_bound_key_none(server: Served) -> None:
    neighbour = await server.neighbour()
    theirs = await ok(neighbour.get("/v1/audit"))
    mine = await whole(server)
    assert {entry["org_id"] for entry in theirs}.isdisjoint(entry["org_id"] for entry in mine)
    assert (await ok(neighbour.get("/v1/audit/verify")))["verified"] == len(theirs)
    await refused(neighbour.get("/v1/audit", params={"cursor": mine[0]["id"]}), 422, "cursor.invalid")
    bound = await server.key("audit:read", project_id="default")
    await refused(bound.get("/v1/audit"), 403, "auth.denied")
    await refused(bound.get("/v1/audit/verify"), 403, "auth.denied")
    reader = await server.key("audit:read")
    assert len(await ok(reader.get("/v1/audit"))) == len(mine) + 2
