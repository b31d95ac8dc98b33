"""Statements are compiled whole: nothing is left open that only SQLAlchemy's own engine would fill in."""

import pytest
from sqlalchemy import bindparam, select

from runwright.domain.words import JOB_WORDS
from runwright.store.queries.runs import CONDITIONS, listing
from runwright.store.query import Dialect, Query
from runwright.store.tables import runs

DIALECTS: tuple[Dialect, ...] = ("sqlite", "postgresql")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_parameters_come_in_the_order_of_their_places(dialect: Dialect):
    query = Query(
        select(runs.c.run_id).where(runs.c.org_id == bindparam("org"), runs.c.kind == "job").limit(bindparam("most"))
    )
    text, values = query.bind(dialect, {"most": 5, "org": "org_1"})
    assert text.count("?" if dialect == "sqlite" else "$") == len(values)
    assert values[:3] == ("org_1", "job", 5)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_missing_parameter_is_an_error(dialect: Dialect):
    query = Query(select(runs.c.run_id).where(runs.c.org_id == bindparam("org")))
    with pytest.raises(KeyError):
        query.bind(dialect, {})
    assert query.bind(dialect, {"org": None})[1] == (None,)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("word", [None, *JOB_WORDS])
def test_a_listing_leaves_nothing_open(dialect: Dialect, word: str | None):
    shown = frozenset(JOB_WORDS[word]) if word else None
    query = listing(frozenset(CONDITIONS), shown, newest_first=True)
    text, _ = query.bind(dialect, {**dict.fromkeys(CONDITIONS, "x"), "limit": 1})
    assert "POSTCOMPILE" not in text
