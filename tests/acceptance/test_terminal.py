"""The terminal of a run: what its viewers put together is what the log holds, whoever watches and whatever is cut."""

import asyncio
import json
import os
import random
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from runwright.client.terminal_models import TerminalFrame
from tests.acceptance.live_server import API_KEY, LiveServer, command, environment
from tests.acceptance.process_jobs import process
from tests.acceptance.speech import Json, Speech, refused, said
from tests.engine.databases import Database
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("acceptance-processes")

SOAK = int(os.environ.get("RUNWRIGHT_TEST_SOAK", "0"))
PATIENCE_S = 600 if SOAK else 20
PRINT = """
import sys
total, done, line = int(sys.argv[1]), 0, 0
while done < total:
    bar = "#" * (done * 40 // total)
    text = f"\\x1b[3{line % 8}m{line:08d}\\x1b[0m é\\U0001f389 {'x' * (line % 900)}\\n"
    text += f"\\r[{bar:<40}] {done * 100 // total} %"
    data = text.encode() + (b"\\xff\\xfe" if line % 50 == 0 else b"")
    (sys.stderr.buffer if line % 7 == 0 else sys.stdout.buffer).write(data)
    if line % 7 == 0 or line % 7 == 6:
        sys.stdout.flush(); sys.stderr.flush()
    done, line = done + len(data), line + 1
"""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[LiveServer]:
    """Serve with slots for commands."""
    directory = tmp_path_factory.mktemp("terminal")
    options: Json = {"process_slots": 4, "stop_grace_s": 2, "stream_keepalive_s": 0.3, "terminal_viewers_max": 30}
    live = LiveServer(directory, module_database, worker=None, **options)
    await live.start()
    yield live
    await live.close()


def watching(
    server: LiveServer, run_id: str, query: str = "", *, token: str | None = API_KEY, alias: bool = False
) -> connect:
    """Return a connection to a terminal, to be entered."""
    path = f"/api/v1/{'runtime/' if alias else ''}runs/{run_id}/terminal"
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    url = server.url.replace("http", "ws", 1) + path + query
    return connect(url, additional_headers=headers, compression=None, open_timeout=60, close_timeout=60)


async def told(socket: ClientConnection) -> Json:
    """Return the next frame."""
    async with asyncio.timeout(PATIENCE_S):
        frame: Json = json.loads(await socket.recv())
    return frame


async def first_told(server: LiveServer, run_id: str) -> Json:
    """Return the first frame of a terminal."""
    async with watching(server, run_id) as socket:
        return await told(socket)


async def closed(socket: ClientConnection) -> tuple[list[Json], int | None]:
    """Return what is said until the end, and the code of that."""
    frames: list[Json] = []
    try:
        while True:
            frames.append(await told(socket))
    except ConnectionClosed:
        return frames, socket.close_code


async def all_of(server: LiveServer, run_id: str, query: str = "", **options: Any) -> list[Json]:
    """Return every frame of a terminal that ends by itself."""
    async with watching(server, run_id, query, **options) as socket:
        frames, code = await closed(socket)
    assert code == 1000, (code, frames[-1:])
    return frames


async def stopped(api: Speech, run: Json) -> None:
    """Cancel a run, and see it end: one that was just given to a worker hears of it before it does."""
    await said(api.client.delete(f"/v1/runs/{run['id']}"))
    assert (await api.ended(run["id"]))["status"] == "canceled"


def printed(frames: list[Json], stream: str | None = None) -> bytes:
    """Return the bytes that the chunks among these frames hold."""
    chunks = [TerminalFrame.read(json.dumps(frame)) for frame in frames if frame["t"] == "chunk"]
    return b"".join(chunk.bytes for chunk in chunks if stream in (None, chunk.stream))


