"""The public documents of threads and runs, held against a live server whose agents speak by scripts.

Each endpoint as it stands there, each field of each example, each row of the tables of parameters, and the stream as
the bytes that it is.
"""

import re
from typing import Any

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.examples import check, fields, reached
from tests.acceptance.frames import event_bytes, events
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import SSE, Json, Speech, refused, said, unique
from tests.acceptance.table import ENDPOINTS
from tests.acceptance.talks import Talks
from tests.acceptance.thread_calls import CALLS, NULL_THERE, PRIMARY, SHOWN_EVENTS, Shown

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

EXAMPLES = [shown for shown in CALLS if shown.answer]
FIELDS = [(shown, path, inner) for shown in EXAMPLES for path, inner in fields(shown.example)]
FRAME = re.compile(rb'id: (\d+)\ndata: \{"seq":\1,"type":"([a-z_.]+)","data":\{.*\},"created_at":"([0-9T:.-]+Z)"[,}].*')


class Things:
    """What the documents' requests are tried on, and what was answered."""

    def __init__(self, client: ContractClient) -> None:
        self.talks = Talks(client)
        self.answers: dict[str, list[Any]] = {}
        self.thread = self.run = self.failed = self.cancelled = ""

    async def make(self) -> None:
        """Make a run that completed, one that failed, and one that was cancelled; then send each request once."""
        talks = self.talks
        made = await talks.begun("priced")
        self.thread, self.run = made["thread_id"], (await talks.ended(made["run_id"]))["id"]
        self.failed = (await talks.answered("no such script"))["id"]
        self.cancelled = (await talks.speaking())["id"]
        await said(talks.client.post(f"/v1/runs/{self.cancelled}:cancel"))
        await talks.ended(self.cancelled)
        newest = await said(talks.client.get("/v1/runs", params={"limit": 3}))
        assert {run["run_id"] for run in newest} == {self.run, self.failed, self.cancelled}
        self.answers["GET /v1/runs"] = [newest]

    async def about(self, what: str) -> str:
        """Return the id that a request is tried on."""
        talks = self.talks
        if what in ("thread", "run"):
            return str(getattr(self, what))
        if what == "nothing":
            return ""
        if what == "quiet thread":
            return await talks.thread()
        if what == "another thread":
            thread = await talks.thread()
            await talks.ended((await talks.start(thread))["run_id"])
            return thread
        return str((await (talks.asking() if what == "asking run" else talks.speaking()))["id"])

    async def ask(self, shown: Shown) -> Any:
        """Send a request as it stands there, with an id in place of the braces, and keep its answer."""
        method, path = shown.request.split()
        ident = await self.about(shown.about)
        headers = {} if shown.answer else SSE
        given = re.sub(r"\{\w+\}", ident, path)
        response = await self.talks.client.request(method, given, json=shown.body, headers=headers)
        assert response.status_code == shown.status, response.text
        if shown.answer:
            self.answers.setdefault(shown.request, []).append(response.json())
        return response


@pytest.fixture(scope="module")
async def alice(server: LiveServer, admin: ContractClient) -> ContractClient:
    """Return the client of a user whose name and email are those of the examples."""
    user = await said(admin.post("/v1/users", json={"name": "alice", "email": "alice@example.com"}), 201)
    return server.client((await Speech(admin).key("admin", user_id=user["id"]))["token"])


@pytest.fixture(scope="module")
async def things(alice: ContractClient) -> Things:
    made = Things(alice)
    await made.make()
    for shown in CALLS:
        await made.ask(shown)
    return made


def named(shown: Shown) -> str:
    return shown.request


@pytest.mark.parametrize("shown", CALLS, ids=named)
async def test_each_request_of_the_documents_has_its_status(things: Things, shown: Shown):
    response = await things.ask(shown)
    assert response.headers["content-type"].startswith("application/json" if shown.answer else "text/event-stream")


@pytest.mark.parametrize(("shown", "path", "inner"), FIELDS, ids=lambda given: getattr(given, "request", str(given)))
async def test_each_field_of_the_examples_is_answered_and_of_its_type(
    things: Things, shown: Shown, path: str, inner: Any
):
    values = [value for answer in things.answers[shown.request] for value in reached(answer, path)]
    there = [value for value in values if value is not None]
    assert there, "no answer shows it"
    for value in there:
        check(value, inner, path)
    if path.rpartition(".")[2] == "failed_at":
        assert len(there) < len(values), "it is null where the run did not fail"


async def test_the_run_of_the_example_is_one_that_we_can_have(things: Things):
    shown = next(shown for shown in CALLS if shown.request == "GET /v1/runs").example[0]
    run = next(run for run in things.answers["GET /v1/runs"][0] if run["run_id"] == things.run)
    own = {"run_id", "org_id", "thread_id", "model", "created_by_user_id", "duration_ms", "created_at", "completed_at"}
    assert {name: run[name] for name in shown if name not in {*own, *NULL_THERE}} == {
        name: value for name, value in shown.items() if name not in {*own, *NULL_THERE}
    }
    assert (run["failed_at"], run["persona_id"]) == (None, "default@1")


