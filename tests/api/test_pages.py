"""A list read page by page shows every row once, whatever form its cursor has."""

import pytest

from runwright.api import instants
from runwright.api.pages import Page, PageQuery
from runwright.config import load
from runwright.errors import InvalidRequest
from runwright.ids import new_id
from tests.api.conftest import Kit

SETTINGS = load({})


@pytest.mark.parametrize("order", ["desc", "asc"])
async def test_pages_follow_each_other_to_the_end_in_both_orders(kit: Kit, order):
    seen: list[str] = []
    async with kit.client() as client:
        response = await client.get("/v1/ticks", params={"limit": 3, "order": order})
        while True:
            seen += response.json()
            if "x-next-cursor" not in response.headers:
                break
            assert response.headers["x-next-cursor"] == seen[-1]
            assert set(response.links) == {"next"}
            response = await client.get(response.links["next"]["url"])
    assert "link" not in response.headers
    assert seen == sorted(kit.rows, reverse=order == "desc")


async def test_the_link_keeps_the_filters_and_replaces_the_cursor(kit: Kit):
    async with kit.client() as client:
        response = await client.get(f"/v1/ticks?limit=2&status=a%26b&before={max(kit.rows)}")
    rows = sorted(kit.rows, reverse=True)
    assert response.json() == rows[1:3]
    assert response.headers["link"] == f'</v1/ticks?limit=2&status=a%26b&cursor={rows[2]}>; rel="next"'


async def test_a_page_that_holds_exactly_the_rest_names_no_next(kit: Kit):
    async with kit.client() as client:
        response = await client.get(f"/v1/ticks?limit={len(kit.rows)}")
    assert len(response.json()) == len(kit.rows)
    assert "x-next-cursor" not in response.headers


@pytest.mark.parametrize("name", ["cursor", "before"])
async def test_an_instant_is_strictly_older_or_newer(kit: Kit, name):
    rows = sorted(kit.rows)
    third = instants.text(kit.clock.now() + 2)
    async with kit.client() as client:
        older = await client.get("/v1/ticks", params={name: third})
        newer = await client.get("/v1/ticks", params={name: third, "order": "asc"})
    assert older.json() == [rows[1], rows[0]]
    assert newer.json() == rows[3:]


async def test_an_offset_whose_plus_became_a_space_is_understood(kit: Kit):
    async with kit.client() as client:
        response = await client.get("/v1/ticks?cursor=2100-01-01T00:00:00+02:00")
    assert len(response.json()) == len(kit.rows)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "12", "run_", "run_zz", "job_0190b1e27a8c7c1b8d5a3e6f9a0b1c2d", "2026-01-01", "2026-01-01T00:00:00"],
)
async def test_any_other_cursor_is_refused(kit: Kit, cursor):
    async with kit.client() as client:
        for name in ("cursor", "before"):
            response = await client.get("/v1/ticks", params={name: cursor})
            assert (response.status_code, response.json()["code"]) == (422, "cursor.invalid")
            assert response.json()["details"]["fields"][0]["path"] == name


async def test_two_cursors_are_refused(kit: Kit):
    async with kit.client() as client:
        response = await client.get(f"/v1/ticks?cursor={kit.rows[0]}&before={kit.rows[0]}")
    assert (response.status_code, response.json()["code"]) == (422, "cursor.invalid")


@pytest.mark.parametrize("limit", ["0", "-1", "501", "x", "1.5", ""])
async def test_a_limit_outside_its_range_is_refused(kit: Kit, limit):
    async with kit.client() as client:
        response = await client.get("/v1/ticks", params={"limit": limit})
    assert response.status_code == 422
    assert response.json()["details"]["fields"][0]["path"] == "limit"


def test_limits_come_from_the_settings():
    settings = load({}, overrides={"page_default": 5, "page_max": 10})
    assert PageQuery().window(settings, order="asc").limit == 5
    assert PageQuery(limit=10).window(settings, order="asc").limit == 10
    with pytest.raises(InvalidRequest, match="from 1 to 10"):
        PageQuery(limit=11).window(settings, order="asc")
    assert PageQuery(limit=100).window(settings, order="asc", most=100).limit == 100


def test_an_unknown_order_is_none_of_ours():
    assert PageQuery().window(SETTINGS, order="desc").newest_first
    assert not PageQuery(order="asc").window(SETTINGS, order="desc").newest_first


def test_a_partial_page_says_so():
    page = Page([1], next_cursor="c", partial=True)
    assert page.headers("/v1/x", b"") == {
        "x-scan": "partial",
        "link": '</v1/x?cursor=c>; rel="next"',
        "x-next-cursor": "c",
    }


def test_rows_of_one_instant_are_neither_lost_nor_repeated():
    at = 1_800_000_000_000_000
    rows = sorted(new_id("run", at) for _ in range(50))
    seen: list[str] = []
    cursor = None
    while True:
        window = PageQuery(cursor=cursor, limit=7).window(SETTINGS, order="asc")
        bound = window.bound("run")
        page = Page.of([row for row in rows if bound is None or row > bound][:8], window, view=str, key=str)
        seen += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == rows


def test_instants_are_written_to_the_microsecond_and_read_back():
    at = 1_800_000_000_000_001
    assert instants.text(at) == "2027-01-15T08:00:00.000001Z"
    assert instants.parse(instants.text(at)) == at
    assert instants.parse("2027-01-15T09:00:00.5+01:00") == 1_800_000_000_500_000
