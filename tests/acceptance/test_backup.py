"""A backup of a server that goes on writing is whole: checked, restored and served, it misses nothing acknowledged."""

import asyncio
import contextlib
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from runwright import config, upkeep
from runwright.cli.main import main
from tests.acceptance.live_server import Ended, LiveServer, command, environment
from tests.acceptance.speech import Speech, said
from tests.waiting import until


@contextlib.asynccontextmanager
async def load(api: Speech, job: str, made: list[str]) -> AsyncIterator[None]:
    """Trigger runs all the time; what was answered is in `made`."""

    async def trigger() -> None:
        while True:
            made.append((await api.trigger(job, {"text": "x" * 2_000}))["id"])

    tasks = [asyncio.create_task(trigger()) for _ in range(4)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def db(*tokens: Any, data_dir: Path) -> Ended:
    """Run a command of the database on a data directory, with JSON: here, in a thread, for it takes no process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = await asyncio.to_thread(main, ["db", *map(str, tokens), "--data-dir", str(data_dir), "--json"])
    return Ended(code, out.getvalue(), err.getvalue())


async def told(*tokens: Any, data_dir: Path, code: int = 0) -> Any:
    """Return what a command printed that ends so."""
    ended = await db(*tokens, data_dir=data_dir)
    assert ended.code == code, ended
    return json.loads(ended.out if not code or tokens[0] == "check" else ended.err)


@pytest.fixture(scope="module")
async def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the data directory of a server that has stopped, with an artifact and an erased run in it."""
    live = LiveServer(tmp_path_factory.mktemp("stopped"), value_inline_max_bytes=1000, retention_days=0)
    await live.start()
    api = Speech(live.client())
    job = await api.job("keeps")
    await api.done(job, {"text": "long" * 1000})
    erased = await api.done(await api.job("echo"), {"a": 1})
    await said(api.client.post(f"/v1/runs/{erased['id']}/erase"))
    await live.close()
    return live.data_dir


@pytest.fixture
def small(stopped: Path, tmp_path: Path) -> Path:
    """Return a copy of that directory."""
    return Path(shutil.copytree(stopped, tmp_path / "data"))


@pytest.mark.slow
async def test_a_backup_under_load_is_restored_served_and_misses_nothing_acknowledged(tmp_path: Path):
    live = LiveServer(tmp_path, value_inline_max_bytes=1000)
    await live.start()
    api = Speech(live.client())
    job = await api.job("keeps")
    made: list[str] = []
    async with load(api, job, made):
        await until(lambda: len(made) >= 50)
        acknowledged = list(made)
        copy = await told("backup", tmp_path / "copy", data_dir=live.data_dir)
        assert len(made) > len(acknowledged), "the server went on writing"
        assert (await told("check", data_dir=live.data_dir))["whole"], "beside a server that writes"
    await live.close()
    assert (copy["artifacts"] > 0, copy["secrets"]) == (True, ["master.key"])
    assert (await told("check", data_dir=tmp_path / "copy"))["whole"]
    assert await told("restore", tmp_path / "copy", data_dir=tmp_path / "other" / "data")
    other = LiveServer(tmp_path / "other", value_inline_max_bytes=1000)  # over what is there
    await other.start()
    again = Speech(other.client())
    for run_id in acknowledged:
        run = await again.ended(run_id)
        assert (run["state"], len(run["payload"]["text"])) == ("completed", 2_000)
    await other.close()
    assert (await told("check", data_dir=other.data_dir))["whole"]


async def test_a_restore_overwrites_nothing_and_a_backup_neither(small: Path, tmp_path: Path):
    await told("backup", tmp_path / "copy", data_dir=small)
    again = await told("backup", tmp_path / "copy", data_dir=small, code=1)
    assert "is there already" in again["error"]["message"]
    over = await told("restore", tmp_path / "copy", data_dir=small, code=1)
    assert "holds data" in over["error"]["message"]
    for odd in (tmp_path / "nothing", small):
        refused = await told("restore", odd, data_dir=tmp_path / "new", code=1)
        assert "is no backup" in refused["error"]["message"]
    assert not (tmp_path / "new").exists()
    for verb in (("backup", tmp_path / "more"), ("check",)):
        ended = await db(*verb, data_dir=tmp_path / "nowhere")
        assert (ended.code, "holds no database" in ended.err) == (1, True)
    assert not (tmp_path / "nowhere").exists()
    for word, other in (("backup", tmp_path / "more"), ("restore", tmp_path / "copy")):
        ended = await command("db", word, str(other), env=environment(database_url="postgresql://db/runwright"))
        assert (ended.code, "own tools" in " ".join(ended.err.split())) == (1, True), ended


async def test_keys_stay_out_of_a_backup_that_is_to_have_none(small: Path, tmp_path: Path):
    await told("backup", tmp_path / "copy", "--without-keys", data_dir=small)
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"runwright.db", "artifacts", "backup.json"}
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert modes == {0}


def touch(data_dir: Path, what: str) -> None:
    """Damage a data directory in one way."""
    if what.startswith("artifact"):
        artifact = next(path for path in (data_dir / "artifacts").rglob("*") if path.is_file())
        if what.endswith("gone"):
            artifact.unlink()
        else:
            artifact.write_bytes(b"x" + artifact.read_bytes()[1:])
        return
    with contextlib.closing(apsw.Connection(str(data_dir / "runwright.db"))) as connection:
        connection.execute(what)


DAMAGE = {
    "UPDATE run_events SET message = 'x' WHERE seq = 3": "log",
    "DELETE FROM run_events WHERE seq = 2": "log",
    "UPDATE runs SET hash = x'00'": "log",
    "UPDATE runs SET opening = 'a text' WHERE erased_at IS NULL": "log",
    "UPDATE runs SET opening = CAST(opening || ' ' AS BLOB) WHERE erased_at IS NOT NULL": "log",
    "UPDATE audit SET actor = 'x' WHERE number = 2": "audit log",
    "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)": "audit log",
    "INSERT INTO limits VALUES ('job:x', 1, 2)": "limit",
    "artifact changed": "artifact",
    "artifact gone": "artifact",
    "UPDATE migrations SET checksum = 'x' WHERE number = 1": "schema",
}


async def test_a_check_finds_what_was_touched_and_a_restore_refuses_it(small: Path, tmp_path: Path):
    for number, (what, where) in enumerate(DAMAGE.items()):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(small, copy)
        touch(copy, what)
        found = await upkeep.check(config.load({}, overrides={"data_dir": copy}), lambda *_: None)
        assert where in {each.where for each in found}, what
    assert (await told("check", data_dir=copy, code=1))["findings"][0]["where"] == "schema"
    whole = tmp_path / "copy"
    await told("backup", whole, data_dir=small)
    for what in ("artifact gone", "DELETE FROM run_events WHERE seq = 2"):
        bad = tmp_path / f"bad {what[:8]}"
        shutil.copytree(whole, bad)
        touch(bad, what)
        refused = await told("restore", bad, data_dir=tmp_path / "new", code=1)
        assert "nothing was restored" in refused["error"]["message"]
        assert not (tmp_path / "new").exists()