async def test_what_a_command_prints_is_shown_with_its_beginning_and_its_end(server: LiveServer, api: Speech):
    script = "printf 'one\\n'; printf '\\377two' >&2; exit 3"
    run = await api.done(await process(api, "sh", "-c", script))
    frames = await all_of(server, run["id"])
    kinds = [frame["t"] for frame in frames]
    assert kinds[:2] == ["hello", "command_start"]
    assert kinds[-2:] == ["command_end", "eof"]
    assert set(kinds[2:-2]) == {"chunk"}
    hello, start, end, eof = frames[0], frames[1], frames[-2], frames[-1]
    assert (hello["run_id"], hello["protocol"], hello["cols"], hello["rows"]) == (
        run["id"], "senti.terminal.v1", 80, 24,
    )  # fmt: skip
    assert (start["argv_redacted"], start["tty"]) == (["sh", "-c", script], False)
    assert (printed(frames, "stdout"), printed(frames, "stderr")) == (b"one\n", b"\xfftwo")
    assert (end["exit_code"], end["output_bytes"]) == (3, 8)
    assert end["sha256"] == eof["sha256"] == sha256(printed(frames)).hexdigest()
    cursors = [frame["cursor"] for frame in frames[1:-1]]
    assert cursors == sorted(set(cursors))
    assert frames[1:] == (await all_of(server, run["id"], alias=True))[1:]


async def cut_at_random(server: LiveServer, run_id: str, dice: random.Random) -> tuple[bytes, str, int]:
    """Watch to the end, through connections that are cut after a few frames; return what came, and how often."""
    data, cursor, last, cuts = bytearray(), "", 0, 0
    while True:
        stop = dice.randrange(1, 60 if SOAK else 6)
        async with watching(server, run_id, f"?cursor={cursor}" if cursor else "") as socket:
            try:
                for _ in range(stop):
                    frame = await told(socket)
                    if frame["t"] == "eof":
                        return bytes(data), frame["sha256"], cuts
                    if frame.get("seq", 0) > last:
                        last, cursor = frame["seq"], frame["cursor"]
                        data += printed([frame])
            except ConnectionClosed:
                assert socket.close_code in (1006, 4429), socket.close_code
            socket.transport.abort()
        cuts += 1


async def test_scenario_2_viewers_that_are_cut_at_random_have_the_bytes_of_the_log(server: LiveServer, api: Speech):
    size, viewers = (50 << 20, 20) if SOAK else (1 << 20, 6)
    run = await api.trigger(await process(api, "python3", "-c", PRINT, str(size), timeout_secs=600))
    dice = random.Random(7)
    watched = await asyncio.gather(
        *(cut_at_random(server, run["id"], random.Random(dice.random())) for _ in range(viewers))
    )
    whole = printed(await all_of(server, run["id"]))
    digest = sha256(whole).hexdigest()
    assert len(whole) >= size
    assert {sha256(data).hexdigest() for data, _, _ in watched} == {digest}
    assert {told for _, told, _ in watched} == {digest}
    assert all(cuts > 0 for _, _, cuts in watched)
    cast = (await api.client.get(f"/api/v1/runs/{run['id']}/terminal")).text.splitlines()
    head, *lines = [json.loads(line) for line in cast]
    assert (head["version"], head["term"]) == (3, {"cols": 80, "rows": 24})
    assert {code for _, code, _ in lines} == {"o"}
    assert all(passed >= 0 for passed, _, _ in lines)
    replayed = "".join(text for _, _, text in lines).replace("\r\n", "\n")
    assert replayed.count("\x1b[0m") == whole.count(b"\x1b[0m")
    assert replayed.encode().count(b"\x1b[3") == whole.count(b"\x1b[3")


async def test_a_viewer_that_is_there_first_sees_output_as_it_is_printed(server: LiveServer, api: Speech):
    run = await api.trigger(await process(api, "sh", "-c", "read x; echo begun; sleep 3600", tty=True))
    async with watching(server, run["id"]) as socket:
        frames = [await told(socket)]
        while frames[-1]["t"] != "command_start":
            frames.append(await told(socket))
        assert (frames[-1]["tty"], frames[-1]["cols"], frames[-1]["rows"]) == (True, 80, 24)
        await stopped(api, run)
        frames, code = await closed(socket)
    assert (frames[-1]["t"], code) == ("eof", 1000)
    assert frames[-2]["t"] == "command_end"


