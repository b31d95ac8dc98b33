"""Hints are merged and packed: nothing is told that was not said, and what does not fit becomes a look."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.hints import Asked, Hint, packed

names = st.text(max_size=60)
hints = st.builds(
    Hint,
    look=st.booleans(),
    forget=st.sets(st.sampled_from(["jobs", "projects", "logins"])),
    stops=st.lists(st.builds(Asked, names, st.integers(1, 9), names, st.sampled_from(["cancel", "pause"])), max_size=4),
    drains=st.sets(names, max_size=4),
    lanes=st.dictionaries(names, st.floats(0, 1e9), max_size=20),
    moved=st.sets(names, max_size=40),
    told=st.sets(names, max_size=40),
)


@given(hints, st.integers(512, 2000), st.integers(1, 4))
def test_what_is_packed_is_all_that_was_said_or_says_look(hint: Hint, most_bytes: int, most: int):
    parts = packed(hint, most_bytes, most)
    assert 1 <= len(parts) <= most
    assert all(len(part) <= most_bytes for part in parts)
    whole = Hint()
    for part in parts:
        whole.merge(msgspec.json.decode(part, type=Hint), 1000)
    if not hint.look and whole.look:
        assert len(parts) == most
    if whole.look:
        assert set(whole.lanes.items()) <= set(hint.lanes.items())
    else:
        assert whole == hint


@given(hints, hints)
def test_a_merged_hint_says_what_both_say(one: Hint, other: Hint):
    merged = Hint()
    merged.merge(one, 1000)
    merged.merge(other, 1000)
    assert merged.look == (one.look or other.look)
    assert merged.forget == one.forget | other.forget
    assert merged.lanes.keys() == one.lanes.keys() | other.lanes.keys()
    assert all(
        merged.lanes[lane] == min(h.lanes[lane] for h in (one, other) if lane in h.lanes) for lane in merged.lanes
    )
    if not merged.look:
        assert (merged.moved, merged.told) == (one.moved | other.moved, one.told | other.told)


def test_more_runs_than_are_to_be_named_become_a_look():
    hint = Hint()
    hint.merge(Hint(moved={f"run_{n}" for n in range(11)}), 10)
    assert hint.look
    assert hint.moved == set()
    assert not Hint()
    assert hint
