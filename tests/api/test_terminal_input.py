"""People type for the commands of runtime runs: by name, in order, within bounds; what is not shown is not kept."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runwright.engine.values import KEYS
from tests.api import player
from tests.api.served import Served, ok, serving
from tests.api.test_runtime_orders import ended, made
from tests.api.test_runtime_runs import ADDRESSES, drained
from tests.api.viewing import viewing

PASSWORD = "correct horse battery"
READ = "read name; echo hello $name"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    settings: dict[str, Any] = {"terminal_input_patience_s": 0.2, "terminal_input_untaken_max_bytes": 1024}
    async with serving(tmp_path_factory.mktemp("typing"), **settings) as served:
        yield served


def reading(script: str, **more: Any) -> dict[str, Any]:
    """Return a step whose command somebody types for."""
    return {"kind": "command", "step_id": "ask", "command": ["sh", "-c", script], "tty": True, "stdin": True, **more}


async def told(server: Served, run_id: str, type_: str) -> list[dict[str, Any]]:
    """Return what the log says of an event type, each with who did it."""
    events = await drained(server, ADDRESSES[0], run_id, 500)
    return [{**event["payload"], "actor": event["actor"]} for event in events if event["type"] == type_]


async def stopped(server: Served, run_id: str) -> None:
    """Cancel a run, and see it end."""
    await ok(server.admin.post(f"/api/v1/runs/{run_id}/cancel", json={}), 202)
    await ended(server, run_id)


async def me(server: Served) -> str:
    """Return who the administrator is, as logs say it."""
    return str((await ok(server.admin.get("/v1/me")))["actor"])


async def test_what_a_person_types_is_read_echoed_and_told_with_their_name(server: Served):
    run_id = await made(server, steps=[reading(READ)])
    async with viewing(server, run_id) as viewer:
        started = await viewer.until(t="command_start")
        viewer.type("Ada\n", id="first")
        taken = await viewer.until(t="input")
        await viewer.until(t="eof")
        frames = viewer.frames
    assert (started["tty"], started["stdin"]) == (True, True)
    assert (taken["what"], taken["bytes"], taken["id"]) == ("keys", 4, "first")
    assert viewer.printed == "Ada\r\nhello Ada\r\n"
    person = await me(server)
    (typed,) = await told(server, run_id, "terminal.typed")
    (asked,) = await told(server, run_id, "terminal.input")
    assert (typed["by"], typed["bytes"], typed["echoed"], typed["chunk"]) == (person, 4, True, "Ada\n")
    assert (asked["actor"], asked["bytes"]) == (person, 4)
    assert "Ada" not in str(asked)
    assert {frame.get("by") for frame in frames if frame["t"] in ("input", "typed")} == {person}


async def test_keystrokes_that_the_terminal_does_not_show_are_counted_and_kept_nowhere(server: Served):
    run_id = await made(server, steps=[reading("stty -echo; echo password; read p; echo ${#p}")])
    async with viewing(server, run_id) as viewer:
        await viewer.shows("password")
        viewer.type(f"{PASSWORD}\n")
        await viewer.until(t="eof")
    assert viewer.printed.split()[-1] == str(len(PASSWORD))
    (typed,) = await told(server, run_id, "terminal.typed")
    assert (typed["bytes"], typed.get("echoed", False), typed.get("chunk", "")) == (len(PASSWORD) + 1, False, "")
    assert PASSWORD not in str(await drained(server, ADDRESSES[0], run_id, 500))
    assert await server.house.services.engine.store.values(run_id, KEYS) == [], "its envelope is gone, too"


async def test_a_secret_that_is_typed_key_by_key_is_redacted_as_one_text(server: Served):
    await ok(server.admin.post("/v1/secrets", json={"name": "TOKEN", "value": "hunter2-the-secret"}), 201)
    run_id = await made(server, steps=[reading("read x; echo done")])
    async with viewing(server, run_id) as viewer:
        await viewer.until(t="command_start")
        for key in "a hunter2-the-secret z\n":
            viewer.type(key)
        await viewer.until(t="eof")
    typed = await told(server, run_id, "terminal.typed")
    assert "".join(each.get("chunk", "") for each in typed) == "a [redacted:known] z\n"
    assert sum(each.get("bytes", 0) for each in typed) == len("a hunter2-the-secret z\n")
    assert "hunter2" not in viewer.printed


async def test_what_is_typed_arrives_in_its_order_whatever_it_is_cut_into(server: Served):
    text = "".join(f"{number} " for number in range(200))
    run_id = await made(server, steps=[reading("cat > got; wc -c < got; md5sum < got", tty=False)], mode="edit_gated")
    async with viewing(server, run_id) as viewer:
        await viewer.until(t="command_start")
        for at in range(0, len(text), 3):
            viewer.type(text[at : at + 3])
        viewer.do(t="eof")
        await viewer.until(t="eof")
    assert viewer.printed.split()[:2] == [str(len(text)), hashlib.md5(text.encode()).hexdigest()]
    status = await ended(server, run_id)
    assert status["stop"]["code"] == "NONE"


async def test_the_size_of_the_terminal_is_what_viewers_say(server: Served):
    script = "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.02; done"
    run_id = await made(server, steps=[reading(script, stdin=False)])
    async with viewing(server, run_id) as viewer:
        await viewer.shows("24 80")
        viewer.do(t="resize", cols=132, rows=43)
        size = await viewer.until(t="resize")
        await viewer.until(t="eof")
    assert (size["cols"], size["rows"]) == (132, 43)
    assert "43 132" in viewer.printed
    cast = (await server.admin.get(f"/api/v1/runs/{run_id}/terminal")).text
    assert ',"r","132x43"]\n' in cast


SHOW = r"""
i=0; bar=
while [ $i -le 100 ]; do printf '\r[%-10s] %3d %%' "$bar" $i; i=$((i + 10)); bar="$bar#"; done
printf '\n\033[31mred\033[0m and \303\251\n\033[2A\033[20Cup\033[2B\r'
read name; printf '\033[2J\033[Hgoodbye %s on %s\n' "$name" "$(stty size)"
"""


async def test_another_player_shows_of_the_recording_what_the_terminal_showed(server: Served):
    run_id = await made(server, steps=[reading(SHOW)])
    async with viewing(server, run_id) as viewer:
        await viewer.shows("up\x1b[2B\r")
        before = (await server.admin.get(f"/api/v1/runs/{run_id}/terminal")).text
        viewer.do(t="resize", cols=60, rows=12)
        await viewer.until(t="resize")
        viewer.type("Ada\n")
        await viewer.until(t="eof")
    seen = [line.rstrip() for line in player.screen(before).display[:3]]
    assert seen == ["[##########] 100 %  up", "red and é", ""]
    after = (await server.admin.get(f"/api/v1/runs/{run_id}/terminal")).text
    played = player.screen(after)
    assert (played.columns, played.lines) == (60, 12)
    assert [line.rstrip() for line in played.display[:2]] == ["goodbye Ada on 12 60", ""]
    assert [(code, data) for _, code, data in player.lines(after)[1] if code != "o"] == [("r", "60x12"), ("i", "Ada\n")]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"t": "input", "data": "x" * 8193}, "TERMINAL_INPUT_LARGE"),
        ({"t": "input", "data": "x" * 1025}, "TERMINAL_INPUT_FULL"),
    ],
)
async def test_what_is_too_much_is_refused_and_the_socket_stays_open(server: Served, frame: dict[str, Any], code: str):
    run_id = await made(server, steps=[reading(READ)])
    async with viewing(server, run_id) as viewer:
        await viewer.until(t="command_start")
        viewer.do(**frame, id="much")
        assert (await viewer.until(t="error"))["id"] == "much"
        assert viewer.frames[-1]["code"] == code
        viewer.type("Ada\n")
        await viewer.until(t="eof")


async def test_a_command_that_reads_nothing_takes_so_much_and_no_more(server: Served):
    run_id = await made(server, steps=[reading("echo on; exec sleep 60", tty=False)])
    async with viewing(server, run_id) as viewer:
        await viewer.shows("on")
        for _ in range(200):
            viewer.type("x" * 1000)
        assert (await viewer.until(t="error"))["code"] == "TERMINAL_INPUT_FULL"
        taken = sum(frame["bytes"] for frame in viewer.frames if frame["t"] == "input")
    assert 64_000 <= taken <= 68_000, "a pipe holds 64 KiB, and 1 KiB waits for it"
    await stopped(server, run_id)
    assert await server.house.services.engine.store.values(run_id, KEYS) == [], "what nobody will read is kept no more"


STEPS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no stdin": (reading("sleep 60", stdin=False), {"t": "input", "data": "x"}),
    "no end": (reading("sleep 60", stdin=False), {"t": "eof"}),
    "no terminal": (reading("sleep 60", tty=False), {"t": "resize", "cols": 10, "rows": 10}),
    "a gate": (
        {"kind": "gate", "step_id": "g", "command": ["sleep", "60"], "tty": True},
        {"t": "input", "data": "x"},
    ),
}


@pytest.mark.parametrize("named", STEPS)
async def test_a_command_that_takes_no_input_says_so(server: Served, named: str):
    step, frame = STEPS[named]
    run_id = await made(server, steps=[step])
    async with viewing(server, run_id) as viewer:
        await viewer.until(t="command_start")
        viewer.do(**frame)
        assert (await viewer.until(t="error"))["code"] == "TERMINAL_READ_ONLY"
    await stopped(server, run_id)


WISHES: tuple[dict[str, Any], ...] = (
    {"t": "input", "data": "x\n"},
    {"t": "eof"},
    {"t": "resize", "cols": 9, "rows": 9},
)


async def test_only_people_with_the_scope_type(server: Served):
    run_id = await made(server, steps=[reading(READ)])
    seeing = await ok(server.admin.post("/v1/keys", json={"name": "sees", "scopes": ["runs:read"]}), 201)
    service = {"name": "ci", "scopes": ["runs:read", "terminal:write"], "service": True}
    robot = await ok(server.admin.post("/v1/keys", json=service), 201)
    for token, code in ((seeing["token"], "MISSING_SCOPE"), (robot["token"], "TERMINAL_PEOPLE_ONLY")):
        async with viewing(server, run_id, token) as viewer:
            await viewer.until(t="command_start")
            for frame in WISHES:
                viewer.do(**frame)
                assert (await viewer.until(t="error"))["code"] == code
    assert await told(server, run_id, "terminal.input") == []
    async with viewing(server, run_id) as viewer:
        viewer.type("me\n")
        await viewer.until(t="eof")


async def test_who_types_and_who_watches_are_cut_and_come_back(server: Served):
    run_id = await made(server, steps=[reading("read a; read b; echo $b$a")])
    async with viewing(server, run_id) as viewer:
        await viewer.until(t="command_start")
        viewer.type("one\n", id="1")
        seen = await viewer.until(t="input", id="1")
    async with viewing(server, run_id, query=f"cursor={seen['cursor']}") as again:
        again.type("two\n", id="2")
        await again.until(t="eof")
    assert "1" not in [frame.get("id") for frame in again.frames], "it has that already"
    assert "twoone" in again.printed


async def test_input_that_makes_no_sense_ends_the_socket(server: Served):
    run_id = await made(server, steps=[reading(READ)])
    wrong: list[dict[str, Any]] = [
        {"t": "input"},
        {"t": "input", "data": 1},
        {"t": "input", "data": "no base64!", "encoding": "base64"},
        {"t": "input", "data": "x", "id": "a b"},
        {"t": "resize", "cols": 0, "rows": 1},
        {"t": "resize", "cols": 80, "rows": 1001},
        {"t": "resize", "cols": 80},
    ]
    for frame in wrong:
        async with viewing(server, run_id) as viewer:
            viewer.do(**frame)
            await viewer.rest()
        assert (viewer.code, viewer.frames[-1]["t"]) == (4400, "error"), frame
    await stopped(server, run_id)


async def test_the_digest_of_what_was_printed_is_forgotten_with_the_data(server: Served):
    run_id = await made(server, steps=[{"kind": "command", "command": ["echo", PASSWORD]}])
    await ended(server, run_id)

    async def digest() -> Any:
        async with viewing(server, run_id) as viewer:
            return (await viewer.until(t="eof"))["sha256"]

    assert [await digest(), await digest()] == [hashlib.sha256(f"{PASSWORD}\n".encode()).hexdigest()] * 2
    await ok(server.admin.post(f"/v1/runs/{run_id}/erase"))
    assert run_id not in server.house.services.digests._known
    assert await digest() == hashlib.sha256(b"").hexdigest()