async def test_a_viewer_goes_on_after_a_cursor_or_a_resume_frame(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "sh", "-c", "echo one; sleep 0.1; echo two; sleep 0.1; echo three"))
    frames = await all_of(server, run["id"])
    middle = frames[len(frames) // 2]
    rest = [frame for frame in frames if frame.get("seq", 0) > middle["seq"]]
    assert (await all_of(server, run["id"], f"?cursor={middle['cursor']}"))[1:] == [*rest, frames[-1]]
    assert (await all_of(server, run["id"], f"?cursor={frames[0]['first_cursor']}"))[1:] == frames[1:]
    held = await api.trigger(await process(api, "sh", "-c", "echo one; echo two; sleep 3600"))
    async with watching(server, held["id"]) as socket:
        seen = [await told(socket)]
        while b"two" not in printed(seen):
            seen.append(await told(socket))
        await socket.send(json.dumps({"t": "resume", "cursor": seen[1]["cursor"]}))
        again = [await told(socket) for _ in seen[2:]]
        assert again == seen[2:]
        await stopped(api, held)
        await closed(socket)


async def test_what_makes_no_sense_is_said_and_ends_it(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "true"))
    other = await api.done(await process(api, "true"))
    theirs = (await all_of(server, other["id"]))[1]["cursor"]
    for query in ("?cursor=nonsense", f"?cursor={theirs}", "?what=1", "?cursor=a&cursor=b"):
        async with watching(server, run["id"], query) as socket:
            frames, code = await closed(socket)
        assert (code, [frame["t"] for frame in frames]) == (4400, ["error"]), query
    held = await api.trigger(await process(api, "sh", "-c", "sleep 3600"))
    for frame in ("no json", '{"t":"nothing"}', b"bytes", json.dumps({"t": "resume", "cursor": theirs})):
        async with watching(server, held["id"]) as socket:
            await socket.send(frame)
            frames, code = await closed(socket)
        assert (code, frames[-1]["t"]) == (4400, "error"), frame
    async with watching(server, held["id"]) as socket:
        await socket.send("x" * 20_000)
        assert (await closed(socket))[1] == 1009
    await stopped(api, held)


async def test_a_terminal_is_for_viewing_and_says_so_to_who_writes(server: LiveServer, api: Speech):
    run = await api.trigger(await process(api, "sh", "-c", "sleep 3600", tty=True))
    async with watching(server, run["id"]) as socket:
        for frame in ({"t": "input", "data": "ls\n"}, {"t": "resize", "cols": 100, "rows": 30}):
            await socket.send(json.dumps(frame))
            answer = await told(socket)
            while answer["t"] != "error":
                answer = await told(socket)
            assert answer["code"] == "TERMINAL_READ_ONLY"
        await stopped(api, run)
        assert (await closed(socket))[1] == 1000


async def test_who_may_not_see_the_run_is_told_so_by_the_close_code(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "echo", "mine"))
    blind = await api.key("jobs:read")
    foreign = await api.key("runs:read", project_id=await api.project())
    cases = ((None, 4401), ("rw_wrong", 4401), (blind["token"], 4403), (foreign["token"], 4404))
    for token, expected in cases:
        async with watching(server, run["id"], token=token) as socket:
            frames, code = await closed(socket)
        assert (code, [frame["t"] for frame in frames]) == (expected, ["error"])
    for run_id in ("run_unknown", run["id"] + "x"):
        async with watching(server, run_id) as socket:
            assert (await closed(socket))[1] == 4404
    async with connect(server.url.replace("http", "ws") + "/v1/jobs") as socket:
        assert (await closed(socket))[1] == 4404


async def test_a_browser_watches_by_a_ticket_that_no_log_tells(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "echo", "seen"))
    path = f"/api/v1/runs/{run['id']}/terminal"
    ticket = (await said(api.client.post("/v1/tickets", json={"path": path}), 201))["ticket"]
    for _ in range(2):
        assert printed(await all_of(server, run["id"], f"?ticket={ticket}", token=None)) == b"seen\n"
    async with watching(server, run["id"], f"?ticket={ticket}", token=None, alias=True) as socket:
        assert (await closed(socket))[1] == 4401
    assert ticket not in server.log.read_text()


async def test_a_key_that_is_revoked_sees_no_more(server: LiveServer, api: Speech):
    run = await api.trigger(await process(api, "sh", "-c", "sleep 3600"))
    key = await api.key("runs:read")
    async with watching(server, run["id"], token=key["token"]) as socket:
        await told(socket)
        await said(api.client.delete(f"/v1/keys/{key['id']}"))
        assert (await closed(socket))[1] == 4401
    await stopped(api, run)


