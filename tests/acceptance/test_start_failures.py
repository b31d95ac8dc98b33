"""A server that cannot start says why and what to do in a few words, exits with another code than 0, breaks nothing."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import apsw
import pytest

from runwright.store import migrations
from tests.acceptance.live_server import Ended, LiveServer, command, environment, program
from tests.ports import kept
from tests.postgres import execute, new_database
from tests.store.test_upgrades import as_of

pytestmark = [pytest.mark.xdist_group("acceptance-start"), pytest.mark.slow]


@pytest.fixture(scope="module")
async def standing(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """Serve over a data directory that others want, too."""
    live = LiveServer(tmp_path_factory.mktemp("standing"), worker=None)
    await live.start()
    yield live
    await live.close()


LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT")


@pytest.fixture(scope="module")
async def founded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LiveServer]:
    """Start a server for the first time, without a key of the operator's, and stop it again."""
    live = LiveServer(tmp_path_factory.mktemp("founded"), worker=None, api_key="")
    await live.start()
    await live.stop()
    yield live
    await live.close()


async def serve(data_dir: Path | str, *tokens: str, **settings: object) -> Ended:
    return await command("serve", "--port", "0", *tokens, env=environment(data_dir=data_dir, **settings))


def told(ended: Ended, *words: str, code: int = 1) -> None:
    """Hold a failed start to its manners."""
    assert (ended.code, ended.out) == (code, ""), ended
    assert "Traceback" not in ended.err
    said = [line for line in ended.err.strip().splitlines() if not LOG_LINE.match(line)]
    assert len(said) <= 6, ended.err
    assert all(word in " ".join(ended.err.split()) for word in words), ended.err


async def test_a_data_directory_that_another_server_holds(standing: LiveServer):
    ended = await serve(standing.data_dir)
    told(ended, f"process {standing.process.pid}", str(standing.data_dir), "[store.locked]", "--data-dir")


async def test_a_data_directory_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_text("")
    places = [tmp_path / "file", Path("/proc/1/runwright")]
    for place, ended in zip(places, await asyncio.gather(*map(serve, places)), strict=True):
        told(ended, str(place), "cannot be written", "[store.read_only]", "--data-dir")


async def test_a_database_that_is_none_and_one_of_a_newer_schema(founded: LiveServer, tmp_path: Path):
    newer, torn = tmp_path / "newer", tmp_path / "torn"
    shutil.copytree(founded.data_dir, newer)
    database = apsw.Connection(str(newer / "runwright.db"))
    database.execute("INSERT INTO migrations VALUES (9999, 'from_the_future', 'x', 0, NULL)")
    database.close()
    torn.mkdir()
    (torn / "runwright.db").write_bytes(b"this is no database" * 1000)
    ended, other = await asyncio.gather(serve(newer), serve(torn))
    told(ended, "[store.schema_mismatch]", "upgrade Runwright")
    told(other, "[store.error]")
    assert (torn / "runwright.db").read_bytes() == b"this is no database" * 1000


async def test_a_database_of_the_version_before_that_must_not_be_migrated(tmp_path: Path):
    as_of(tmp_path, len(migrations.load("sqlite")) - 1).close()
    told(await serve(tmp_path, migrate=False), "[store.schema_mismatch]", "runwright db upgrade", "RUNWRIGHT_MIGRATE")


async def test_a_master_key_that_is_wrong_missing_or_none(founded: LiveServer, tmp_path: Path):
    wrong, missing, malformed = (tmp_path / name for name in ("wrong", "missing", "malformed"))
    for place in (wrong, missing, malformed):
        shutil.copytree(founded.data_dir, place)
    (missing / "master.key").unlink()
    ends = await asyncio.gather(
        serve(wrong, master_key="ab" * 32), serve(missing), serve(malformed, master_key="x" * 40)
    )
    told(ends[0], "another master key", "RUNWRIGHT_MASTER_KEY", "[keyring.wrong_master_key]")
    told(ends[1], "master.key is missing", "RUNWRIGHT_MASTER_KEY")
    told(ends[2], "RUNWRIGHT_MASTER_KEY", "openssl rand -hex 32", code=2)
    assert "ab" * 32 not in ends[0].err
    assert "x" * 40 not in ends[2].err