def test_every_endpoint_of_the_documents_is_served():
    served = {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS}
    assert {shown.request for shown in CALLS} <= served
    assert len(CALLS) == 8


# --- the tables of parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["absent", None, ""])
async def test_route_and_persona_may_be_left_out_in_any_way(talks: Talks, given: str | None):
    thread = await talks.thread("echo", persona_id="default@1")
    body: Json = {} if given == "absent" else {"route_id": given, "persona_id": given}
    run = await talks.ended((await talks.start(thread, **body))["run_id"])
    assert (run["status"], run["persona_id"], run["model"]) == ("completed", "default@1", "echo")


async def test_a_route_chooses_the_model_and_a_persona_is_key_and_version(talks: Talks):
    key = unique("poet")
    for prompt in ("You speak in verse.", "You speak in prose."):
        await said(talks.client.post("/v1/personas", json={"key": key, "prompt": prompt}), 201)
    thread = await talks.thread("priced")
    made = await talks.start(thread, route_id=await talks.route("echo"), persona_id=f"{key}@1")
    run = await talks.ended(made["run_id"])
    assert (run["model"], run["persona_id"]) == ("echo", f"{key}@1")


@pytest.mark.parametrize("path", ["/v1/threads/{thread}/runs", "/v1/runs"])
async def test_limit_is_the_most_that_a_list_has(talks: Talks, things: Things, path: str):
    assert len(await said(talks.client.get(path.format(thread=things.thread), params={"limit": 1}))) == 1


async def test_before_is_where_the_next_page_begins(talks: Talks):
    ends = [(await talks.answered())["id"] for _ in range(3)]
    page = await talks.client.get("/v1/runs", params={"limit": 2})
    assert [run["id"] for run in page.json()] == ends[:0:-1]
    for cursor in (page.headers["x-next-cursor"], ends[1]):
        rest = await said(talks.client.get("/v1/runs", params={"before": cursor, "limit": 1}))
        assert [run["id"] for run in rest] == ends[:1]


@pytest.mark.parametrize("word", ["running", "completed", "failed", "cancelled"])
async def test_status_filters_by_each_word_of_the_documents(talks: Talks, things: Things, word: str):
    speaking = await talks.speaking()
    wanted = {
        "running": speaking["id"],
        "completed": things.run,
        "failed": things.failed,
        "cancelled": things.cancelled,
    }
    found = await talks.listed("/v1/runs", status=word, limit=500)
    assert wanted[word] in {run["id"] for run in found}
    assert {run["status"] for run in found if run["kind"] == "agent"} == {word}
    await said(talks.client.post(f"/v1/runs/{speaking['id']}:cancel"))


async def test_content_is_required_and_at_most_32_kib(talks: Talks):
    run = await talks.asking()
    path = f"/v1/runs/{run['id']}/input"
    await refused(talks.client.post(path, json={}), 422, "request.invalid")
    assert (await talks.client.post(path, json={"content": "x" * 32_769})).status_code == 422
    assert await said(talks.client.post(path, json={"content": "x" * 32_768})) == {"ok": True}
    assert (await talks.ended(run["id"]))["status"] == "completed"


# --- the stream -------------------------------------------------------------------------------------------------------


async def test_the_stream_has_the_bytes_of_the_documents(talks: Talks):
    run = await talks.asking()
    await said(talks.client.post(f"/v1/runs/{run['id']}/input", json={"content": "red"}))
    raw = await talks.raw_stream(run["id"], path="events")
    frames = event_bytes(raw).split(b"\n\n")[:-1]
    lines = [frame.partition(b"\n")[2].decode() for frame in frames]
    for number, frame in enumerate(frames, 1):
        found = FRAME.fullmatch(frame)
        assert found is not None, frame
        assert int(found[1]) == number
    assert b"event:" not in raw
    begin, delta, end = (shown.partition('"data":{')[0] for shown in SHOWN_EVENTS)
    assert lines[0].startswith(begin + '"data":{')
    place = re.compile(re.escape(delta).replace("2", r"\d+", 1) + re.escape('"data":{"content":"'))
    assert any(place.match(line) for line in lines)
    assert re.match(re.escape(end).replace("99", r"\d+", 1), lines[-1])


async def test_after_seq_begins_behind_a_number_with_the_same_bytes(talks: Talks, things: Things):
    whole = (await talks.stream(things.run, path="events")).split(b"\n\n")
    for after in range(len(whole)):
        rest = await talks.stream(things.run, path="events", after_seq=after)
        assert rest.split(b"\n\n") == (whole[after:] if after < len(whole) - 1 else [b""])


async def test_each_type_that_the_documents_name_is_streamed(talks: Talks, things: Things):
    run = await talks.asking()
    await said(talks.client.post(f"/v1/runs/{run['id']}/input", json={"content": "red"}))
    seen: set[str] = set()
    for run_id in (run["id"], things.failed, things.cancelled):
        seen |= {event["type"] for event in events(await talks.raw_stream(run_id, path="events"))}
    assert seen >= set(PRIMARY)
