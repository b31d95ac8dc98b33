"""The command line against the real server: what a person or a script types, and what comes back."""

import asyncio
import json
from typing import Any

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.live_server import API_KEY, Ended, LiveServer, command, environment
from tests.acceptance.speech import Json, Speech, unique

pytestmark = [pytest.mark.xdist_group("acceptance-commands"), pytest.mark.slow]


@pytest.fixture(scope="module")
def database_kind() -> str:
    """Name one database: the commands know the API alone."""
    return "sqlite"


class Shell:
    """Commands that find the server and the key in their environment."""

    def __init__(self, server: LiveServer) -> None:
        self._env = environment(url=server.url, api_key=API_KEY)

    async def run(self, *words: str, stdin: str | None = None) -> Ended:
        """Run a command to its end."""
        return await command(*words, env=self._env, stdin=stdin)

    async def json(self, *words: str, code: int = 0) -> Any:
        """Run a command with --json and return what it printed."""
        ended = await self.run(*words, "--json")
        assert (ended.code, ended.err) == (code, ""), ended
        return json.loads(ended.out)


@pytest.fixture
async def shell(server: LiveServer) -> Shell:
    return Shell(server)


async def test_a_run_is_triggered_read_listed_and_its_events_too(shell: Shell, api: Speech):
    job = await api.job("talk")
    run: Json = await shell.json("trigger", job, "--payload", '{"lines": 2}', "--tag", "via=cli", "--priority", "3")
    assert (run["tags"], run["priority"]) == ({"via": "cli"}, 3)
    await api.ended(run["id"])
    got, listed, events = await asyncio.gather(
        shell.json("runs", "get", run["id"]),
        shell.json("runs", "list", "--job", job, "--status", "completed", "--tag", "via=cli"),
        shell.run("runs", "events", run["id"], "--json"),
    )
    assert got == await api.run(run["id"])
    assert listed == [got]
    assert [json.loads(line) for line in events.out.splitlines()] == await api.events(run["id"])


async def test_watch_follows_a_run_to_its_end_and_exits_as_it_ended(shell: Shell, api: Speech, gate: Gate):
    run = await api.trigger(await api.job("talk"), {"lines": 2, "gate": gate.port})
    failing = await api.trigger(await api.job("stumble", max_attempts=1), {})
    cancelled = await api.trigger(await api.job("hold"), {"gate": gate.port})
    watching = [asyncio.create_task(shell.run("runs", "watch", each["id"], "--json")) for each in (run, failing)]
    await gate.arrived(2)
    plain = asyncio.create_task(shell.run("runs", "watch", cancelled["id"]))
    ended = await shell.json("runs", "cancel", cancelled["id"], "--reason", "enough")
    assert ended["status"] == "canceled"
    gate.open()
    followed, failed = await asyncio.gather(*watching)
    assert [json.loads(line)["seq"] for line in followed.out.splitlines()] == list(
        range(1, (await api.run(run["id"]))["last_seq"] + 1)
    )
    assert (followed.code, failed.code) == (0, 1)
    shown = await plain
    assert shown.code == 3
    assert "canceled" in shown.out


async def test_keys_are_made_listed_rotated_and_revoked(shell: Shell, server: LiveServer):
    name = unique("cli")
    key = await shell.json("keys", "create", name, "--scope", "runs:read")
    assert (await server.client(key["token"]).get("/v1/runs")).status_code == 200
    rotated = await shell.json("keys", "rotate", key["id"], "--grace-s", "0")
    listed = [each for each in await shell.json("keys", "list") if each["name"] == name]
    assert {each["id"] for each in listed} == {key["id"], rotated["id"]}
    assert not any("token" in each for each in listed)
    await shell.json("keys", "revoke", rotated["id"], "--yes")
    for token in (key["token"], rotated["token"]):
        assert (await server.client(token).get("/v1/runs")).status_code == 401


async def test_jobs_are_made_changed_and_deleted(shell: Shell):
    slug = unique("by-cli")
    made = await shell.json("jobs", "create", slug, "--max-attempts", "2")
    changed = await shell.json("jobs", "update", slug, "--max-attempts", "4")
    assert (made["version"], changed["version"], changed["max_attempts"]) == (1, 2, 4)
    assert (await shell.json("jobs", "get", slug))["id"] == made["id"]
    assert (await shell.run("jobs", "delete", slug, "--yes", "--json")).code == 0


async def test_bulk_replay_and_a_dry_run(shell: Shell, api: Speech, tmp_path):
    job = await api.job("echo")
    items = tmp_path / "items.jsonl"
    items.write_text("".join(json.dumps({"payload": {"n": n}}) + "\n" for n in range(5)))
    done = await shell.json("trigger", job, "--bulk", str(items))
    assert (done["total"], done["failed"]) == (5, 0)
    run_id = done["results"][0]["id"]
    await api.ended(run_id)
    refused = await shell.run("runs", "replay", run_id, "--json")
    assert (refused.code, json.loads(refused.err)["error"]["code"]) == (1, "runs.completed")
    again = await shell.json("runs", "replay", run_id, "--force")
    assert again["replay_of"] == run_id
    shown = await shell.json("trigger", job, "--dry-run")
    assert shown["dry_run"] is True


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["runs", "get", "run_nothing"], 1, "runs.not_found"),
        (["trigger", "no-such-job"], 1, "jobs.not_found"),
        (["runs", "list", "--status", "nonsense"], 1, "request.invalid"),
        (["runs", "list", "--nope"], 2, "cli.usage"),
    ],
)
async def test_what_is_refused_is_told_as_json_on_standard_error(shell: Shell, words: list[str], code: int, told: str):
    ended = await shell.run(*words, "--json")
    assert (ended.code, ended.out) == (code, "")
    problem = json.loads(ended.err)["error"]
    assert problem["code"] == told
    assert problem["message"]


async def test_a_server_that_is_not_there_is_told_with_what_to_do(shell: Shell):
    ended = await command("runs", "list", env=environment(url="http://127.0.0.1:9", api_key=API_KEY))
    assert (ended.code, ended.out) == (1, "")
    assert "no answer from http://127.0.0.1:9" in ended.err
    assert "runwright serve" in ended.err
    wrong = await command("runs", "list", env=environment(url="http://127.0.0.1:9", api_key="a b"))
    assert wrong.code == 1
    assert "Traceback" not in ended.err + wrong.err


async def test_doctor_finds_a_healthy_server(shell: Shell):
    ended = await shell.run("doctor", "--json")
    assert ended.code == 0, ended
    assert json.loads(ended.out)
