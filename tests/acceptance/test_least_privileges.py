"""The roles that the documentation makes: servers work with one that can only read and write rows."""

import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.acceptance.live_server import LiveServer, command, environment
from tests.acceptance.speech import Speech, said
from tests.docs.pages import blocks
from tests.postgres import empty_database, execute, rows

PAGE = "docs/how-to/run-on-postgresql.md"
KEY = "ab" * 32


async def test_a_server_works_with_the_runtime_role_alone(tmp_path: Path):
    (block,) = [each for each in blocks(PAGE) if "CREATE ROLE rw_server" in each.text]
    owner, server = f"owner_{os.getpid()}", f"server_{os.getpid()}"
    made = block.text.replace("rw_owner", owner).replace("rw_server", server)
    with empty_database() as url:
        execute(url, made)
        try:
            place = urlsplit(url)
            as_owner, as_server = (
                place._replace(netloc=f"{role}:{word}@{place.hostname}:{place.port}").geturl()
                for role, word in ((owner, "change-me"), (server, "change-me-too"))
            )
            refused = await command("db", "upgrade", env=environment(database_url=as_server))
            assert (refused.code, "as the owner of the tables" in " ".join(refused.err.split())) == (1, True), refused
            assert (await command("db", "upgrade", env=environment(database_url=as_owner))).code == 0
            settings: dict[str, Any] = {
                "database_url": as_server,
                "master_key": KEY,
                "migrate": False,
                "database_row_security": True,
            }
            live = LiveServer(tmp_path, value_inline_max_bytes=1000, **settings)
            await live.start()
            api = Speech(live.client())
            job = await api.job("keeps")
            run = await api.done(job, {"text": "x" * 10_000})
            assert run["state"] == "completed"
            switched = await command("db", "upgrade", "--row-security", env=environment(database_url=as_owner))
            assert (switched.code, switched.out.strip()) == (0, "row-level security is on"), switched
            assert (await api.done(job, {"text": "y" * 10_000}))["state"] == "completed"
            assert await api.run(run["id"]) == run
            assert await said(live.client().post("/v1/artifacts", content=b"x" * 2_000_000), 201)
            await live.close()
            assert rows(url, "SELECT tableowner FROM pg_tables WHERE schemaname = 'public' GROUP BY 1") == [(owner,)]
            checked = await command("db", "check", env=environment(**settings))
            assert (checked.code, checked.out.strip()) == (0, "whole"), checked
        finally:
            execute(url, f"DROP OWNED BY {owner}; DROP OWNED BY {server}; DROP ROLE {owner}, {server}")
