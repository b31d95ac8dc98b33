"""A browser follows a run by a ticket: no header, one path, again after a cut, and not after a revocation."""

from tests.acceptance.contract import ContractClient
from tests.acceptance.frames import events
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import SSE, Speech, refused, said


async def test_a_finished_run_is_read_by_a_ticket_and_by_nothing_else_of_it(
    server: LiveServer, admin: ContractClient, api: Speech
):
    job = await said(admin.post("/v1/jobs", json={"slug": "ticketed", "handler": "echo"}), 201)
    run = await api.done(job["id"], {"a": 1})
    path = f"/v1/runs/{run['id']}/events"
    made = await said(admin.post("/v1/tickets", json={"path": path}), 201)
    browser, shown = server.client(None), {"ticket": made["ticket"]}
    for _ in range(2):
        listed = await said(browser.get(path, params={**shown, "after_seq": 1}))
        assert [each["seq"] for each in listed] == list(range(2, len(listed) + 2))
        streamed = await browser.get(path, params=shown, headers=SSE)
        assert len(list(events(streamed.content))) == len(listed) + 1
    paged = await browser.get(path, params={**shown, "limit": 1})
    assert made["ticket"] not in paged.headers["link"]
    for other in (f"/v1/runs/{run['id']}", "/v1/runs", "/v1/me"):
        await refused(browser.get(other, params=shown), 401, "auth.unauthenticated")
    await refused(browser.post(f"/v1/runs/{run['id']}:cancel", params=shown), 401, "auth.unauthenticated")
    assert (await browser.head(path, params=shown)).status_code == 401
    await refused(admin.get(path, params=shown), 422, "request.invalid")
    await refused(browser.get(path, params=[*shown.items()] * 2), 422, "request.invalid")
    assert made["ticket"] not in server.log.read_text()


async def test_a_ticket_has_the_scopes_of_its_maker_and_ends_with_their_key(server: LiveServer, admin: ContractClient):
    for scopes, status in ((["runs:read"], 200), (["jobs:read"], 403)):
        key = await Speech(admin).key(*scopes)
        made = await said(server.client(key["token"]).post("/v1/tickets", json={"path": "/v1/runs"}), 201)
        browser = server.client(None)
        answer = await browser.get("/v1/runs", params={"ticket": made["ticket"]})
        assert answer.status_code == status
        await said(admin.delete(f"/v1/keys/{key['id']}"))
        await refused(browser.get("/v1/runs", params={"ticket": made["ticket"]}), 401, "auth.unauthenticated")


async def test_a_path_that_a_ticket_cannot_name_is_422(admin: ContractClient):
    for path in ("", "v1/runs", "/v1/runs?a=b", "/v1/runs#x", "/v1/a b", "/" + "x" * 2048, "/v1/ü"):
        await refused(admin.post("/v1/tickets", json={"path": path}), 422, "request.invalid")
