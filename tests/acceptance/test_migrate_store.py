"""A server's whole memory moves to PostgreSQL and goes on there; whatever cuts the move leaves nothing of it."""

import asyncio
import contextlib
import io
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from runwright import config, upkeep
from runwright.cli.main import main
from runwright.errors import StoreUnavailable
from runwright.store.migrations import ddl
from tests.acceptance.gate import Gate
from tests.acceptance.live_server import REPOSITORY, Ended, LiveServer, command, environment
from tests.acceptance.speech import Speech, said
from tests.postgres import empty_database, execute, rows

LARGE = "x" * 3_000_000
OTHERS_ROW = "INSERT INTO paused_queues VALUES ('org_1/q', 0, 'somebody')"
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def words(directory: Path, target: str) -> list[str]:
    """Return the command that moves a data directory."""
    return ["migrate-store", "--from", f"sqlite://{directory}", "--to", target, "--json"]


async def moving(directory: Path, target: str) -> Ended:
    """Move a data directory from the command line, with JSON, in a thread of this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(main, words(directory, target))
    return Ended(code, out.getvalue(), err.getvalue())


@pytest.fixture
async def history(tmp_path: Path, gate: Gate) -> AsyncIterator[tuple[LiveServer, dict[str, str]]]:
    """Yield a server that was killed, with runs in every state, and their ids."""
    live = LiveServer(tmp_path, value_inline_max_bytes=1000)
    await live.start()
    api = Speech(live.client())
    slow = await api.job("hold", max_concurrency=1)
    runs = {
        "completed": await api.done(await api.job("echo"), {"text": "a\x1ab"}),
        "large": await api.done(await api.job("keeps"), {"text": LARGE[:800_000]}),
        "executing": await api.trigger(slow, {"gate": gate.port}),
    }
    await gate.arrived()
    runs["held"] = await api.trigger(slow, {"gate": gate.port})
    runs["paused"] = await api.trigger(slow, {"gate": gate.port})
    await api.verb(runs["paused"]["id"], "pause")
    runs["waiting"] = await api.trigger(await api.job("nap"), {"secs": 1})
    await api.until(runs["waiting"]["id"], "run.waiting")
    runs["keyed"] = await api.trigger(await api.job("nobody"), idempotency_key="once")
    uploaded = await said(live.client().post("/v1/artifacts", content=LARGE.encode()), 201)
    refused = await moving(live.data_dir, "postgresql://postgres@127.0.0.1:1/nowhere")
    assert "[store.locked]" in refused.err or "store.locked" in refused.err, refused
    await live.kill()
    yield live, {name: run["id"] for name, run in runs.items()} | {"uploaded": uploaded["digest"]}
    await live.close()


def arrived(url: str) -> int:
    """Return how many rows are in the tables of a database."""
    return sum(rows(url, f"SELECT count(*) FROM {table.name}")[0][0] for table in ddl.tables("postgresql"))


async def test_a_killed_server_moves_with_everything_and_goes_on(history, gate: Gate, tmp_path: Path):
    old, ids = history
    with empty_database() as url:
        moved = await moving(old.data_dir, url)
        assert moved.code == 0, moved
        told = json.loads(moved.out)["moved"]
        with contextlib.closing(apsw.Connection(str(old.data_dir / "runwright.db"))) as source:
            for table, count in told["tables"].items():
                assert source.execute(f"SELECT count(*) FROM {table}").get == count, table
        assert (told["again"], told["artifacts"] > 1) == (False, True)
        again = await moving(old.data_dir, url)
        assert json.loads(again.out)["moved"] == {**told, "again": True}
        stays = await command("serve", "--port", "0", env=environment(data_dir=old.data_dir))
        assert (stays.code, "moved to postgresql://" in stays.err, "migrate-store" in stays.err) == (1, True, True)
        key = (old.data_dir / "master.key").read_text().strip()
        (tmp_path / "new").mkdir()
        new = LiveServer(tmp_path / "new", database_url=url, master_key=key, value_inline_max_bytes=1000)
        await new.start()
        api = Speech(new.client())
        assert (await api.run(ids["completed"]))["payload"] == {"text": "a\x1ab"}
        assert (await api.run(ids["large"]))["result"] == {"same": True}
        assert (await new.client().get(f"/v1/artifacts/{ids['uploaded']}")).text == LARGE
        await gate.arrived()
        gate.open()
        await api.verb(ids["paused"], "resume")
        for name in ("executing", "held", "paused", "waiting"):
            assert (await api.ended(ids[name]))["state"] == "completed", name
        assert (await api.run(ids["keyed"]))["state"] == "queued"
        assert (await said(new.client().get("/v1/audit/verify")))["whole"]
        await new.close()
        checked = await command("db", "check", "--json", env=environment(database_url=url, master_key=key))
        assert json.loads(checked.out) == {"whole": True, "sealed_values_opened": True, "findings": []}


async def test_a_move_that_is_killed_anywhere_leaves_nothing_and_is_made_again(history):
    old, _ = history
    with empty_database() as url:
        for part in ("runs", "artifacts", "logs"):
            killed = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.acceptance.killed_move", str(old.data_dir), url, part), cwd=REPOSITORY
            )
            assert await killed.wait() == -9, part
            assert arrived(url) == 0, part
            refused = await command("serve", "--port", "0", env=environment(data_dir=old.data_dir))
            assert (refused.code, "run `runwright migrate-store` again" in " ".join(refused.err.split())) == (1, True)
        mark = (old.data_dir / "moved.json").read_bytes()
        execute(url, OTHERS_ROW)
        assert (await moving(old.data_dir, url)).code == 1
        assert (old.data_dir / "moved.json").read_bytes() == mark, "what is there may be what was killed last"
        execute(url, "DELETE FROM paused_queues")
        assert (await moving(old.data_dir, url)).code == 0
        assert arrived(url) > 0


async def test_what_cannot_be_moved_whole_is_not_moved(history, tmp_path: Path):
    old, of = history
    with empty_database() as url, empty_database() as other:
        assert (await command("db", "upgrade", env=environment(database_url=url))).code == 0
        execute(url, OTHERS_ROW)
        refused = await moving(old.data_dir, url)
        assert (refused.code, "is not empty (paused_queues)" in refused.err) == (1, True), refused
        wrong = await command(*words(old.data_dir, other), env=environment(master_key="ab" * 32))
        assert (wrong.code, "keyring.wrong_master_key" in wrong.err, wrong.out) == (1, True, ""), wrong
        (artifact,) = (old.data_dir / "artifacts").rglob(f"*{of['uploaded'][2:]}")
        artifact.rename(tmp_path / "artifact")
        halved = await moving(old.data_dir, other)
        assert (halved.code, arrived(other)) == (1, 0), halved
        missing = {"where": "artifact", "what": of["uploaded"], "how": "is missing"}
        assert json.loads(halved.out) == {"moved": None, "findings": [missing]}
        (tmp_path / "artifact").rename(artifact)
        with contextlib.closing(apsw.Connection(str(old.data_dir / "runwright.db"))) as source:
            source.execute("UPDATE run_events SET message = 'x' WHERE seq = 2")
        broken = await moving(old.data_dir, other)
        assert (broken.code, json.loads(broken.out)["moved"], arrived(other)) == (1, None, 0)
        assert {each["where"] for each in json.loads(broken.out)["findings"]} == {"log"}
        key = old.data_dir / "master.key"
        key.rename(tmp_path / "kept")
        keyless = await moving(old.data_dir, other)
        assert (keyless.code, "RUNWRIGHT_MASTER_KEY" in keyless.err) == (1, True)
        assert not (old.data_dir / "moved.json").exists(), "nothing arrived, so the server may go on here"


@pytest.mark.parametrize("how", ["interrupted", "cut off"])
async def test_a_move_that_ends_before_its_commit_leaves_the_data_directory_to_its_server(history, how: str):
    old, _ = history
    with empty_database() as url:

        def tell(what: str, done: int, of: int) -> None:
            if what == "logs" and how == "interrupted":
                raise asyncio.CancelledError
            if what == "logs":
                execute(url, CUT)

        settings = config.load({}, overrides={"data_dir": old.data_dir})
        with pytest.raises(asyncio.CancelledError if how == "interrupted" else StoreUnavailable):
            await upkeep.move(settings, url, tell)
        assert not (old.data_dir / "moved.json").exists()
        assert arrived(url) == 0


@pytest.mark.parametrize("told", ["in the environment", "in a file"])
async def test_where_there_is_no_data_directory_that_is_said_whatever_servers_are_told(tmp_path: Path, told: str):
    env = environment(database_url="postgresql://a/b", database_listen_url="postgresql://a/b")
    if told == "in a file":
        (tmp_path / "config.toml").write_text('database_url = "postgresql://a/b"\n')
        env = environment(config=tmp_path / "config.toml")
    ended = await command(*words(tmp_path / "nowhere", "postgresql://a/c"), env=env)
    assert (ended.code, "nowhere holds no database" in ended.err) == (1, True), ended


@pytest.mark.parametrize("given", [("--from", "mysql://x", "--to", "postgresql://y"), ("--from", "x", "--to", "y")])
async def test_other_stores_are_refused(given: tuple[str, ...]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code: Any = await asyncio.to_thread(main, ["migrate-store", *given])
    assert (code, "must be a" in err.getvalue()) == (2, True)
