"""Deadlines in threads: every wait of a block ends at the earliest one around it."""

import pytest

from runwright.client import waiting
from tests.client.local_server import dead_url


def test_a_sleep_ends_at_the_deadline():
    with pytest.raises(TimeoutError), waiting.timeout(0.01):
        waiting.sleep(60)


@pytest.mark.parametrize(("outer_s", "inner_s"), [(0.01, 60), (60, 0.01), (0.01, None)])
def test_the_earliest_of_nested_deadlines_counts(outer_s: float, inner_s: float | None):
    with pytest.raises(TimeoutError), waiting.timeout(outer_s), waiting.timeout(inner_s):
        waiting.sleep(60)


def test_a_block_without_a_deadline_has_none():
    with waiting.timeout(None):
        waiting.sleep(0)


def test_a_deadline_is_gone_with_its_block_however_that_ended():
    for failure in (ValueError, KeyboardInterrupt):
        with pytest.raises(failure), waiting.timeout(0.01):
            raise failure
    waiting.sleep(0.02)


def test_nothing_is_sent_after_the_deadline():
    with waiting.HttpClient() as client, pytest.raises(TimeoutError), waiting.timeout(0):
        client.get(dead_url())
