"""A person types at one server, and the command that another executes has it: by a hint, and without any."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from runwright.engine.values import KEYS
from tests.api.served import serving, serving_beside
from tests.api.test_runtime_orders import made
from tests.api.test_terminal_input import reading, told
from tests.api.viewing import viewing
from tests.engine.nodes import OFTEN, SELDOM
from tests.engine.world import MASTER_KEY
from tests.postgres import new_database


@pytest.fixture
def elsewhere() -> Iterator[str]:
    with new_database() as made:
        yield made


@pytest.fixture
def url() -> Iterator[str]:
    with new_database() as made:
        yield made


@pytest.mark.parametrize("hinted", [True, False], ids=["hinted", "polled"])
async def test_input_reaches_the_server_that_has_the_lease(url: str, elsewhere: str, tmp_path: Path, hinted: bool):
    given = {"database_url": url, "master_key": MASTER_KEY, **(SELDOM if hinted else OFTEN)}
    deaf = {} if hinted else {"database_listen_url": elsewhere}
    async with (
        serving(tmp_path / "works", **given) as works,
        serving_beside(works, tmp_path / "shows", runtime_slots=0, process_slots=0, **given, **deaf) as shows,
    ):
        run_id = await made(works, steps=[reading("read name; stty size; echo hello $name")])
        async with viewing(shows, run_id) as viewer:
            await viewer.until(t="command_start")
            viewer.do(t="resize", cols=100, rows=40)
            await viewer.until(t="resize")
            viewer.type("Ada\n")
            await viewer.until(t="eof")
        assert viewer.printed == "Ada\r\n40 100\r\nhello Ada\r\n"
        assert len(await told(works, run_id, "terminal.typed")) == 1
        assert await works.house.services.engine.store.values(run_id, KEYS) == []