async def test_a_terminal_has_only_so_many_viewers(server: LiveServer, api: Speech):
    run = await api.trigger(await process(api, "sh", "-c", "sleep 3600"))
    sockets = [await watching(server, run["id"]) for _ in range(30)]
    for socket in sockets:
        await told(socket)
    async with watching(server, run["id"]) as socket:
        frames, code = await closed(socket)
    assert (code, frames[-1]["code"]) == (4429, "LIMITS_VIEWERS")
    await asyncio.gather(*(socket.close() for socket in sockets))
    frame = await until(lambda: first_told(server, run["id"]), lambda frame: frame.get("code") != "LIMITS_VIEWERS")
    assert frame["t"] == "hello"  # it hears of each leaving by itself
    await stopped(api, run)


async def test_k25_control_characters_are_raw_in_a_recording_and_never_in_a_frame(server: LiveServer, api: Speech):
    script = "printf '\\033[31mred\\007\\033[0m \\342\\200\\256abc <script>\\n'"
    run = await api.done(await process(api, "sh", "-c", script))
    cast = (await api.client.get(f"/api/v1/runs/{run['id']}/terminal")).text
    _, line = [json.loads(line) for line in cast.splitlines()]
    assert line[2] == "\x1b[31mred\x07\x1b[0m \u202eabc <script>\r\n"
    async with watching(server, run["id"]) as socket:
        raw = [await socket.recv() for _ in range(4)]
    assert not any(ord(character) < 32 for text in raw for character in str(text))


async def test_the_client_and_the_command_show_a_terminal_to_its_end(server: LiveServer, api: Speech, tmp_path):
    run = await api.trigger(
        await process(api, "sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; printf '\\377'")
    )
    async with server.sdk() as client:
        stream = client.runtime.terminal(run["id"])
        frames = [frame async for frame in stream]
        assert b"".join(frame.bytes for frame in frames) == b"1\n2\n3\n\xff"
        assert stream.sha256 == sha256(b"1\n2\n3\n\xff").hexdigest()
        again = client.runtime.terminal(run["id"], cursor=frames[1].cursor)
        assert [frame.seq async for frame in again if frame.seq] == [frame.seq for frame in frames[2:-1]]
        cast = await client.runtime.recording(run["id"])
    env = environment(url=server.url, api_key=API_KEY)
    shown = await command("terminal", run["id"], env=env)
    assert (shown.code, shown.out) == (0, "1\n2\n3\n\ufffd"), shown.err
    raw = tmp_path / "run.cast"
    written = await command("terminal", run["id"], "--cast", str(raw), env=env)
    assert (written.code, raw.read_bytes()) == (0, cast), written.err
    unknown = await command("terminal", "run_unknown", env=env)
    assert (unknown.code, "RUN_NOT_FOUND" in unknown.err) == (1, True), unknown.err


async def test_viewers_of_a_server_that_drains_come_back_and_miss_nothing(server: LiveServer, api: Speech):
    run = await api.done(await process(api, "sh", "-c", "echo one; echo two"))
    await refused(api.client.get("/api/v1/runs/run_unknown/terminal"), 404, "runs.not_found")
    held = await api.trigger(await process(api, "sh", "-c", "sleep 3600"))
    async with watching(server, held["id"]) as socket:
        await told(socket)
        await server.stop()
        _, code = await closed(socket)
    assert code == 1012
    await server.start()
    assert printed(await all_of(server, run["id"])) == b"one\ntwo\n"
    await stopped(api, held)


async def test_the_command_types_what_comes_out_of_a_pipe_and_shows_what_comes_back(server: LiveServer, api: Speech):
    script = "read name; echo hello $name; cat"
    step = {"kind": "command", "step_id": "ask", "command": ["sh", "-c", script], "stdin": True}
    run_id = (await said(api.client.post("/api/v1/runs", json={"steps": [step]}), 201))["run_id"]
    env = environment(url=server.url, api_key=API_KEY)
    ended = await command("terminal", run_id, "--input", env=env, stdin="Ada\nand more\n")
    assert (ended.code, ended.out) == (0, "hello Ada\nand more\n"), ended
