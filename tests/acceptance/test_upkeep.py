"""What an operator does to a database from the command line, beside its servers or before them."""

import json
from pathlib import Path
from typing import Any

import pytest

from runwright.store import migrations
from tests.acceptance.live_server import command, environment
from tests.postgres import empty_database
from tests.store.test_upgrades import as_of


async def db(verb: str, code: int = 0, **settings: Any) -> Any:
    """Return what a command printed that ends so."""
    ended = await command("db", verb, "--json", env=environment(**settings))
    assert ended.code == code, ended
    return json.loads(ended.out)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
async def test_a_database_is_brought_up_to_date_and_says_where_it_stands(tmp_path: Path, dialect: str):
    newest = len(migrations.load(dialect))
    with empty_database() as url:
        settings: dict[str, Any] = {"data_dir": tmp_path}
        if dialect == "postgresql":
            settings["database_url"] = url
            before = 0
        else:
            before = newest - 1
            as_of(tmp_path, before).close()
        status = await db("status", 1, **settings)
        assert (status["schema"], status["known"], len(status["pending"])) == (before, newest, newest - before)
        applied = (await db("upgrade", **settings))["applied"]
        assert [each["number"] for each in applied] == list(range(before + 1, newest + 1))
        assert (await db("upgrade", **settings))["applied"] == []
        status = await db("status", **settings)
        assert (status["schema"], status["pending"]) == (newest, [])
        checked = await db("check", **settings)
        assert checked == {"whole": True, "sealed_values_opened": False, "findings": []}


async def test_what_is_named_on_the_command_line_counts_not_what_the_servers_use(tmp_path: Path):
    as_of(tmp_path, 1).close()
    nowhere = environment(database_url="postgresql://nobody@127.0.0.1:1/none")
    ended = await command("db", "status", "--json", "--data-dir", str(tmp_path), env=nowhere)
    assert json.loads(ended.out)["schema"] == 1
    ended = await command("db", "status", env=nowhere)
    assert (ended.code, "[store.unavailable]" in ended.err) == (1, True), ended
    ended = await command("db", "backup", str(tmp_path / "copy"), env=nowhere)
    assert (ended.code, "pg_basebackup" in ended.err) == (1, True), ended
