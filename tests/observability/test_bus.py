"""Two servers on one PostgreSQL, as `app.py` puts them together: they hear each other, and say so, or say that not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import msgspec
import pytest

from runwright import config, ids
from runwright.domain.hints import Hint
from runwright.serving import Running, running
from runwright.store.postgres.bus import CHANNEL
from runwright.telemetry import attach
from tests.engine.world import MASTER_KEY, PATIENCE_S
from tests.postgres import execute, new_database
from tests.store.observers import END_BUS
from tests.waiting import until

KEY = "rw_local_admin_key_0000"


def told(directory: Path, url: str, **more: Any) -> config.Settings:
    """Return the settings of a server."""
    given = {"data_dir": directory, "database_url": url, "master_key": MASTER_KEY, "port": 0, "api_key": KEY}
    return config.load({}, overrides=given | more)


def asking(server: Running) -> httpx2.AsyncClient:
    """Return a client of a server."""
    return httpx2.AsyncClient(base_url=server.url, headers={"x-api-key": KEY})


async def metric(client: httpx2.AsyncClient, name: str) -> float:
    """Return what a server shows for a metric of ours that has no labels."""
    page = (await client.get("/metrics")).text
    return next(float(line.split()[1]) for line in page.splitlines() if line.split()[0] == f"runwright_bus_{name}")


async def test_servers_show_that_they_hear_each_other_and_when_they_do_not(tmp_path: Path, monkeypatch: Any):
    lost: list[str] = []
    detach = attach(lambda name, fields: lost.append(name), "bus.lost")
    try:
        with new_database() as url:
            async with (
                asyncio.timeout(3 * PATIENCE_S),
                running(told(tmp_path / "a", url)) as one,
                running(told(tmp_path / "b", url)) as other,
                asking(one) as a,
                asking(other) as b,
            ):
                buses = [server.house.services.engine.bus for server in (one, other)]
                await until(lambda: all(bus is not None and bus.peers for bus in buses))
                made = (await a.post("/v1/jobs", json={"slug": "x"})).json()
                assert (await b.post(f"/v1/jobs/{made['id']}/trigger", json={})).status_code == 201
                assert (await a.get("/readyz")).json()["checks"]["bus"] == "ok"
                await until(lambda: metric(a, "lag_seconds_count"), lambda count: count >= 2)
                await until(lambda: metric(a, "hints_sent_total"), lambda count: count >= 2)
                assert (await metric(b, "open"), await metric(b, "peers")) == (1, 1)
                monkeypatch.setattr("runwright.store.postgres.bus.BACKOFF_S", (3600.0, 3600.0))
                execute(url, END_BUS)
                await until(lambda: len(lost) == 2)
                ready = await b.get("/readyz")
                assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
                assert ready.json()["checks"]["bus"].startswith("degraded:")
                assert (await metric(b, "open"), await metric(b, "losses_total")) == (0, 2)
    finally:
        detach()


@pytest.mark.parametrize("most", [1, 20])
async def test_hints_at_once_are_as_many_as_the_settings_say_and_what_is_more_becomes_look(tmp_path: Path, most: int):
    runs = {ids.new_id("run", number) for number in range(100)}
    mark = Hint(drains={"wrk_mark"})
    heard: list[Hint] = []
    with new_database() as url:
        settings = told(tmp_path, url, bus_payloads_max=most, bus_payload_max_bytes=512)
        async with asyncio.timeout(PATIENCE_S), running(settings) as server:
            bus = server.house.services.engine.bus
            assert bus is not None
            await until(lambda: bus.connected)  # whoever connects says once that all should look
            listener = await asyncpg.connect(url)

            def hear(*said: Any) -> None:
                heard.append(msgspec.json.decode(str(said[-1]).split(" ", 3)[3], type=Hint))

            await listener.add_listener(CHANNEL, hear)
            await listener.execute(f"NOTIFY {CHANNEL}, 'neighbour 1 0 {{}}'")
            await until(lambda: bus.peers)  # and so does who hears a new neighbour: with the next hint, or before it
            bus.send(mark)
            await until(lambda: mark.drains in [hint.drains for hint in heard])
            heard.clear()
            bus.send(Hint(moved=set(runs)))
            bus.send(mark)
            await until(lambda: mark.drains in [hint.drains for hint in heard])
            await listener.close()
    named = [hint.moved for hint in heard if hint.moved]
    if most == 1:
        assert (named, [hint.look for hint in heard if hint]) == ([], [True])
    else:
        assert set().union(*named) == runs
        assert 1 < len(named) <= most
        assert not any(hint.look for hint in heard)