async def test_a_postgresql_that_cannot_be_used(tmp_path: Path):
    key = {"master_key": "ab" * 32}
    with kept() as nobody, new_database() as url:
        gone, none = f"postgresql://db@127.0.0.1:{nobody}/x", url.replace("/runwright_", "/no_")
        ends = await asyncio.gather(
            serve(tmp_path, database_url=gone, **key),
            serve(tmp_path, database_url=none, **key),
            serve(tmp_path, database_url="postgresql://db@127.0.0.1:port/x", **key),
            serve(tmp_path, database_url=url),
        )
        told(ends[0], "PostgreSQL cannot be reached", "[store.unavailable]")
        told(ends[1], "PostgreSQL refused the connection", "does not exist", "database URL")
        told(ends[2], "/ as %2F", "[store.error]")
        told(ends[3], "RUNWRIGHT_MASTER_KEY", "every server must have the same", code=2)
        execute(url, "INSERT INTO keyring VALUES ('master', 'another', 0)")
        told(await serve(tmp_path, database_url=url, **key), "another master key", "[keyring.wrong_master_key]")


async def test_a_port_in_use(standing: LiveServer, tmp_path: Path):
    ended = await command("serve", "--port", str(standing.port), env=environment(data_dir=tmp_path / "a"))
    told(ended, f"127.0.0.1:{standing.port}", "in use", code=2)


async def test_settings_that_are_wrong_are_told_all_at_once(tmp_path: Path):
    config = tmp_path / "config.toml"
    config.write_text("lease_s = 1\nheartbeat_s = 'soon'\nno_such_setting = 1\n")
    wrong = {"lease_s": "-1", "log_level": "loud", "api_key": "short", "reaper_ss": "1"}
    ends = await asyncio.gather(
        serve(tmp_path / "a", **wrong),
        serve(tmp_path / "b", "--config", str(config), "--worker", "not a module"),
    )
    told(ends[0], *(f"RUNWRIGHT_{name.upper()}" for name in wrong), "did you mean reaper_s?", code=2)
    told(ends[1], f"{config}: heartbeat_s", f"{config}: no_such_setting", "--worker", code=2)
    assert "short" not in ends[0].err
    assert not any((tmp_path / name).exists() for name in "ab"), "nothing was made before the settings were read"


async def test_handlers_that_are_not_there_or_cannot_be_loaded(tmp_path: Path):
    (tmp_path / "half.py").write_text("import no_such_thing_at_all\n")
    env = environment(data_dir=tmp_path / "data") | {"PYTHONPATH": str(tmp_path)}

    async def serve_with(name: str) -> Ended:
        return await program("serve", "--port", "0", "--worker", name, env=env)

    names = ["no_such_module:app", "examples.hello:nothing", "half:app"]
    ends = await asyncio.gather(*map(serve_with, names))
    told(ends[0], "no module 'no_such_module'", "--worker module:app")
    told(ends[1], "no Worker named 'nothing'", "app = Worker([handler, …])")
    told(ends[2], "'half:app' cannot be loaded: ModuleNotFoundError", "no_such_thing_at_all", "import half")
    assert not (tmp_path / "data").exists()


async def test_a_failed_start_does_no_harm_to_the_server_that_runs(standing: LiveServer):
    assert (await standing.client().get("/v1/me")).status_code == 200


async def test_the_first_start_makes_a_key_and_tells_it_once(founded: LiveServer):
    told_once = next(word for word in founded.log.read_text().split() if word.startswith("rw_"))
    for name in ("credentials.json", "master.key"):
        assert (founded.data_dir / name).stat().st_mode & 0o777 == 0o600
    assert told_once in (founded.data_dir / "credentials.json").read_text()
    await founded.start()
    assert founded.log.read_text().count(told_once) == 1
    assert (await founded.client(told_once).get("/v1/me")).json()["scopes"] == ["admin"]
